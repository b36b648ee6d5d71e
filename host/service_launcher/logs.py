"""The output of services' containers: of several merged by time, bounded, redacted, and followed over restarts."""

from __future__ import annotations

import heapq
import queue
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from service_launcher.containers import Container, moment
from service_launcher.engine import Engine
from service_launcher.errors import LauncherError
from service_launcher.models import LogLine, now
from service_launcher.redaction import Redactor

LINE_BYTES = 32_000  # of a longer line only the beginning is shown
WAITING_LINES = 1_000  # read ahead per reader of a log that is followed
AGAIN_SECONDS = 0.5  # how soon a container that was started again is seen


@dataclass(frozen=True)
class Selection:
    """Which lines: the last `tail` of each container (None: all), from `since` on, those that `grep` is found in."""

    tail: int | None = None
    since: datetime | None = None
    grep: re.Pattern[str] | None = None


@dataclass(frozen=True)
class Logs:
    """Reads the logs of services; `container` finds a service's present one. Raises EngineUnavailable."""

    engine: Engine
    container: Callable[[str], Container | None]
    redact: Redactor

    def read(self, services: Sequence[str], selection: Selection) -> Iterator[LogLine]:
        """What is there, all services merged by time."""
        found = [(service, self.container(service)) for service in services]
        streams = [self._lines(service, c.id, selection) for service, c in found if c is not None]
        yield from (line for _, line in heapq.merge(*streams, key=lambda pair: pair[0]))

    def follow(self, services: Sequence[str], selection: Selection, stop: threading.Event) -> Iterator[LogLine]:
        """What is there and what comes, in the order of arrival, until `stop` is set.

        A container that ends, or is made anew, is followed again as soon as it is back; so is one after the
        engine was away.
        """
        arriving: queue.Queue[LogLine] = queue.Queue(WAITING_LINES)
        for service in services:
            arguments = (service, selection, stop, arriving)
            threading.Thread(target=self._attend, args=arguments, daemon=True, name=f"logs of {service}").start()
        while not stop.is_set():
            try:
                yield arriving.get(timeout=AGAIN_SECONDS)
            except queue.Empty:
                continue

    def _attend(
        self, service: str, selection: Selection, stop: threading.Event, arriving: queue.Queue[LogLine]
    ) -> None:
        last, began = "", now()
        while not stop.is_set():
            try:
                container = self.container(service)
                if container is not None:
                    for stamp, line in self._lines(service, container.id, selection, follow=True, after=last):
                        last = stamp
                        if not _put(arriving, line, stop):
                            return
                    selection = replace(selection, tail=None, since=moment(last) or began)
            except LauncherError:
                pass  # the engine is away; whoever follows wants to see what comes when it is back
            stop.wait(AGAIN_SECONDS)

    def _lines(
        self, service: str, container: str, selection: Selection, follow: bool = False, after: str = ""
    ) -> Iterator[tuple[str, LogLine]]:
        """Stamp and line of one container; the engine's stamps have a fixed length, so they sort as text."""
        spare = self.redact.longest  # where a line is cut a secret may be cut, too, and is not recognised any more
        pieces = self.engine.logs(container, selection.tail, selection.since, follow)
        for raw, left_out in _whole_lines(pieces, LINE_BYTES + spare):
            stamp, _, rest = raw.partition(b" ")
            time = moment(stamp.decode("ascii", "replace"))
            if time is None or (at := stamp.decode()) <= after:
                continue
            text = self.redact(rest.decode("utf-8", "replace").rstrip("\r"))
            if left_out:
                text = f"{text[: max(0, len(text) - spare)]} … ({left_out + spare} more bytes)"
            if selection.grep is None or selection.grep.search(text):
                yield at, LogLine(service=service, time=time, text=text)


def _put(arriving: queue.Queue[LogLine], line: LogLine, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            arriving.put(line, timeout=AGAIN_SECONDS)
        except queue.Full:
            continue
        return True
    return False


def _whole_lines(pieces: Iterator[bytes], most: int) -> Iterator[tuple[bytes, int]]:
    """Lines from pieces of them, none longer than `most`, and how many bytes of each were left out."""
    rest, left_out = b"", 0
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line[:most], left_out + max(0, len(line) - most)
            left_out = 0
        left_out += max(0, len(rest) - most)
        rest = rest[:most]
    if rest:
        yield rest, left_out
