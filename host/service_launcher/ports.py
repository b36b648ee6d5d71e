"""Who holds a port of this machine, and which one is free instead."""

from __future__ import annotations

import socket

import psutil

PROXY = "docker-proxy"  # the process by which the engine publishes a port


def holder(port: int) -> str | None:
    """The process that listens on a TCP port, in words for a person; None when nobody does."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            if connection.pid is None:
                return "a process of another user"
            try:
                return f"the process {psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.Error:
                return f"a process (pid {connection.pid})"
    return None


def free_port(first: int) -> int:
    """The first port from `first` on that nobody holds."""
    for port in range(first, 65536):
        with socket.socket() as candidate:
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return 0
