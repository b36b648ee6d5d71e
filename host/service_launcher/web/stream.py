"""What clients are told as it happens: one watcher of the engine, fanned out to all of them, each with a bounded queue.

A client first gets a `snapshot`, then each `change` and each recorded `event`. Whoever comes back with the id of the
last one it has seen gets what it missed; where that is no longer known, a new snapshot. Nobody looks while nobody asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from service_launcher.errors import LauncherError
from service_launcher.installation import Installation
from service_launcher.models import now
from service_launcher.observation import Reading
from service_launcher.web.documents import service_document, without_ages
from service_launcher.web.refusals import Refused

if TYPE_CHECKING:
    from service_launcher.launcher import Launcher
    from service_launcher.models import Event, Usage

STREAMS = 200  # open at once; the next client is refused and may ask again
QUEUE = 256  # messages that wait for a client before it counts as too slow
KEPT = 2000  # messages that a client can have missed
RECENT = 200  # recorded events in a snapshot
ALIVE_SECONDS = 2.0  # a client that hears nothing for longer knows that the connection is gone
LINGER_SECONDS = 20.0  # how long the watcher goes on without anybody; older dashboards ask every 15 s
FIRST_SECONDS = 6.0  # for the first reading; a silent engine is known within 3 s
USAGE_SECONDS = 15.0
HEAR_SECONDS = 0.5  # between two looks at the record
REST_SECONDS = 5.0  # between two looks whether anybody still asks


@dataclass(frozen=True)
class View:
    """A reading as clients get it; what it was read with, and when."""

    launcher: Launcher
    reading: Reading
    services: Mapping[str, dict[str, Any]]
    problems: tuple[dict[str, Any], ...]
    at: datetime = field(default_factory=now)

    @property
    def engine(self) -> dict[str, Any]:
        """Whether the engine answers, and what to do if it does not."""
        error = self.reading.engine_error
        return {
            "answers": error is None,
            "error": error.summary if error else None,
            "fix": error.fix if error else None,
        }

    @property
    def frame(self) -> dict[str, Any]:
        """Everything but the services."""
        return {"engine": self.engine, "problems": list(self.problems)}


class _Watch:
    """The threads that look while somebody asks, and the events by which they end."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.usage: threading.Event | None = None


