"""One writer at a time: who comes second is told at once who holds the lock, and a killed holder's child keeps it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_launcher import lock
from service_launcher.errors import Busy, ConfigurationError

HOLDER = """
import sys
from pathlib import Path
from service_launcher import lock
with lock.hold(Path(sys.argv[1]), "tools", "ana (cli)", "start kestra"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def running(*argv: str, says: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has said that it is there and ends when its standard input does."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == says
            yield process
        finally:
            process.kill()


def holder(folder: Path) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """Another launcher in the middle of an operation."""
    return running(sys.executable, "-c", HOLDER, str(folder), says="held")


def take(folder: Path) -> None:
    """Take the lock and let it go."""
    with lock.hold(folder, "tools", "rui (cli)", "stop"):
        pass


def test_the_second_is_refused_at_once_and_told_who_since_when_and_what_for(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        began = time.monotonic()
        with pytest.raises(Busy) as refused:
            take(tmp_path)
        assert time.monotonic() - began < 1
        assert refused.value.exit_code == 4
        assert refused.value.summary.startswith(f"tools is held by ana (cli) (pid {process.pid}) since 20")
        assert refused.value.summary.endswith("+00:00: start kestra")


def test_the_lock_is_free_once_its_holder_has_ended(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
        take(tmp_path)


def test_two_holders_in_one_process_are_two(tmp_path: Path) -> None:
    with lock.hold(tmp_path, "tools", "ana", "start"), pytest.raises(Busy, match="held by ana"):
        take(tmp_path)
    take(tmp_path)


def test_an_error_inside_lets_the_lock_go(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock.hold(tmp_path, "tools", "ana", "start"):
        raise KeyError
    take(tmp_path)


def test_other_projects_are_not_locked(tmp_path: Path) -> None:
    with lock.hold(tmp_path, "tools", "ana", "start"), lock.hold(tmp_path, "data", "ana", "start"):
        pass


def test_a_child_shares_the_lock_and_keeps_it_when_the_launcher_is_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        shared = [
            "flock",
            "--shared",
            "--nonblock",
            "--no-fork",
            str(tmp_path / "tools.lock"),
            "sh",
            "-c",
            "echo up; exec cat",
        ]
        with running(*shared, says="up") as child:
            process.kill()
            process.wait(10)
            with pytest.raises(Busy, match=r"held by ana \(cli\)"):
                take(tmp_path)
            assert child.stdin is not None
            child.stdin.close()
            child.wait(10)
            take(tmp_path)


def test_the_lock_file_is_private_and_its_folder_is_made(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with lock.hold(tmp_path / "state/locks", "tools", "ana", "start") as file:
            assert file == tmp_path / "state/locks/tools.lock"
            assert file.stat().st_mode & 0o777 == 0o600
            assert file.parent.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 1}', b"\xff"])
def test_a_lock_file_that_tells_nothing_still_locks(tmp_path: Path, content: bytes) -> None:
    with holder(tmp_path):
        (tmp_path / "tools.lock").write_bytes(content)
        with pytest.raises(Busy, match="tools is held by another operation"):
            take(tmp_path)


def test_a_link_in_place_of_the_lock_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "tools.lock").symlink_to(tmp_path / "target")
    with pytest.raises(ConfigurationError, match="symbolic links"):
        take(tmp_path)
    assert (tmp_path / "target").read_text() == "precious"


def test_a_full_disk_is_not_another_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    take(tmp_path)  # it holds without the name of its holder
