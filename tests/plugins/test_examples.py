"""The example plugins as other teams would ship them: wheels in a clean environment, on real containers."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import service_launcher
import service_launcher.testing

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.environments import environment, run
from tests.plugins.conftest import EXAMPLES, empty

IMAGES = "KESTRA_IMAGE=local/kestra-rehearsal:1\nKESTRA_POSTGRES_IMAGE=local/postgres:17\n"
TEMPLATE = CHECKOUT / "host/service_launcher/plugin_template"
AUTHORS = [*(CHECKOUT / "examples").rglob("*.py"), *CHECKOUT.glob("launcher_kestra/*.py")]


@pytest.fixture(scope="module")
def clean(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The launcher of a virtual environment with the host, Kestra's plugin and the examples, all from wheels."""
    return environment(tmp_path_factory.mktemp("clean") / "venv", *map(str, wheels.values()))


@pytest.fixture
def root(tmp_path: Path, clean: Path) -> Path:
    """An empty installation."""
    (tmp_path / "root/config").mkdir(parents=True)
    (tmp_path / "root/.env").write_text(IMAGES)
    return tmp_path / "root"


@pytest.mark.parametrize("path", AUTHORS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_plugin_imports_only_what_is_public(path: Path) -> None:
    public = {
        "service_launcher": set(service_launcher.__all__),
        "service_launcher.testing": set(service_launcher.testing.__all__),
    }
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("service_launcher"):
            assert {alias.name for alias in node.names} <= public[node.module or ""]
        if isinstance(node, ast.Import):
            assert not [alias for alias in node.names if alias.name.startswith("service_launcher")]


@pytest.mark.docker
def test_all_are_active_and_nothing_is_wrong_with_them(clean: Path, root: Path) -> None:
    done = run(str(clean), "--root", str(root), "plugins", "check", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"kestra", "ledger", "courier", "bulletin"}
    assert [found[name] for name in ("ledger", "courier", "bulletin")] == [[], [], []]
    assert {p["severity"] for p in found["kestra"]} == {"warn"}
    assert "mounts the Docker socket" in found["kestra"][0]["summary"]


@pytest.mark.docker
def test_they_start_beside_kestra_on_real_containers(clean: Path, root: Path, engine: PrivateEngine) -> None:
    engine.wipe()

    def launcher(*arguments: str) -> str:
        done = run(str(clean), "--root", str(root), *arguments, DOCKER_HOST=engine.address)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (root / ".env").write_text(f"{IMAGES}COURIER_PORT=8097\n")
    launcher("init")
    try:
        launcher("start")
        statuses = json.loads(launcher("status", "--json"))["services"]
        assert {s["id"]: s["state"] for s in statuses} == dict.fromkeys(
            ["kestra-postgres", "kestra-orchestrator", "ledger-postgres", "ledger", "courier", "bulletin"], "ready"
        )
        assert "running, and it answers" in launcher("courier", "ping")
    finally:
        launcher("stop")
    assert engine.docker("ps", "-q") == ""
    engine.wipe()


@pytest.mark.docker
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_own_tests_pass_where_their_wheels_are_installed(
    clean: Path, name: str, engine: PrivateEngine, tmp_path: Path
) -> None:
    empty(engine)
    command = [str(clean.with_name("python")), "-m", "pytest", "-q", "--require-docker", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(CHECKOUT / "examples" / name), str(CHECKOUT / "examples" / name / "tests")]
    done = run(*command, cwd=tmp_path, DOCKER_HOST=engine.address)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]
    assert engine.docker("ps", "-aq") == "", "the contract leaves nothing behind"
