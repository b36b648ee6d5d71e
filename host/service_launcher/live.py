"""Readings as they change, and the record of what happened meanwhile: deaths, lack of memory, health, states.

Any number of processes may look; the one that holds the recorder's lock writes, so that nothing is recorded twice.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from service_launcher import lock
from service_launcher.compose_service import MODE, SERVICE
from service_launcher.containers import PROCESS_ENDED, Container, ContainerEvent
from service_launcher.engine import Changes, Engine
from service_launcher.engine_view import EngineView, Inspections
from service_launcher.errors import Busy, ConfigurationError, EngineUnavailable
from service_launcher.events import EventLog
from service_launcher.main_processes import MainProcesses
from service_launcher.models import Event, ServiceState, now
from service_launcher.observation import Observer, Reading

REREAD_SECONDS = 5.0  # what an application answers has no event
HURRIED_SECONDS = 0.5  # the same while something is on its way up or down
PING_SECONDS = 1.0  # how soon a frozen engine is noticed
RECONNECT_SECONDS = 1.0


@dataclass
class Heard:
    """Up to when the engine's events were heard; handed on, so that none between two subscriptions is missed."""

    until: datetime | None = None


@dataclass
class Live:
    """Watches an installation's services until told to stop."""

    observer: Observer
    engine: Engine
    events: EventLog
    locks: Path
    actor: str
    record: bool = True

    def readings(
        self, services: Sequence[str], stop: threading.Event, heard: Heard | None = None
    ) -> Generator[Reading, None, None]:
        """A reading at once, and one after each change and every few seconds, until `stop` is set.

        A silent engine makes everything unknown within 3 s, and is asked again every second.
        """
        heard = heard or Heard()
        with contextlib.ExitStack() as held:
            recorder: _Recorder | None = None
            while not stop.is_set():
                try:
                    with self.engine.watch(heard.until) as changes, _followed(changes) as processes:
                        subscribed = now()
                        heard.until = heard.until or subscribed
                        inspections = Inspections()
                        while not stop.is_set():
                            recorder = recorder or self._recorder(held)
                            view = EngineView(self.engine, inspections=inspections)
                            reading = self.observer.reading(services, view)
                            if recorder:
                                recorder.states(reading)
                            processes.follow(inspections.main_processes())
                            yield reading
                            if reading.engine_error:
                                break
                            happened = self._wait(changes, reading, stop, inspections)
                            if happened:
                                heard.until = happened[-1].time + timedelta.resolution
                            recorder = recorder or self._recorder(held)  # who recorded may have gone meanwhile
                            if recorder:
                                recorder.happened(happened, subscribed)
                except EngineUnavailable as error:
                    reading = self.observer.reading(services, EngineView(self.engine, error))
                    if recorder:
                        recorder.states(reading)
                    yield reading
                stop.wait(RECONNECT_SECONDS)

    def _wait(
        self, changes: Changes, reading: Reading, stop: threading.Event, inspections: Inspections
    ) -> tuple[ContainerEvent, ...]:
        """Until one of our containers changes, or it is time to look anyway. Raises EngineUnavailable."""
        moving = any(s.state in (ServiceState.STARTING, ServiceState.STOPPING) for s in reading.statuses)
        moving, inspections.contradicted = moving or inspections.contradicted, False
        deadline = time.monotonic() + (HURRIED_SECONDS if moving else REREAD_SECONDS)
        while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
            happened = changes.wait(min(PING_SECONDS, left))
            inspections.heard(happened)
            if ours := tuple(event for event in happened if self.service(event)):
                return ours
            if not happened and time.monotonic() < deadline:  # else it is about to be asked more than that
                self.engine.ping()
        return ()

    def service(self, event: ContainerEvent) -> str | None:
        """Which service a container's event is about; None for containers of others and `compose run`."""
        label = event.labels.get
        if label("com.docker.compose.oneoff") == "True":
            return None
        for entry in self.observer.graph.entries.values():
            compose = entry.compose
            if compose is None:
                continue
            if (label("com.docker.compose.project"), label("com.docker.compose.service")) == (
                compose.project,
                compose.service,
            ) or (label(MODE), label(SERVICE)) == ("manual", compose.service):
                return entry.id
        return None

    def _recorder(self, held: contextlib.ExitStack) -> _Recorder | None:
        if not self.record:
            return None
        try:
            held.enter_context(lock.hold(self.locks, "recorder", self.actor, "record events"))
        except (Busy, ConfigurationError):
            return None
        return _Recorder(self)


@contextlib.contextmanager
def _followed(changes: Changes) -> Iterator[MainProcesses]:
    """The main processes of the containers, whose ends are told as changes, too."""

    def ended(pid: int, container: Container) -> None:
        changes.tell(ContainerEvent(now(), PROCESS_ENDED, container.id, container.name, container.labels, pid=pid))

    processes = MainProcesses(ended)
    try:
        yield processes
    finally:
        processes.close()


class _Recorder:
    """Turns readings and the engine's events into records; one in an installation at a time."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._states = {service: last.state for service, last in live.events.last_states().items()}

    def states(self, reading: Reading) -> None:
        """Record what has changed since the last reading, unless an operation has done so already."""
        changed = [s for s in reading.statuses if self._states.get(s.id) is not s.state]
        recorded = self._live.events.last_states() if changed else {}
        for status in changed:
            self._states[status.id] = status.state
            before = recorded[status.id].state if status.id in recorded else None
            if before is not status.state:
                self._record("state.changed", status.id, state=status.state, before=before, message=status.message)

    def happened(self, events: Iterable[ContainerEvent], subscribed: datetime) -> None:
        """Record the engine's events about our containers; some may be from before it was subscribed to them."""
        for event in events:
            service = self._live.service(event)
            what, _, more = event.what.partition(": ")
            match what:
                case "die":
                    self._record("container.died", service, event, exit_code=event.exit_code, container=event.name)
                case "oom":
                    self._record("container.oom", service, event, container=event.name)
                case "health_status":
                    self._record("health.changed", service, event, health=more, container=event.name)
                # It says so where somebody asked for it, and, as it begins again, of what a crash had left running.
                case "stop" if event.time >= subscribed:
                    self._record("state.changed", service, event, state=ServiceState.STOPPED, requested=True)
                    if service is not None:
                        self._states[service] = ServiceState.STOPPED  # if it is up again by now, that is news

    def _record(self, what: str, service: str | None, event: ContainerEvent | None = None, **detail: Any) -> None:
        raw: dict[str, Any] = {"what": what, "service": service, "detail": detail}
        raw["actor"] = "engine" if event else self._live.actor
        if event:
            raw["time"] = event.time
        self._live.events.record(Event.model_validate(raw))
