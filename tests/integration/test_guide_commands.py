"""The operators' guide followed to the letter on the real Kestra: first flow, backup, loss, restore, removal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.docs.pages import Page, commands
from tests.engines import PrivateEngine
from tests.guide import GUIDE
from tests.installations import NEWER_POSTGRES, PASSWORD, REAL_KESTRA, Installation

pytestmark = pytest.mark.kestra

VOLUME = "tools-kestra-postgres-data"
MAJOR = "PostgreSQL, outra versão principal"


@pytest.fixture(scope="module")
def kestra(engine: PrivateEngine, module_folder: Path) -> Iterator[Installation]:
    """A running Kestra in a clone that has its own `launcher` on the path, as the guide asks for."""
    engine.wipe()
    installation = Installation.copied(CHECKOUT, module_folder / "root", engine, kestra=REAL_KESTRA)
    (installation.root / ".venv").symlink_to(CHECKOUT / ".venv")
    installation.shell["PATH"] = f"{installation.root}/.venv/bin:{os.environ['PATH']}"
    done = installation.launcher("start")
    assert done.code == 0, done.text
    yield installation
    engine.wipe()


def block(heading: str, number: int = 0) -> str:
    """A console block of the guide, as it would be typed."""
    return commands(Page(GUIDE).fences("console", below=heading)[number])


def typed(installation: Installation, script: str, password: str = PASSWORD, seconds: float = 400) -> str:
    """Run commands on a terminal and type the password whenever it is asked for; what the terminal showed."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["bash", "-e", "-c", script],
        cwd=installation.root,
        env=installation.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
    ) as process:
        shown, deadline = b"", time.monotonic() + seconds
        while (process.poll() is None and time.monotonic() < deadline) or select.select([ours], [], [], 0)[0]:
            if select.select([ours], [], [], 0.1)[0]:
                shown += (more := os.read(ours, 65536))
                if more.rstrip().endswith(b":") and b"password" in more:
                    os.write(ours, password.encode() + b"\n")
        process.kill()
    os.close(ours)
    os.close(theirs)
    text = shown.decode()
    assert process.returncode == 0, text
    assert password not in text
    return text


def flows(installation: Installation) -> int:
    """How many flows Kestra has."""
    status, found = installation.api("GET", "/api/v1/main/flows/search?size=1")
    assert status == 200, found
    return int(found["total"])


def database_version(engine: PrivateEngine) -> str:
    """The major version of the server that answers."""
    ask = ("psql", "--username", "kestra", "--tuples-only", "--no-align", "--command", "show server_version")
    return engine.docker("exec", "tools-kestra-postgres", *ask).partition(".")[0]


def test_the_first_flow_of_the_guide_runs_to_success(kestra: Installation) -> None:
    shown = typed(kestra, block("Um primeiro fluxo"))
    assert '"current":"SUCCESS"' in shown, shown
    assert flows(kestra) == 1


def test_the_commands_that_only_look_all_work(kestra: Installation) -> None:
    for line in block("Saúde e monitoramento").splitlines():
        done = kestra.run("bash", "-c", line)
        # The doctor knows holes of this version of Kestra, and says so by its exit code.
        assert done.code == (1 if "doctor" in line else 0), done.text
    for line in block("Logs").splitlines():
        # What goes on until it is interrupted is given up after a moment.
        done = kestra.run(
            "bash", "-c", f"timeout --preserve-status --signal=INT 3 {line}" if "--follow" in line else line
        )
        assert done.code in (0, 130), done.text
        assert done.out or "--grep" in line, line


def test_the_backup_of_the_guide_brings_the_flows_back(kestra: Installation, engine: PrivateEngine) -> None:
    """By way of the steps to another major version, which leave the old data aside and begin with none."""
    (kestra.root / "tools/kestra/storage/kept").write_text("a file of a flow")
    typed(kestra, block("Backup, à mão"))
    assert (kestra.root / "backup").stat().st_mode & 0o777 == 0o700
    assert kestra.state("kestra") == "ready"

    assert kestra.compose("down").code == 0
    typed(kestra, block(MAJOR))
    aside = Path(engine.docker("volume", "inspect", "--format", "{{.Mountpoint}}", "kestra-postgres-17"))
    assert (aside / "PG_VERSION").read_text() == "17\n"
    assert VOLUME not in engine.docker("volume", "ls", "--quiet")
    (kestra.root / "tools/kestra/storage/kept").unlink()

    kestra.write_env(REAL_KESTRA, KESTRA_POSTGRES_IMAGE=NEWER_POSTGRES)
    typed(kestra, block("Backup, à mão", 1))
    assert database_version(engine) == "18"
    assert flows(kestra) == 1
    assert (kestra.root / "tools/kestra/storage/kept").read_text() == "a file of a flow"


def test_compose_alone_finds_the_newer_data_with_the_variable_of_the_guide(
    kestra: Installation, engine: PrivateEngine
) -> None:
    line = "KESTRA_POSTGRES_DATA_TARGET=/var/lib/postgresql"
    assert f"`{line}`" in GUIDE.read_text()
    assert kestra.compose("down").code == 0
    name, _, value = line.partition("=")
    kestra.write_env(REAL_KESTRA, KESTRA_POSTGRES_IMAGE=NEWER_POSTGRES, **{name: value})
    done = kestra.compose("up", "--detach", "--wait")
    assert done.code == 0, done.text
    assert database_version(engine) == "18"
    kestra.await_state("kestra", "ready", 60)
    assert flows(kestra) == 1


def test_the_way_back_of_the_guide_is_the_old_database(kestra: Installation, engine: PrivateEngine) -> None:
    assert database_version(engine) == "18"
    kestra.write_env(REAL_KESTRA)
    refused = kestra.launcher("start")
    assert refused.code == 3, refused.text
    assert "is PostgreSQL 17, and the data in the volume tools-kestra-postgres-data is of 18" in refused.err

    typed(kestra, block(MAJOR, 1))
    assert database_version(engine) == "17"
    assert flows(kestra) == 1


def test_the_removal_of_the_guide_leaves_the_data_or_takes_it(kestra: Installation, engine: PrivateEngine) -> None:
    typed(kestra, block("Remover"))
    assert engine.docker("ps", "--all", "--quiet") == ""
    assert VOLUME in engine.docker("volume", "ls", "--quiet")

    typed(kestra, block("Remover", 1))
    assert VOLUME not in engine.docker("volume", "ls", "--quiet")
    assert sorted(path.name for path in (kestra.root / "tools/kestra/storage").iterdir()) == [".gitkeep"]
    assert not any((kestra.root / name).exists() for name in (".env", ".launcher", ".venv"))
