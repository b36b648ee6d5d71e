"""The append-only record of operations, and telling whoever listens; listeners can never affect the action."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from service_launcher import atomic_file
from service_launcher.models import Event, LastKnown, ServiceState
from service_launcher.redaction import Redactor

Listener = Callable[[Event], None]

#: At this size the record becomes the older one, in place of the one before; together they take twice as much at most.
MAX_BYTES = 5_000_000

TAIL_BYTES = 500_000  # how far back the last state of a service, and the end of an operation, are looked for
FOLLOW_SECONDS = 0.05  # how often a follower looks whether the record has grown

NEVER = datetime.min.replace(tzinfo=UTC)

#: What is compared later and said by the launcher itself. A password that is a word of an id must not change it.
_EXACT = frozenset({"action", "before", "image", "image_id", "places", "requested", "state"})

_STATES = frozenset(state.value for state in ServiceState)


class LastReady(NamedTuple):
    """What was remembered of a service when it was last ready, all empty where nothing was.

    `places` is where its data is, container path to folder or volume; `image` the name by which its container was
    made, `image_id` the Engine's id of that image, which holds where the name has moved on.
    """

    places: Mapping[str, str] = MappingProxyType({})
    image: str = ""
    image_id: str = ""


class EventLog:
    """Writes events as JSON lines, 0600, then tells the listeners in turn."""

    def __init__(self, path: Path, redact: Redactor) -> None:
        self._path = path
        self._older = path.with_suffix(".1.jsonl")
        self._kept = path.with_suffix(".kept.jsonl")  # of what is older still, what is needed
        self._redact = redact
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every event after it is recorded; it must not raise."""
        self._listeners.append(listener)

    def record(self, event: Event) -> None:
        """Append one event and tell the listeners. A full disk loses the line, not the operation."""
        whole = event.model_dump(mode="json")
        detail = whole["detail"]
        exact = _EXACT if isinstance(detail.get("services"), dict) else _EXACT | {"services"}  # ids, else words on each
        free = {name: value for name, value in detail.items() if name not in exact}
        whole["detail"] |= self._redacted(free)
        whole["actor"] = self._redact(event.actor)
        line = json.dumps(whole, ensure_ascii=False) + "\n"
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            self._turn_over()
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                written = os.write(descriptor, line.encode())  # one write: lines of two processes do not mix
                if written < len(line.encode()):
                    os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(descriptor)
            self.lost = None
        except OSError as error:
            self.lost = f"events are not recorded: {self._path.name}: {error.strerror}"
        for listener in self._listeners:
            listener(event)

    def read(self) -> Iterator[Event]:
        """What is recorded, oldest first; a line that is no event (cut off by a full disk, say) is passed over."""
        with contextlib.ExitStack() as opened:
            # The newest first and all at once: none that moves up meanwhile is missed.
            files, known = [], set()
            for path in (self._path, self._older, self._kept):
                with contextlib.suppress(OSError):
                    file = opened.enter_context(path.open("rb"))
                    if (inode := os.fstat(file.fileno()).st_ino) not in known:
                        files.append(file)
                        known.add(inode)
            for file in reversed(files):
                yield from _events(file.read())

    def last_states(self) -> dict[str, LastKnown]:
        """The state of each service when it was last recorded, as far as the end of the record reaches."""
        found = {}
        for event in self._latest():
            if event.what == "state.changed" and event.service and event.detail.get("state") in _STATES:
                found[event.service] = LastKnown(state=ServiceState(event.detail["state"]), at=event.time)
        return found

    def wanted(self) -> set[str]:
        """The services that were up when last something was asked of them."""
        return _wanted(self.read)

    def wanted_lately(self) -> set[str]:
        """The same, as far as the end of the record reaches: quick enough for every status."""
        return _wanted(self._latest)

    def unfinished(self) -> dict[str, Event]:
        """The operations that have begun and, by the end of the record, not ended: id to first event."""
        found: dict[str, Event] = {}
        for event in self._latest():
            if event.what == "operation.started" and event.operation:
                found[event.operation] = event
            elif event.what == "operation.finished" and event.operation:
                found.pop(event.operation, None)
        return found

    def last_ready(self, service: str) -> LastReady:
        """What held when an operation last saw a service ready."""
        found = LastReady()
        for event in self.read():
            if event.service == service and isinstance(event.detail.get("places"), dict):
                found = LastReady(**{name: event.detail[name] for name in LastReady._fields if name in event.detail})
        return found

    def follow(self, stop: threading.Event, every: float = FOLLOW_SECONDS) -> Iterator[Event]:
        """What is recorded from this call on, by any process, until `stop` is set; also when the record turns over."""
        return self._following(stop, every, *self._end())

    def _following(self, stop: threading.Event, every: float, position: int, inode: int) -> Iterator[Event]:
        while not stop.wait(every):
            end, present = self._end()
            if present and present != inode:  # turned over; what was added just before that is in the older file
                if inode:
                    yield from self._between(self._older, position, None)
                position, inode = 0, present
            if end > position:
                data = b"".join(self._bytes(self._path, position, end))
                whole = data[: data.rfind(b"\n") + 1]
                position += len(whole)
                yield from _events(whole)

    def _turn_over(self) -> None:
        """Make room when the record is full: one process at a time, the others go on in the file that they have.

        Where that fails the record grows on: a line too many is better than one that is lost.
        """
        with contextlib.suppress(OSError), self._path.open("rb") as full:
            if os.fstat(full.fileno()).st_size <= MAX_BYTES:
                return
            fcntl.flock(full, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(full.fileno()).st_ino != self._path.stat().st_ino:
                return
            # What nobody adds to any more, so that nothing is missed; done twice it would say the same.
            before = [path.read_bytes() for path in (self._kept, self._older) if path.exists()]
            kept = _needed(lambda: (event for data in before for event in _events(data)))
            if kept:
                atomic_file.replace(self._kept, "".join(event.model_dump_json() + "\n" for event in kept))
            self._path.replace(self._older)

    def _latest(self) -> Iterator[Event]:
        end, _ = self._end()
        if end < TAIL_BYTES:
            with contextlib.suppress(OSError):
                size = self._older.stat().st_size
                yield from self._between(self._older, max(0, size - TAIL_BYTES + end), size)
        yield from self._between(self._path, max(0, end - TAIL_BYTES), end)

    def _end(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return 0, 0
        return found.st_size, found.st_ino

    def _between(self, path: Path, start: int, end: int | None) -> Iterator[Event]:
        for data in self._bytes(path, start, end):
            yield from _events(data)

    @staticmethod
    def _bytes(path: Path, start: int, end: int | None) -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                file.seek(start)
                yield file.read() if end is None else file.read(end - start)
        except OSError:
            return

    def _redacted(self, value: Any) -> Any:
        """Value by value: masks and escapes in finished JSON could break it."""
        match value:
            case str():
                return self._redact(value)
            case dict():
                return {key: self._redacted(item) for key, item in value.items()}
            case list():
                return [self._redacted(item) for item in value]
        return value

    #: Why the last event could not be written, for the report of the operation.
    lost: str | None = None


def _events(data: bytes) -> Iterator[Event]:
    for line in data.splitlines():
        try:
            yield Event.model_validate_json(line)
        except ValueError:
            continue


def _wanted(events: Callable[[], Iterable[Event]]) -> set[str]:
    """What of these events was up when last something was asked of it.

    The engine tells a stop that is part of a start or restart, as of what crashes or has changed, as it tells any
    other; only the operation knows better.
    """
    found: set[str] = set()
    before: dict[str, set[str]] = {}  # what was wanted when an operation began
    on_the_way: dict[str, datetime] = {}  # when an operation has stopped a service to start it again
    starts = _starts(events())  # read twice, because a full record takes ten times its size in memory
    for event in events():
        service, requested = event.service, event.detail.get("requested")
        if event.what == "operation.started" and event.operation:
            before[event.operation] = set(found)
        elif event.what != "state.changed" or service is None:
            continue
        elif event.detail.get("state") == ServiceState.READY:
            found.add(service)
        elif requested is False:
            on_the_way[service] = event.time
            if service in before.get(event.operation or "", ()):
                found.add(service)
        elif requested:
            ours = event.time <= on_the_way.get(service, NEVER)
            ours = ours or any(since <= event.time <= until for since, until in starts.get(service, ()))
            if event.actor != "engine" or not ours:
                found.discard(service)
    return found


def _starts(events: Iterable[Event]) -> dict[str, list[tuple[datetime, datetime]]]:
    """From when until when each service was being started; nothing of an operation that was killed, or goes on."""
    begun: dict[str | None, Event] = {}
    found: dict[str, list[tuple[datetime, datetime]]] = {}
    for event in events:
        if event.what == "operation.started" and event.detail.get("action") != "stop":
            begun[event.operation] = event
        elif event.what == "operation.finished" and event.operation in begun and "seconds" in event.detail:
            start = begun.pop(event.operation)
            for service in start.detail.get("services", ()):
                found.setdefault(service, []).append((start.time, event.time))
    return found


def _needed(events: Callable[[], Iterable[Event]]) -> list[Event]:
    """The fewest of these events from which follow what is wanted and where data is, in their order."""
    wanted = _wanted(events)
    told: dict[tuple[str | None, str], int] = {}
    for number, event in enumerate(events()):
        if isinstance(event.detail.get("places"), dict):
            told[event.service, "places"] = number
        if event.what == "state.changed" and event.service in wanted and event.detail.get("state") == "ready":
            told[event.service, "ready"] = number
        if event.what == "state.changed" and event.service not in wanted and event.detail.get("requested"):
            told[event.service, "stopped"] = number
    needed = set(told.values())
    return [event for number, event in enumerate(events()) if number in needed]
