"""The logs of a service for a client: batches of lines from a thread, which waits for a client that reads slowly."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from service_launcher.errors import LauncherError
from service_launcher.models import LogLine
from service_launcher.web.refusals import Refused, refused

if TYPE_CHECKING:
    from service_launcher.launcher import Launcher

MOST_LINES = 100_000
FOLLOWERS = 32  # of logs, at once
BATCH_LINES = 1000
GATHER_SECONDS = 0.05  # lines that come one by one are sent together
ALIVE_SECONDS = 2.0
WORD_LENGTH = 200  # of what to search for


class LogStreams:
    """Hands out the logs; keeps count of those who follow."""

    def __init__(self) -> None:
        self._following: set[threading.Event] = set()

    def close(self) -> None:
        """End all following."""
        for stop in self._following:
            stop.set()

    async def lines(
        self, launcher: Launcher, service: str, tail: int, since: datetime | None, grep: str | None, follow: bool
    ) -> AsyncIterator[bytes]:
        """Lines of JSON, one of a log's lines each: `time`, `service`, `text`; when following also empty ones.

        `grep` is plain text: an expression could keep the server busy for as long as a viewer likes.
        Raises Refused at once: for a name that is none, or a service without a container.
        """
        if len(self._following) >= FOLLOWERS:
            raise Refused(503, "busy", f"{FOLLOWERS} clients follow logs already", headers={"Retry-After": "5"})
        stop = threading.Event()
        pattern = re.compile(re.escape(grep)) if grep else None
        try:
            found = await asyncio.to_thread(launcher.logs, [service], tail, since, pattern, stop if follow else None)
        except LauncherError as error:
            raise refused(error, f"launcher logs {service}") from error
        return self._read(found, stop, follow)

    async def _read(self, found: Iterator[LogLine], stop: threading.Event, follow: bool) -> AsyncIterator[bytes]:
        gathered = _Gathered(asyncio.get_running_loop(), found, stop, follow)
        self._following.add(stop)
        threading.Thread(target=gathered.read, daemon=True, name="web logs").start()
        try:
            while (batch := await gathered.take()) is not None:
                yield batch
        finally:
            stop.set()
            gathered.room.set()
            self._following.discard(stop)


class _Gathered:
    """Lines on their way from the reading thread to the event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, lines: Iterator[LogLine], stop: threading.Event, follow: bool
    ) -> None:
        self._loop, self._lines, self._stop, self._follow = loop, lines, stop, follow
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._ended = False
        self._some = asyncio.Event()
        self.room = threading.Event()

    def read(self) -> None:
        """Put lines down until there are no more; wait while the client has too many before it."""
        try:
            for line in self._lines:
                if self._put(_line(line)) >= BATCH_LINES * 2:
                    self.room.clear()
                    while not self._stop.is_set() and not self.room.wait(1.0):
                        pass
                if self._stop.is_set():
                    break
        except LauncherError as error:
            self._put(json.dumps({"error": error.summary, "fix": error.fix}, ensure_ascii=False).encode() + b"\n")
        with self._lock:
            self._ended = True
        self._wake()

    async def take(self) -> bytes | None:
        """The lines that wait; empty ones while none come; None at the end."""
        try:
            async with asyncio.timeout(ALIVE_SECONDS):
                await self._some.wait()
        except TimeoutError:
            return b"\n"
        if self._follow:
            await asyncio.sleep(GATHER_SECONDS)
        with self._lock:
            batch, self._waiting = self._waiting, []
            self._some.clear()
            if self._ended:
                self._some.set()
        self.room.set()
        return b"".join(batch) if batch else None if self._ended else b""

    def _put(self, line: bytes) -> int:
        with self._lock:
            self._waiting.append(line)
            waiting = len(self._waiting)
        if waiting == 1:
            self._wake()
        return waiting

    def _wake(self) -> None:
        if not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(self._some.set)
            except RuntimeError:
                self._stop.set()  # the server has ended


def _line(line: LogLine) -> bytes:
    # By hand: a hundred thousand of them at once are quicker so than through the record's own serializer.
    told = {"time": line.time.isoformat(), "service": line.service, "text": line.text}
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