class Feed:
    """Keeps what is true now, and tells its subscribers what changes; its state belongs to the event loop's thread."""

    def __init__(self, installation: Installation, operations: Callable[[], list[dict[str, Any]]]) -> None:
        self._installation, self._operations = installation, operations
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscribers: set[asyncio.Queue[bytes | None]] = set()
        self._closed = False
        self._watch: _Watch | None = None
        self._wanted_until = 0.0
        self._first = asyncio.Event()
        self._view: View | None = None
        self._forget()

    # For the routes; on the event loop.

    async def view(self) -> View:
        """The present reading; the first one is waited for. Raises Refused."""
        self._want()
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                await self._first.wait()
        except TimeoutError:
            pass
        if self._view is None:
            raise Refused(503, "docker-down", "nothing could be read yet. Try: launcher status")
        return self._view

    async def listen(self, last_seen: str | None) -> AsyncIterator[bytes]:
        """Server-sent events for one client, until it goes, is too slow, or the server ends. Raises Refused at once."""
        if len(self._subscribers) >= STREAMS:
            raise Refused(503, "busy", f"{STREAMS} streams are open already", headers={"Retry-After": "5"})
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE)
        self._subscribers.add(queue)
        self._want()
        self._measure()
        return self._messages(queue, last_seen)

    def publish(self, name: str, payload: Mapping[str, Any], keep: bool = True) -> None:
        """Tell every subscriber; from any thread. What is not kept is not told again after a reconnect."""
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # closed in between
                self._loop.call_soon_threadsafe(self._tell, name, _json(payload), keep)

    def open(self) -> None:
        """Begin, on the running event loop."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """End every stream and all looking."""
        self._closed = True
        for queue in self._subscribers:
            _end(queue)
        self._end_watch()

    # On the event loop.

    async def _messages(self, queue: asyncio.Queue[bytes | None], last_seen: str | None) -> AsyncIterator[bytes]:
        try:
            missed = self._missed(last_seen)
            if missed is None:
                yield b": reading\n\n"
                with contextlib.suppress(Refused):
                    await self.view()
                missed = [self._snapshot(last_seen is not None)]
            while not queue.empty():  # all of it is in what was missed, or in the snapshot
                if queue.get_nowait() is None:
                    return
            for message in missed:
                yield message
            while True:
                try:
                    async with asyncio.timeout(ALIVE_SECONDS):
                        told = await queue.get()
                except TimeoutError:
                    yield b": alive\n\n"
                    continue
                if told is None:
                    return
                yield told
        finally:
            self._subscribers.discard(queue)
            self._want()  # for a while, in case it comes back
            self._measure()

    def _missed(self, last_seen: str | None) -> list[bytes] | None:
        """What was told after a message; None where that is not known."""
        epoch, _, number = (last_seen or "").partition("-")
        if epoch != self._epoch or not number.isdecimal() or self._view is None:
            return None
        known = self._kept[0][0] if self._kept else self._number + 1
        seen = int(number[:18])
        if not known - 1 <= seen <= self._number:
            return None
        return [message for n, message in self._kept if n > seen]

    def _snapshot(self, resync: bool) -> bytes:
        view = self._view
        body: dict[str, Any] = {
            "services": list(view.services.values()) if view else [],
            "read_at": view.at.isoformat() if view else None,
            "operations": self._operations(),
            "events": list(self._recent),
            "resync": resync,
            **(view.frame if view else {"engine": {"answers": False, "error": None, "fix": None}, "problems": []}),
        }
        return _message("snapshot", _json(body), f"{self._epoch}-{self._number}")

    def _tell(self, name: str, data: str, keep: bool) -> None:
        if keep:
            self._number += 1
        message = _message(name, data, f"{self._epoch}-{self._number}" if keep else None)
        if keep:
            self._kept.append((self._number, message))
        for queue in list(self._subscribers):
            try:
                queue.put_nowait(message)
            except asyncio.QueueFull:  # it comes back with the id of the last message that it has read
                self._subscribers.discard(queue)
                _end(queue)

    def _want(self) -> None:
        """Look from now on, and for a while."""
        self._wanted_until = time.monotonic() + LINGER_SECONDS
        if self._watch is None and not self._closed and self._loop is not None:
            watch = self._watch = _Watch()
            threading.Thread(target=self._look, args=(watch.stop,), daemon=True, name="web watcher").start()
            threading.Thread(target=self._hear, args=(watch.stop,), daemon=True, name="web events").start()
            self._loop.call_later(REST_SECONDS, self._rest)

    def _rest(self) -> None:
        """Stop looking when nobody has asked for a while."""
        if self._closed or self._loop is None:
            return
        if self._subscribers or time.monotonic() < self._wanted_until:
            self._loop.call_later(REST_SECONDS, self._rest)
        else:
            self._end_watch()
            self._forget()

    def _measure(self) -> None:
        """What containers use is asked only while somebody looks."""
        watch = self._watch
        if watch is None:
            return
        if self._subscribers and watch.usage is None:
            watch.usage = threading.Event()
            threading.Thread(target=self._weigh, args=(watch.usage,), daemon=True, name="web usage").start()
        elif not self._subscribers and watch.usage is not None:
            watch.usage.set()
            watch.usage = None

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.stop.set()
            if self._watch.usage is not None:
                self._watch.usage.set()
            self._watch = None

    def _forget(self) -> None:
        """A new beginning: what happens unseen cannot be told later, so old ids must not be trusted."""
        self._epoch, self._number = secrets.token_hex(4), 0
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)
        self._view = None
        self._first.clear()

    def _begin_anew(self, stop: threading.Event) -> None:
        if stop.is_set():
            return
        for queue in self._subscribers:
            _end(queue)
        self._end_watch()
        self._forget()

    def _take(self, stop: threading.Event, view: View, change: dict[str, Any], keep: bool) -> None:
        if stop.is_set():
            return
        self._view = view
        self._first.set()
        self._tell("change", _json(change), keep)

    def _remember(self, stop: threading.Event, events: Iterable[dict[str, Any]]) -> None:
        if not stop.is_set():
            self._recent.extendleft(reversed([e for e in events if e not in self._recent]))

    def _note(self, stop: threading.Event, event: dict[str, Any]) -> None:
        if not stop.is_set() and event not in self._recent:
            self._recent.append(event)
            self._tell("event", _json(event), True)

    # On threads of their own.

    def _look(self, stop: threading.Event) -> None:
        before: View | None = None
        try:
            for launcher, wrong, reading in self._installation.live(stop):
                view = _viewed(launcher, reading, wrong)
                self._call(self._take, stop, view, *_difference(before, view))
                before = view
        finally:
            self._call(self._begin_anew, stop)  # after an unforeseen failure: what was seen last is no answer for ever

    def _hear(self, stop: threading.Event) -> None:
        launcher, _ = self._installation.readable()
        coming = launcher.recorded_events(stop, every=HEAR_SECONDS)
        self._call(self._remember, stop, [_event(e) for e in launcher.events(limit=RECENT)])
        for event in coming:
            self._call(self._note, stop, _event(event))

    def _weigh(self, stop: threading.Event) -> None:
        while not stop.is_set():
            launcher, _ = self._installation.readable()
            for usage in launcher.follow_usage(stop, USAGE_SECONDS):
                self.publish("change", {"usage": [_usage(u) for u in usage]}, keep=False)
                if self._installation.readable()[0] is not launcher:
                    break

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and so does this thread soon
                self._loop.call_soon_threadsafe(function, *arguments)


def _viewed(launcher: Launcher, reading: Reading, wrong: LauncherError | None) -> View:
    services = {s.id: service_document(launcher, s, reading) for s in reading.statuses}
    problems = [problem.model_dump(mode="json") for problem in dict.fromkeys(reading.problems)]
    if wrong is not None:
        words = f"{launcher.redact(wrong.summary)}; what is shown rests on the values before"
        problems.insert(0, {"severity": "error", "summary": words, "fix": wrong.fix, "service": None, "raised_by": ""})
    return View(launcher, reading, services, tuple(problems))


def _difference(before: View | None, view: View) -> tuple[dict[str, Any], bool]:
    """What a client that knows the view before has to be told, and whether it matters later, too."""
    change: dict[str, Any] = {"read_at": view.at.isoformat()}
    if before is None or before.frame != view.frame:
        change.update(view.frame)
    known = before.services if before else {}
    differing = [d for s, d in view.services.items() if s not in known or without_ages(known[s]) != without_ages(d)]
    if differing:
        change["services"] = differing
    if gone := known.keys() - view.services.keys():
        change["gone"] = sorted(gone)
    matters = len(change) > 1
    # The age of the evidence is shown, so each check is told, as briefly as it can be.
    changed = {d["id"] for d in differing}
    change["observed"] = {
        service: [evidence["observed_at"] for evidence in document["current"]["evidence"]]
        for service, document in view.services.items()
        if service not in changed
    }
    return change, matters


def _event(event: Event) -> dict[str, Any]:
    return event.model_dump(mode="json")


def _usage(usage: Usage) -> dict[str, Any]:
    return usage.model_dump(mode="json")


def _end(queue: asyncio.Queue[bytes | None]) -> None:
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)


def _json(payload: object) -> str:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def _message(name: str, data: str, number: str | None) -> bytes:
    head = f"id: {number}\n" if number else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()
