"""A served installation: the real server as its own process, and how a test talks to it."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import urllib3

from tests.engines import wait_for
from tests.installations import STAND_IN, Installation

LAUNCHER = Path(sys.executable).with_name("launcher")
PORT = 3500
STEADY = ("queued", "running")


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Served:
    """`launcher serve` for an installation, until the end of the block."""

    installation: Installation
    process: subprocess.Popen[bytes]
    port: int = PORT
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=30))

    @classmethod
    @contextlib.contextmanager
    def started(cls, installation: Installation, *options: str, port: int = PORT, **exported: str) -> Iterator[Served]:
        """Start it and wait until it answers."""
        command = [str(LAUNCHER), "--root", str(installation.root), "serve", *options]
        environment = {**installation.environment, **exported}
        with (
            (installation.root / "served.log").open("a") as log,
            subprocess.Popen(
                command, cwd=installation.root, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            ) as process,
        ):
            served = cls(installation, process, port)
            try:
                wait_for(served.answers, 20, "the server answers")
                yield served
            finally:
                served.http.clear()
                process.send_signal(signal.SIGCONT)
                process.terminate()
                process.wait(20)

    def answers(self) -> bool:
        """Whether somebody answers; fails at once when the process has ended."""
        assert self.process.poll() is None, "the server has ended"
        try:
            return self.call("GET", "/health").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    @property
    def address(self) -> str:
        """The page's address."""
        return f"http://127.0.0.1:{self.port}"

    def token(self, role: str = "operator") -> str:
        """A role's token, from its file."""
        name = "token" if role == "operator" else "token.view"
        return (self.installation.root / ".launcher" / name).read_text().strip()

    def call(
        self,
        method: str,
        path: str,
        role: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; `role` sends that role's token."""
        sent = {**({"Authorization": f"Bearer {self.token(role)}"} if role else {}), **(headers or {})}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        found = self.http.request(
            method, self.address + path, body=None if body is None else json.dumps(body), headers=sent, redirect=False
        )
        return Answer(found.status, found.headers, found.data)

    def begin(self, action: str, service: str = "kestra", **headers: str) -> dict[str, Any]:
        """Begin an operation as the operator."""
        answer = self.call("POST", f"/api/services/{service}/{action}", "operator", {}, headers)
        assert answer.status == 202, answer.body
        return dict(answer.json())

    def ended(self, operation: Mapping[str, Any], seconds: float = 90) -> dict[str, Any]:
        """An operation once it has ended."""

        def found() -> dict[str, Any] | None:
            now = self.call("GET", f"/api/operations/{operation['id']}", "viewer").json()
            return None if now["state"] in STEADY else now

        return dict(wait_for(found, seconds, "the operation ends", every=0.1))  # type: ignore[call-overload]

    def state(self, service: str = "kestra-orchestrator") -> str:
        """A service's state by the API."""
        return str(self.call("GET", f"/api/services/{service}").json()["state"])

    def raw(self, data: bytes, seconds: float = 5, host: str = "127.0.0.1") -> bytes:
        """Bytes over a connection of their own, and everything that comes back until it is closed or silent."""
        with socket.create_connection((host, self.port), timeout=seconds) as connection:
            received = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                connection.sendall(data)
                while piece := connection.recv(65536):
                    received += piece
                    if _whole(received):
                        break
            return received

    def code(self, role: str = "operator") -> str:
        """The address with a one-use code, as `launcher open` prints it."""
        more = ["--view"] if role == "viewer" else []
        done = self.installation.launcher("open", "--no-browser", "--port", str(self.port), *more)
        assert done.code == 0, done.text
        return done.out.strip()

    @contextlib.contextmanager
    def stream(self, role: str = "viewer", last: str | None = None) -> Iterator[Stream]:
        """The server-sent events, read by a thread."""
        headers = {"Authorization": f"Bearer {self.token(role)}", **({"Last-Event-ID": last} if last else {})}
        pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=30))
        answer = pool.request("GET", f"{self.address}/api/events", headers=headers, preload_content=False)
        assert answer.status == 200, answer.read()
        stream = Stream(answer)
        try:
            yield stream
        finally:
            stream.close()

    @property
    def memory(self) -> int:
        """The server's resident bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


class Stream:
    """Messages as they come: dictionaries of event, id and data."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer = answer
        self.messages: list[dict[str, Any]] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        with contextlib.suppress(urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError):
            for piece in self._answer.stream(2**16, decode_content=False):
                *whole, rest = (rest + piece).split(b"\n\n")
                for message in whole:
                    fields = dict(line.split(": ", 1) for line in message.decode().split("\n") if ": " in line)
                    if "event" in fields:
                        self.messages.append({**fields, "data": json.loads(fields["data"])})
        self.ended.set()

    def wait(self, wanted: Any, seconds: float = 10) -> dict[str, Any]:
        """The first message of which `wanted` is true."""
        found = wait_for(lambda: next((m for m in list(self.messages) if wanted(m)), None), seconds, "a message", 0.01)
        assert isinstance(found, dict)
        return found

    def snapshot(self) -> dict[str, Any]:
        """The first message."""
        return self.wait(lambda m: m["event"] == "snapshot")

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(Exception):
            self._answer.close()


def _whole(received: bytes) -> bool:
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return False


def copied(checkout: Path, root: Path, engine: Any) -> Installation:
    """An installation with the stand-in."""
    return Installation.copied(checkout, root, engine, kestra=STAND_IN)
