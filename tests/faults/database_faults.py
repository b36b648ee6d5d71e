"""The database crashes, freezes, is cut short at birth, loses its password, its disk or its volume (F15 to F22)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests import database_image
from tests.database_image import DATABASE_PASSWORD
from tests.engines import wait_for
from tests.faults.campaign import DATA, KESTRA, POSTGRES, Case, Seen, row
from tests.faults.own_engine import fill, small_disk


def _kill(case: Case, container: str) -> None:
    """SIGKILL its first process from outside: to the Engine a crash, after which the restart policy counts."""
    os.kill(int(case.engine.inspect(container, "{{.State.Pid}}")), signal.SIGKILL)


def _files(case: Case) -> Path:
    """The database's files, as the Engine's machine sees them."""
    return Path(case.engine.docker("volume", "inspect", "--format", "{{.Mountpoint}}", DATA, check=False) or "/nowhere")


def _on(case: Case, folder: Path) -> None:
    """Let the database's volume be a folder of the test's choice."""
    options = ("type=none", f"device={folder}", "o=bind")
    # As compose would have labelled it: it is the installation's own volume.
    labels = ("com.docker.compose.project=tools", "com.docker.compose.volume=data", "com.docker.compose.version=2")
    words = [word for option in options for word in ("--opt", option)]
    words += [word for label in labels for word in ("--label", label)]
    case.engine.docker("volume", "create", *words, DATA)


def _give_up(case: Case) -> None:
    """Remove the volume, as an operator who means it, and let the next start begin without it."""
    case.engine.docker("volume", "rm", DATA)
    case.installation.shell["LAUNCHER_ALLOW_DATA_MOVE"] = "kestra-postgres"


@row("F15", "database killed", "SIGKILL of the postmaster", state="degraded", slow=True)
def database_killed(case: Case) -> Iterator[Seen]:
    _kill(case, POSTGRES)
    case.injected()
    yield case.until("degraded", 15)
    case.until("ready", 30, "kestra-postgres")
    # What its message advises; waiting three minutes would do as well.
    assert case.installation.launcher("restart", "kestra").code == 0


@row("F15", "database killed under kestra", "SIGKILL of the postmaster", state="degraded", kestra=True)
def database_killed_under_kestra(case: Case) -> Iterator[Seen]:
    _kill(case, POSTGRES)
    case.injected()
    yield case.until("degraded", 15)


@row("F15", "kestra killed", "SIGKILL of Kestra's process", state="starting", kestra=True)
def kestra_killed(case: Case) -> Iterator[Seen]:
    _kill(case, KESTRA)
    case.injected()
    yield case.until("starting", 15)
    assert case.until("ready", 120).state == "ready"


@row(
    "F16",
    "first start interrupted",
    "SIGKILL of the database while initdb runs",
    state="failed",
    code=1,
    slow=True,
    prepared=False,
)
def first_start_interrupted(case: Case) -> Iterator[Seen]:
    case.installation.shell["KESTRA_POSTGRES_IMAGE"] = database_image.POSTGRES  # so that initdb runs
    with case.starting("start", "kestra-postgres") as start:
        wait_for(lambda: (_files(case) / "PG_VERSION").exists(), 60, "initdb has begun", every=0.01)
        _kill(case, POSTGRES)
        case.injected()
        code = start.wait(300)
        told = case.installation.launcher("explain", "kestra-postgres", "--json").json()
        assert told["cause_id"] == "database-half-made", told
        yield Seen(case.read("kestra-postgres").state, code, case.since)
    # Nothing but an operator may give up a volume; this one was never filled.
    case.engine.docker("rm", "-f", POSTGRES)
    _give_up(case)


@row(
    "F17",
    "password changed",
    "another KESTRA_DB_PASSWORD in .env, the volume is old",
    state="failed",
    code=1,
    slow=True,
)
def password_changed(case: Case) -> Iterator[Seen]:
    env = case.installation.root / ".env"
    case.edit(DATABASE_PASSWORD, "another1Password2of3tests", Path(".env"))
    case.injected()
    seen = case.start(service="kestra-postgres", says="password")
    assert seen.seconds < 60, "it is known long before the time for a start is over"
    yield seen
    env.write_text(env.read_text().replace("another1Password2of3tests", DATABASE_PASSWORD))
    # Stopped, because a Kestra that is older than its database's start is believed only after three minutes.
    assert case.installation.launcher("stop").code == 0


@row(
    "F16",
    "volume removed",
    "docker volume rm of the database's data",
    state="refused",
    code=3,
    takes=DATA,
    slow=True,
)
def volume_removed(case: Case) -> Iterator[Seen]:
    """What is gone is gone; that it is, has to be said before an empty database takes its place."""
    assert case.installation.compose("down").code == 0
    case.engine.docker("volume", "rm", DATA)
    yield case.start(service="kestra-postgres", says=f"{DATA}, where the data of kestra-postgres was, is gone")
    assert DATA not in case.engine.docker("volume", "ls", "-q")
    assert case.installation.launcher("start", LAUNCHER_ALLOW_DATA_MOVE="kestra-postgres").code == 0


@row("F26", "another major version", "an image of PostgreSQL 18, the data are of 17", state="refused", code=3)
def another_major_version(case: Case) -> Iterator[Seen]:
    (case.folder / "Dockerfile").write_text(f"FROM {database_image.POSTGRES}\nENV PG_MAJOR=18\n")
    case.engine.docker("build", "--tag", "local/postgres:18-by-name", str(case.folder))
    before = case.ids()
    yield case.start(
        service="kestra-postgres",
        says=f"is PostgreSQL 18, and the data in the volume {DATA} is of 17",
        KESTRA_POSTGRES_IMAGE="local/postgres:18-by-name",
    )
    assert case.ids() == before, "the version of the data runs on"
    case.engine.docker("image", "rm", "local/postgres:18-by-name")


@row(
    "F23",
    "database out of memory",
    "a limit of 100 MB, then it sorts two million rows in memory",
    state="ready",
    slow=True,
)
def database_out_of_memory(case: Case) -> Iterator[Seen]:
    case.engine.docker("update", "--memory", "100m", "--memory-swap", "100m", POSTGRES)
    case.injected()
    case.sql(
        "set work_mem = '900MB'; select count(*) from (select random() r from generate_series(1, 2000000) "
        "order by r offset 0) sorted",
        check=False,
    )
    # The kernel takes the greedy process, PostgreSQL begins its others anew, and the container has never stopped.
    yield case.until("ready", 30, "kestra-postgres", "killed for lack of memory")
    case.engine.docker("update", "--memory", "0", "--memory-swap", "-1", POSTGRES)
    assert case.installation.launcher("restart").code == 0


@row("F18", "database paused", "docker pause", state="degraded", slow=True)
def database_paused(case: Case) -> Iterator[Seen]:
    case.engine.docker("pause", POSTGRES)
    case.injected()
    yield case.until("degraded", 10, "kestra-postgres", "paused")
    # A start would do, too; it believes a Kestra that is older than its database only after three minutes.
    assert case.installation.launcher("restart").code == 0


@row("F18", "database paused under kestra", "docker pause for 20 s", state="degraded", kestra=True)
def database_paused_under_kestra(case: Case) -> Iterator[Seen]:
    case.engine.docker("pause", POSTGRES)
    case.injected()
    seen = case.until("degraded", 10)
    wait_for(lambda: case.since > 20, 60, "20 s of pause")
    case.engine.docker("unpause", POSTGRES)
    yield seen


@row("F18", "database starved", "5 % of a processor from its start on", state="ready", slow=True)
def database_starved(case: Case) -> Iterator[Seen]:
    case.engine.docker("update", "--cpus", "0.05", POSTGRES)
    _kill(case, POSTGRES)
    case.injected()
    seen = case.until("ready", 120, "kestra-postgres")
    assert case.engine.inspect(POSTGRES, "{{.RestartCount}}") == "1", "nobody ended it while it was slow"
    yield seen
    case.engine.docker("update", "--cpus", "0", POSTGRES)
    assert case.installation.launcher("restart", "kestra").code == 0


@row("F19", "database damaged", "pg_control overwritten with zeros", state="failed", code=1, slow=True)
def database_damaged(case: Case) -> Iterator[Seen]:
    assert case.installation.launcher("stop").code == 0
    control = _files(case) / "global/pg_control"
    whole = control.read_bytes()
    control.write_bytes(bytes(len(whole)))
    case.injected()
    yield case.start(service="kestra-postgres", cause="database-half-made")
    control.write_bytes(whole)


@row(
    "F20",
    "disk full under the database",
    "its volume is a file system that is filled up",
    state="ready",
    slow=True,
    prepared=False,
    takes=DATA,
)
def disk_full_under_the_database(case: Case) -> Iterator[Seen]:
    with small_disk(case.folder / "database", 250) as disk:
        (disk / "data").mkdir()
        _on(case, disk / "data")
        case.up()
        ballast = fill(disk, 0)
        assert case.sql("create table more as select generate_series(1, 1000000)", check=False) == ""
        case.injected()
        # It still answers all questions; only writing fails. doctor is the one to tell of disks.
        seen = case.read("kestra-postgres")
        told = case.installation.launcher("doctor").out
        assert f"only 0 MB are free for kestra-postgres's data in {DATA}" in told, told
        yield seen
        ballast.unlink()
        case.sql("create table more as select 1")
        assert case.sql("select count(*) from witness") == "1000"
        case.installation.launcher("stop")
        case.engine.docker("rm", "-f", POSTGRES, KESTRA)
        _give_up(case)


@row(
    "F22",
    "volume not writable",
    "its volume is mounted read-only",
    state="failed",
    code=1,
    slow=True,
    prepared=False,
    without="I6",
)
def volume_not_writable(case: Case) -> Iterator[Seen]:
    with small_disk(case.folder / "database", 250) as disk:
        (disk / "data").mkdir()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        case.installation.shell["KESTRA_POSTGRES_IMAGE"] = database_image.POSTGRES  # so that initdb runs
        _on(case, disk / "data")
        yield case.start(service="kestra-postgres", cause="read-only")
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        done = case.installation.launcher("start")
        assert done.code == 0, done.text
        case.installation.launcher("stop")
        case.engine.docker("rm", "-f", POSTGRES, KESTRA)
        _give_up(case)
