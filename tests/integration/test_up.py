"""scripts/up where an Engine and the images are: to a running Kestra, again, in rehearsal, and without a route."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.installations import REAL_KESTRA, Installation


@pytest.fixture
def bare(engine: PrivateEngine, tmp_path: Path) -> Iterator[Installation]:
    """A clone without `.env`, with the Python environment of the checkout so that nothing has to be downloaded."""
    engine.wipe()
    installation = Installation.copied(CHECKOUT, tmp_path / "clone", engine)
    (installation.root / ".env").unlink()
    (installation.root / ".venv").symlink_to(CHECKOUT / ".venv")
    installation.shell["KESTRA_DOCKER_SOCKET"] = str(engine.socket)
    yield installation
    engine.wipe()


@pytest.mark.kestra
def test_up_ends_with_a_kestra_that_the_password_in_env_opens_and_then_has_nothing_to_do(bare: Installation) -> None:
    done = bare.run("scripts/up", "--yes")
    assert done.code == 0, done.text
    assert "Kestra Orchestrator: http://localhost:8080" in done.out
    values = dict(
        line.split("=", 1) for line in (bare.root / ".env").read_text().splitlines() if "=" in line and line[0] != "#"
    )
    assert values["KESTRA_IMAGE"] == REAL_KESTRA
    login = (values["KESTRA_BASICAUTH_USERNAME"], values["KESTRA_BASICAUTH_PASSWORD"])
    assert bare.api("GET", "/api/v1/main/flows/search?size=1", credentials=login)[0] == 200
    assert values["KESTRA_BASICAUTH_PASSWORD"] not in done.text

    written = (bare.root / ".env").read_bytes()
    again = bare.run("scripts/up")
    assert again.code == 0, again.text
    assert again.out.count("already ready") == 2
    assert (bare.root / ".env").read_bytes() == written
    assert again.seconds < 10


def test_a_rehearsal_says_so_in_every_line_in_the_json_and_in_the_banner(bare: Installation) -> None:
    done = bare.run("scripts/up", "--yes", "--rehearsal")
    assert done.code == 0, done.text
    assert "REHEARSAL: a stand-in is running, not the real service" in done.out
    status = bare.status("kestra")
    assert status["rehearsal"] is True
    assert status["message"].startswith("REHEARSAL")
    lines = [line for line in bare.launcher("status").out.splitlines() if "kestra-orchestrator" in line]
    assert lines
    assert all("REHEARSAL" in line for line in lines)
    assert "REHEARSAL" in bare.run("scripts/up").out


def test_without_any_route_to_kestra_each_is_named_and_the_database_is_left_healthy(
    bare: Installation, engine: PrivateEngine, tmp_path: Path
) -> None:
    engine.docker("tag", REAL_KESTRA, "kept/kestra:1.3.25")
    engine.docker("image", "rm", REAL_KESTRA)
    try:
        done = bare.run("scripts/up", "--yes", LAUNCHER_CACHE=str(tmp_path / "empty"))
    finally:
        engine.docker("tag", "kept/kestra:1.3.25", REAL_KESTRA)
        engine.docker("image", "rm", "kept/kestra:1.3.25")
    assert done.code == 1, done.text
    for route in ("KESTRA_DIST", "make-dist", "Maven"):
        assert route in done.err
    assert "Kestra was not started" in done.err
    assert engine.docker("ps", "--format", "{{.Names}} {{.Status}}").startswith("tools-kestra-postgres Up")
    assert bare.state("kestra-postgres") == "ready"


def test_nothing_is_installed_without_a_yes_and_without_a_terminal_to_ask_on(bare: Installation) -> None:
    script = ". scripts/python-environment.sh; install_packages a-package-that-nobody-has"
    done = bare.run("bash", "-c", script)
    assert done.code == 2
    assert "these packages are missing: a-package-that-nobody-has" in done.err
    assert "--yes" in done.err


def test_an_engine_that_the_operator_named_is_not_replaced(bare: Installation, tmp_path: Path) -> None:
    done = bare.run("tools/engine/ensure", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.code == 5
    assert "DOCKER_HOST" in done.err
    assert bare.run("scripts/up", "--bogus").code == 2
