"""Disks that are full: the Engine's, the installation's, the one of the record of events (F21)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from tests.conftest import CHECKOUT
from tests.faults.campaign import Case, Recorded, Seen, row
from tests.faults.own_engine import fill, small_disk
from tests.installations import STAND_IN


@row(
    "F21",
    "disk full for the engine",
    "its data root, an ext4 of 2 GB, is filled up to 100 MB",
    state="refused",
    code=3,
    slow=True,
    disk=2000,
)
def disk_full_for_the_engine(case: Case) -> Iterator[Seen]:
    assert case.installation.launcher("stop").code == 0
    ballast = fill(case.engine.folder, 100_000_000)
    yield case.start(service="kestra-postgres", says="MB are free for the Docker Engine's data")
    ballast.unlink()


@row(
    "F21",
    "disk full under running services",
    "the Engine's data root has not one byte left",
    state="ready",
    slow=True,
    disk=2000,
)
def disk_full_under_running_services(case: Case) -> Iterator[Seen]:
    ballast = fill(case.engine.folder, 0)
    case.injected()
    assert case.installation.launcher("start").code == 0, "there is nothing to do"
    yield case.read()
    ballast.unlink()


@row(
    "F21",
    "disk full for .env",
    "launcher init on a disk without one byte left",
    state="not written",
    code=2,
    prepared=False,
)
def disk_full_for_env(case: Case) -> Iterator[Seen]:
    with small_disk(case.folder / "small", 30) as disk:
        moved = Recorded.copied(CHECKOUT, disk / "root", case.engine, kestra=STAND_IN)
        commands, case.installation = case.installation.commands, moved
        assert moved.launcher("init").code == 0
        before = (moved.root / ".env").read_bytes()
        ballast = fill(disk, 0)
        done = moved.launcher("init", "--default", "ADDED=1")
        assert ".env cannot be written" in done.err, done.text
        assert (moved.root / ".env").read_bytes() == before
        assert not list(moved.root.glob(".env.*.new"))
        yield Seen("not written", done.code, done.seconds)
        ballast.unlink()
        assert moved.launcher("init", "--default", "ADDED=1").code == 0
        assert (moved.root / ".env").read_bytes().startswith(before)
        commands += moved.commands
    case.installation = Recorded.copied(CHECKOUT, case.folder / "again", case.engine, kestra=STAND_IN)
    case.installation.commands = commands


@row("F21", "disk full for the record", ".launcher on a disk without one byte left", state="ready")
def disk_full_for_the_record(case: Case) -> Iterator[Seen]:
    state = case.installation.root / ".launcher"
    kept = case.folder / "kept"
    shutil.move(state, kept)
    with small_disk(state, 10) as disk:
        shutil.copytree(kept, disk, dirs_exist_ok=True)
        ballast = fill(disk, 0)
        done = case.installation.launcher("restart", "kestra")
        assert done.code == 0, done.text
        assert "events are not recorded" in done.text
        yield case.read()
        ballast.unlink()
    state.rmdir()
    shutil.move(kept, state)
