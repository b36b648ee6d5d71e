"""Network namespaces: what a test starts sees no port of the machine, and no port of another test."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator

NETWORK_NAMESPACE = 0x40000000  # CLONE_NEWNET of linux/sched.h; Python has a name for it from 3.12 on
_libc = ctypes.CDLL(None, use_errno=True)


def leave() -> None:
    """Move this thread, and whatever it starts from here on, into a fresh network namespace with a loopback."""
    _checked(_libc.unshare(NETWORK_NAMESPACE))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def enter(descriptor: int) -> None:
    """Move this thread into the network namespace that an open file stands for."""
    _checked(_libc.setns(descriptor, NETWORK_NAMESPACE))


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """The same until the block ends."""
    with open("/proc/thread-self/ns/net", "rb") as before:
        leave()
        try:
            yield
        finally:
            enter(before.fileno())


def _checked(code: int) -> None:
    if code:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
