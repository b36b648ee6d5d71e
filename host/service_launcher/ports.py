"""Who holds a port of this machine, and which one is free instead."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

PROXY = "docker-proxy"  # the process by which the engine publishes a port


@dataclass(frozen=True)
class Holder:
    """The process that listens on a port, and its user, as far as we may see them; as text, in words for a person."""

    pid: int | None = None
    name: str | None = None
    user: int | None = None

    @property
    def engine(self) -> bool:
        """Whether it is the engine, on behalf of a container."""
        return self.name == PROXY

    def __str__(self) -> str:
        if self.pid is None:
            return "a process of another user"
        return f"the process {self.name} (pid {self.pid})" if self.name else f"a process (pid {self.pid})"


def holder(port: int) -> Holder | None:
    """Who listens on a TCP port; None when nobody does."""
    return next(holders(port), None)


def holders(port: int) -> Iterator[Holder]:
    """All who listen on a TCP port, on whichever addresses."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            name = user = None
            if connection.pid is not None:
                with contextlib.suppress(psutil.Error):
                    process = psutil.Process(connection.pid)
                    name, user = process.name(), process.uids().effective
            yield Holder(connection.pid, name, user)


def free_port(first: int) -> int:
    """The first port from `first` on that nobody holds, else the first above 1023; 0 when all are held."""
    for port in itertools.chain(range(first, 65536), range(1024, min(first, 65536))):
        with socket.socket() as candidate:
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return 0
