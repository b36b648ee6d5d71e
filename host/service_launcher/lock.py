"""One writer per compose project: a lock that lives as long as the docker child that works under it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from service_launcher.errors import Busy, ConfigurationError
from service_launcher.models import now


@contextlib.contextmanager
def hold(folder: Path, name: str, actor: str, action: str) -> Iterator[Path]:
    """Hold the lock `name` in a folder; yields the lock file for children to share. Raises Busy, ConfigurationError.

    It is taken exclusively and then turned into a shared lock, so that `flock --shared` lets children in and
    keeps other launchers out even after this process is killed. The turning is not atomic: who loses the
    lock in that moment is refused like any other second caller.
    """
    path = folder / f"{name}.lock"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"the lock {path} cannot be used: {error.strerror}",
            f"df -h {folder.parent}; ls -ld {folder.parent} {folder}",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            holder = {"pid": os.getpid(), "actor": actor, "since": now().isoformat(), "action": action}
            with contextlib.suppress(OSError):  # a full disk has no room for a name; the lock holds without one
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(holder).encode(), 0)
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(_held_by(name, descriptor), "wait for it to end, then try again") from error
        yield path
    finally:
        os.close(descriptor)


def _held_by(name: str, descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"{name} is held by {holder['actor']} (pid {holder['pid']}) since {holder['since']}: {holder['action']}"
    except (ValueError, KeyError, TypeError):
        return f"{name} is held by another operation"
