"""The two distributions as strangers install them: the host alone, both with pip, and what the wheels carry."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.environments import build, environment, run
from tests.installations import Installation


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, engine: PrivateEngine) -> Path:
    """A copy of the checkout, because building leaves traces."""
    return Installation.copied(CHECKOUT, tmp_path_factory.mktemp("source") / "root", engine).root


@pytest.fixture(scope="module")
def wheels(source: Path) -> dict[str, Path]:
    """Both wheels, built from the checkout."""
    return build((source / "host", source), source / "wheels")


def test_the_compose_files_travel_in_the_plugins_wheel(wheels: dict[str, Path]) -> None:
    names = zipfile.ZipFile(wheels["launcher_kestra"]).namelist()
    assert "launcher_kestra/docker-compose.tools.yml" in names
    assert "launcher_kestra/docker-compose.tools.hardened.yml" in names
    assert not [name for name in zipfile.ZipFile(wheels["service_launcher"]).namelist() if "kestra" in name.lower()]


def test_the_host_alone_runs_without_any_plugin(wheels: dict[str, Path], engine: PrivateEngine, tmp_path: Path) -> None:
    launcher = environment(tmp_path / "venv", str(wheels["service_launcher"]))
    root = tmp_path / "root"
    (root / "config").mkdir(parents=True)
    manifest = {
        "version": 1,
        "services": [{"id": "docs", "type": "docs", "path": ".", "start": "npm run dev", "port": 9}],
    }
    (root / "config/services-manifest.json").write_text(json.dumps(manifest))
    for command in (["list"], ["plugins", "list"], ["status"], ["start"], ["stop"], ["plan"]):
        done = run(str(launcher), "--root", str(root), *command, DOCKER_HOST=engine.address)
        assert done.returncode == 0, done.stderr
    shown = run(str(launcher), "--root", str(root), "status", DOCKER_HOST=engine.address)
    assert "unmanaged" in shown.stdout
    assert "npm run dev" in shown.stdout


def test_pip_install_of_both_folders_gives_a_launcher_with_kestra(source: Path, tmp_path: Path) -> None:
    launcher = environment(tmp_path / "venv", str(source / "host"), str(source))
    done = run(str(launcher), "--root", str(source), "plugins", "list", "--json")
    assert {p["name"]: p["state"] for p in json.loads(done.stdout)["plugins"]} == {"kestra": "active"}


def test_a_root_without_a_compose_file_is_served_by_the_wheel(
    wheels: dict[str, Path], engine: PrivateEngine, installation: Installation, tmp_path: Path
) -> None:
    launcher = environment(tmp_path / "venv", str(wheels["service_launcher"]), str(wheels["launcher_kestra"]))
    shutil.rmtree(installation.root / "tools/compose")
    done = installation.run(str(launcher), "--root", str(installation.root), "start")
    assert done.code == 0, done.text
    assert str(installation.root / "tools/kestra/storage") in engine.inspect("tools-kestra", "{{.HostConfig.Mounts}}")


def test_the_versions_agree(wheels: dict[str, Path]) -> None:
    shown = run(str(Path(sys.executable).with_name("launcher")), "--version").stdout.split()[-1]
    assert {wheel.name.split("-")[1] for wheel in wheels.values()} == {shown}
