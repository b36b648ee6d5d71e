"""The two distributions as strangers install them: the host alone, both with pip, and what the wheels carry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.installations import Installation


def _run(*argv: str, cwd: Path | None = None, **exported: str) -> subprocess.CompletedProcess[str]:
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(argv, cwd=cwd, env={**keep, **exported}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, engine: PrivateEngine) -> Path:
    """A copy of the checkout, because building leaves traces."""
    return Installation.copied(CHECKOUT, tmp_path_factory.mktemp("source") / "root", engine).root


@pytest.fixture(scope="module")
def wheels(source: Path) -> dict[str, Path]:
    """Both wheels, built from the checkout."""
    out = source / "wheels"
    for folder in (source / "host", source):
        done = _run(
            sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out), cwd=folder
        )
        assert done.returncode == 0, done.stderr
    return {path.name.split("-")[0]: path for path in out.glob("*.whl")}


def _environment(folder: Path, *distributions: str) -> Path:
    """A virtual environment with the locked libraries of this one, and the given distributions installed by pip."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    here = Path(sys.executable).parent.parent
    libraries = next(here.glob("lib/python*/site-packages"))
    own = next(folder.glob("lib/python*/site-packages"))
    for item in libraries.iterdir():
        ours = item.name.lower().replace("-", "_").lstrip("_")
        if not ours.startswith(("service_launcher", "launcher_kestra", "editable", "pip", "setuptools")):
            target = own / item.name
            if not target.exists():
                target.symlink_to(item)
    done = _run(str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
                "--no-index", *distributions)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "bin/launcher"


def test_the_compose_files_travel_in_the_plugins_wheel(wheels: dict[str, Path]) -> None:
    names = zipfile.ZipFile(wheels["launcher_kestra"]).namelist()
    assert "launcher_kestra/docker-compose.tools.yml" in names
    assert "launcher_kestra/docker-compose.tools.hardened.yml" in names
    assert not [name for name in zipfile.ZipFile(wheels["service_launcher"]).namelist() if "kestra" in name.lower()]


def test_the_host_alone_runs_without_any_plugin(wheels: dict[str, Path], engine: PrivateEngine, tmp_path: Path) -> None:
    launcher = _environment(tmp_path / "venv", str(wheels["service_launcher"]))
    root = tmp_path / "root"
    (root / "config").mkdir(parents=True)
    manifest = {
        "version": 1,
        "services": [{"id": "docs", "type": "docs", "path": ".", "start": "npm run dev", "port": 9}],
    }
    (root / "config/services-manifest.json").write_text(json.dumps(manifest))
    for command in (["list"], ["plugins", "list"], ["status"], ["start"], ["stop"], ["plan"]):
        done = _run(str(launcher), "--root", str(root), *command, DOCKER_HOST=engine.address)
        assert done.returncode == 0, done.stderr
    shown = _run(str(launcher), "--root", str(root), "status", DOCKER_HOST=engine.address)
    assert "unmanaged" in shown.stdout
    assert "npm run dev" in shown.stdout


def test_pip_install_of_both_folders_gives_a_launcher_with_kestra(source: Path, tmp_path: Path) -> None:
    launcher = _environment(tmp_path / "venv", str(source / "host"), str(source))
    done = _run(str(launcher), "--root", str(source), "plugins", "list", "--json")
    assert {p["name"]: p["state"] for p in json.loads(done.stdout)["plugins"]} == {"kestra": "active"}


def test_a_root_without_a_compose_file_is_served_by_the_wheel(
    wheels: dict[str, Path], engine: PrivateEngine, installation: Installation, tmp_path: Path
) -> None:
    launcher = _environment(tmp_path / "venv", str(wheels["service_launcher"]), str(wheels["launcher_kestra"]))
    shutil.rmtree(installation.root / "tools/compose")
    done = installation.run(str(launcher), "--root", str(installation.root), "start")
    assert done.code == 0, done.text
    assert str(installation.root / "tools/kestra/storage") in engine.inspect("tools-kestra", "{{.HostConfig.Mounts}}")


def test_the_versions_agree(wheels: dict[str, Path]) -> None:
    shown = _run(str(Path(sys.executable).with_name("launcher")), "--version").stdout.split()[-1]
    assert {wheel.name.split("-")[1] for wheel in wheels.values()} == {shown}
