"""`launcher plugins new`: each kind is a whole distribution whose tests pass at once, on a real Engine."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.engines import PrivateEngine
from tests.environments import PYTHON, run, site
from tests.plugins.conftest import empty

FILES = {".ci/run", ".gitignore", "README.md", "pyproject.toml", "tests/conftest.py", "tests/test_contract.py"}


@pytest.mark.docker
@pytest.mark.parametrize(("kind", "passed"), [("compose", 20), ("probe", 25), ("process", 20)])
def test_a_new_plugin_is_green_at_once(kind: str, passed: int, engine: PrivateEngine, tmp_path: Path) -> None:
    empty(engine)
    began = time.monotonic()
    options = ("--kind", kind, "--image", "local/kestra-rehearsal:1", "--port", "8080")
    options += ("--health", "curl -fsS http://localhost:8081/health")
    done = run(str(PYTHON.with_name("launcher")), "plugins", "new", "new-one", *options, "--into", str(tmp_path))
    assert done.returncode == 0, done.stderr
    made = tmp_path / "launcher-new-one"
    files = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert files >= FILES | {"launcher_new_one/plugin.py", "launcher_new_one/__init__.py"}
    assert ("launcher_new_one/docker-compose.new-one.yml" in files) == (kind != "process")
    assert os.access(made / ".ci/run", os.X_OK)
    assert not [
        path for path in made.rglob("*") if path.is_file() and ("{{" in path.read_text() or "{%" in path.read_text())
    ]

    installed = site(tmp_path / "site", made)
    command = (str(PYTHON), "-m", "pytest", "-q", "--require-docker", "-p", "no:cacheprovider")
    done = run(*command, cwd=made, PYTHONPATH=str(installed), DOCKER_HOST=engine.address)
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{passed} passed" in done.stdout
    assert time.monotonic() - began < 60
    assert engine.docker("ps", "-aq") == ""

    for tool in (("ruff", "check", "--select", "E,F,W,I,B,UP", "--line-length", "120"), ("mypy", "--strict")):
        done = run(str(PYTHON.with_name(tool[0])), *tool[1:], str(made / "launcher_new_one"), PYTHONPATH=str(installed))
        assert done.returncode == 0, done.stdout
