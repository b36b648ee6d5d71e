"""The Docker Engine as it stood at one moment, read once for all services; inspections that still hold are kept."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TypeVar

from service_launcher.containers import (
    PROCESS_ENDED,
    PROJECT,
    Container,
    ContainerEvent,
    Detail,
    End,
    EngineFacts,
    ImageFacts,
    Volume,
)
from service_launcher.engine import Engine
from service_launcher.errors import EngineRefused, EngineUnavailable

INSPECTION_SECONDS = 12.0  # evidence counts for 15 s
REMEMBERED_SECONDS = 900.0  # how far back the end of a container that runs again is looked for

_OF_LIVES = ("die", "stop", "start", "destroy")  # with which the engine tells how one ended, or that another began

#: Compose begins so the name of a container that is to take another one's place.
_TO_BE_RENAMED = re.compile("[0-9a-f]{12}_")

T = TypeVar("T")


class Inspections:
    """What inspecting containers told, for as long as it holds while the engine's events are followed.

    It holds until an event about the container, until its line in the list is another one, or until there may be a
    later run of its health check, of which no event tells.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Container, Detail, float]] = {}  # and up to when it holds
        self.contradicted = False  # by the list, which lags behind a change for a moment: it is worth another look soon

    def heard(self, events: Iterable[ContainerEvent]) -> None:
        """Something has happened to these containers."""
        for event in events:
            container, detail, _ = self._known.get(event.container_id, (None, None, 0.0))
            if container is None or detail is None:
                continue
            if event.what != PROCESS_ENDED:
                if not detail.process_ended or event.what in _OF_LIVES:
                    del self._known[container.id]
            elif detail.pid == event.pid:  # else it is of a life before
                # The engine answers no inspection before it has put everything away, and then it tells of an event.
                self._known[container.id] = container, detail._replace(process_ended=True), math.inf

    def main_processes(self) -> dict[int, Container]:
        """The containers that are up, by the pids of their main processes."""
        known = [(container, detail) for container, detail, _ in tuple(self._known.values())]
        return {d.pid: c for c, d in known if d.pid and not d.process_ended and d.health != "starting"}

    def keep(self, container: Container, detail: Detail) -> None:
        """Remember an inspection. It holds unless the list tells another story, or the container is on its way up."""
        # Of a container that does not run, the list tells no health.
        agree = container.state == detail.state and (container.state != "running" or container.health == detail.health)
        self.contradicted = self.contradicted or not agree
        lasting = agree and detail.health != "starting"
        self._known[container.id] = container, detail, time.monotonic() + (INSPECTION_SECONDS if lasting else 0)

    def of(self, container: Container) -> Detail | None:
        """The inspection of a container whose line in the list was read just now; None where it has to be made."""
        before, detail, until = self._known.get(container.id, (None, None, 0.0))
        if detail is None or time.monotonic() >= until:
            return None
        if detail.process_ended and container.state == "running":
            return detail
        if before != container:
            return None
        checked = detail.health_log[-1].ended_at if detail.health_log and detail.state == "running" else None
        if checked is not None and (datetime.now(UTC) - checked).total_seconds() > detail.health_interval:
            return None
        return detail


class EngineView:
    """The engine as it stood at one moment: each list is read once, so that all services are judged alike.

    `inspections` are those of earlier views, for who follows the engine's events.
    """

    def __init__(
        self, engine: Engine, failure: EngineUnavailable | None = None, inspections: Inspections | None = None
    ) -> None:
        self.engine = engine
        self._inspections = inspections
        self._lock = threading.Lock()
        self._containers: tuple[Container, ...] | None = None
        self._lists: dict[tuple[str, str], tuple[Container, ...]] = {}
        self._facts: EngineFacts | None = None
        self._failure = failure

    def containers(self) -> tuple[Container, ...]:
        """Every container."""
        with self._lock:
            if self._containers is None:
                self._containers = self._asked(self.engine.containers)
            return self._containers

    def with_label(self, label: str, value: str) -> tuple[Container, ...]:
        """The containers with a label. The engine takes its time for each one that it lists, so others are not."""
        with self._lock:
            if self._containers is not None:
                return tuple(c for c in self._containers if c.labels.get(label) == value)
            if (label, value) not in self._lists:
                self._lists[label, value] = self._asked(lambda: self.engine.containers(f"{label}={value}"))
            return self._lists[label, value]

    def facts(self) -> EngineFacts:
        """The engine itself, asked once."""
        with self._lock:
            if self._facts is None:
                self._facts = self._asked(self.engine.facts)
            return self._facts

    def compose_service(self, project: str, service: str) -> Container | None:
        """The container of a compose service, or None; a one-off `compose run` does not count.

        While compose makes it anew there are two: the new one counts from when the old one has been renamed or removed.
        """
        found = [c for c in self.with_label(PROJECT, project) if c.made_for(project, service)]
        return min(found, key=lambda c: (c.state != "running", bool(_TO_BE_RENAMED.match(c.name))), default=None)

    def publishing(self, port: int) -> tuple[Container, ...]:
        """The containers that publish a port of the host."""
        return tuple(c for c in self.containers() if any(p.port == port for p in c.ports))

    def detail(self, container_id: str) -> Detail | None:
        """The inspection of one container, None when it is gone."""
        if self._inspections is None:
            return self._asked(lambda: self.engine.detail(container_id))
        with self._lock:
            lists = [self._containers or (), *self._lists.values()]
        listed = next((c for containers in lists for c in containers if c.id == container_id), None)
        detail = self._inspections.of(listed) if listed else None
        if detail is None:
            detail = self._asked(lambda: self.engine.detail(container_id))
            if listed and detail:
                self._inspections.keep(listed, detail)
        return detail

    def last_end(self, container_id: str) -> End | None:
        """How a container ended that runs again, of which its inspection knows nothing; None when that is long ago."""
        end, short_of_memory = None, False
        for event in self._asked(lambda: self.engine.deaths(container_id, REMEMBERED_SECONDS)):
            if event.what == "oom":
                short_of_memory = True
            else:
                end, short_of_memory = End(event.exit_code or 0, short_of_memory, event.life_seconds), False
        return end

    def log(self, container_id: str, lines: int, since: datetime | None) -> str:
        """The last lines that a container has written since a moment; empty where they cannot be had."""
        if self._failure is not None:
            raise self._failure
        try:
            return self.engine.log(container_id, lines, since)
        except EngineUnavailable:  # a log that takes its time says nothing of what else the engine is asked
            return ""

    def image(self, name: str) -> ImageFacts | None:
        """What a local image is, None when there is none of that name."""
        return self._asked(lambda: self.engine.image(name))

    def volumes(self) -> dict[str, Volume]:
        """Every volume by its name."""
        return self._asked(self.engine.volumes)

    def network_exists(self, name: str) -> bool:
        """Whether there is a network of exactly this name."""
        return self._asked(lambda: self.engine.network_exists(name))

    def project_networks(self, project: str) -> tuple[str, ...]:
        """The names of the networks that compose made for a project."""
        return self._asked(lambda: self.engine.project_networks(project))

    def data_root(self) -> str:
        """The folder in which the engine keeps images and volumes (on the engine's machine)."""
        return self.facts().data_root

    def _asked(self, question: Callable[[], T]) -> T:
        """The answer; an engine that was silent once is not asked again."""
        if self._failure is not None:
            raise self._failure
        try:
            return question()
        except EngineRefused:
            raise  # this question
        except EngineUnavailable as error:
            self._failure = error
            raise
