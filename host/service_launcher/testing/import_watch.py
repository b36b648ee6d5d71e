"""Imports the target of an entry point in a process of its own and prints, as JSON, what that did beside importing.

    python import_watch.py MODULE[:OBJECT]

The host is imported first: only what the plugin itself brings is counted. Run as a file, so that pytest is not there.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time

import service_launcher  # noqa: F401 - here before the watching begins

NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind", "socket.sendto")
PROCESSES = ("subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec")
#: Parts of the host that a reading command must not pay for, and what only tests need.
HEAVY = ("docker", "python_on_whales", "requests", "rich", "pytest", "copier", "starlette", "uvicorn")


def main(target: str) -> None:
    """Watch one import; the interpreter's own audit events tell of sockets and processes."""
    told: list[str] = []
    watching = True

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event in (*NETWORK, *PROCESSES):
            told.append(event)

    before = set(sys.modules)
    sys.addaudithook(audit)
    with tempfile.TemporaryFile() as output:
        stdout = os.dup(1)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        began = time.perf_counter()
        importlib.import_module(target.partition(":")[0])
        seconds = time.perf_counter() - began
        watching = False
        sys.stdout.flush()
        sys.stderr.flush()
        output.seek(0)
        printed = output.read().decode("utf-8", "replace")
    report = {
        "seconds": seconds,
        "printed": printed,
        "network": sorted({event for event in told if event in NETWORK}),
        "processes": sorted({event for event in told if event in PROCESSES}),
        "heavy": sorted(set(HEAVY) & (set(sys.modules) - before)),
    }
    os.write(stdout, json.dumps(report).encode())


if __name__ == "__main__":
    main(sys.argv[1])
