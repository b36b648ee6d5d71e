"""`launcher health`: the state of services and of their containers as programs compare it, with what these use."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

from service_launcher.containers import Container, Sample
from service_launcher.engine import Engine
from service_launcher.engine_view import EngineView
from service_launcher.errors import EngineUnavailable
from service_launcher.health_records import (
    Database,
    DockerContainer,
    HealthReport,
    HealthSummary,
    LocalService,
    OverallHealth,
    Remediation,
)
from service_launcher.models import (
    ManifestEntry,
    ServiceState,
    ServiceStatus,
    Usage,
)
from service_launcher.observation import SIDE_BY_SIDE, Observer

Word = Literal["ok", "degraded", "down", "skipped", "unmanaged"]

#: What two samples of the processor's time have to be apart to tell a rate; reading the states mostly takes as long.
SAMPLE_SECONDS = 0.25
FIRST_STRETCH_SECONDS = 2.0
WORDS: Mapping[ServiceState, Word] = {
    ServiceState.READY: "ok",
    ServiceState.STARTING: "degraded",
    ServiceState.STOPPING: "degraded",
    ServiceState.DEGRADED: "degraded",
    ServiceState.FAILED: "down",
    ServiceState.STOPPED: "down",
    ServiceState.UNKNOWN: "down",
    ServiceState.SKIPPED: "skipped",
    ServiceState.UNMANAGED: "unmanaged",
}
DATABASE = "database"

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Health:
    """Reads the health of an installation; changes nothing."""

    observer: Observer
    engine: Engine

    def report(self, names: Sequence[str], *, services: bool, containers: bool) -> HealthReport:
        """The health of services, of their containers, or of both; databases belong to the services."""
        view = EngineView(self.engine)
        try:
            found = self._containers(names, view)
            meter = _Meter(self.engine, found) if containers else None
            silent = None
        except EngineUnavailable as error:
            found, meter, silent = {}, None, error
            view = EngineView(self.engine, error)  # nobody asks it again
        read = dict(_side_by_side(lambda name: self._timed(name, view), names))
        use: dict[str, Usage] = {}
        if meter is not None:
            with contextlib.suppress(EngineUnavailable):  # it went away in between; the states say so
                use = {usage.service: usage for usage in meter.read()}
        local = [self._local(*read[name]) for name in names] if services else []
        docker = [self._docker(read[n][0], found.get(n), use.get(n), silent) for n in names if self._entry(n).compose]
        databases = [self._database(*read[n], found.get(n), view) for n in names if self._entry(n).tier == DATABASE]
        return _judged(local, docker if containers else [], databases if services else [], silent, self._advice(read))

    def usage(self, names: Iterable[str]) -> tuple[Usage, ...]:
        """What the services' running containers use. Raises EngineUnavailable."""
        return _Meter(self.engine, self._containers(names, EngineView(self.engine))).read()

    def follow_usage(self, names: Sequence[str], stop: threading.Event, seconds: float) -> Iterator[tuple[Usage, ...]]:
        """What the services' running containers use over each stretch of so many seconds, until `stop` is set.

        The first stretch is a short one, for whoever has just begun to look.
        """
        before: dict[str, tuple[Container, Sample]] = {}
        while not stop.is_set():
            present: dict[str, tuple[Container, Sample]] = {}
            with contextlib.suppress(EngineUnavailable):
                found = self._containers(names, EngineView(self.engine))
                running = [name for name, container in found.items() if container.state == "running"]
                for name, sample in _side_by_side(self._sample_of(found), running):
                    if sample is not None:
                        present[name] = found[name], sample
            if before:
                yield tuple(
                    used(name, container.name, before[name][1], sample)
                    for name, (container, sample) in present.items()
                    if name in before and before[name][0].id == container.id
                )
            stop.wait(seconds if before else FIRST_STRETCH_SECONDS)
            before = present

    def _sample_of(self, containers: Mapping[str, Container]) -> Callable[[str], Sample | None]:
        return lambda name: self.engine.sample(containers[name].id)

    def _entry(self, service: str) -> ManifestEntry:
        return self.observer.graph.entries[service]

    def _containers(self, names: Iterable[str], view: EngineView) -> dict[str, Container]:
        found = {name: self.observer.container(self._entry(name), view) for name in names}
        self.engine.ping()  # asks also where no service has a container
        return {name: container for name, container in found.items() if container is not None}

    def _timed(self, service: str, view: EngineView) -> tuple[ServiceStatus, float]:
        began = time.monotonic()
        status = self.observer.status(service, view)
        return status, round(time.monotonic() - began, 3)

    def _local(self, status: ServiceStatus, seconds: float) -> LocalService:
        entry = self._entry(status.id)
        return LocalService(
            name=status.id,
            title=entry.title or status.id,
            status=_words(status),
            state=status.state,
            health=WORDS[status.state],
            counted=status.counted,
            port=_port(status) or entry.port,
            latency_seconds=seconds,
            message=status.message,
        )

    def _docker(
        self, status: ServiceStatus, container: Container | None, usage: Usage | None, silent: EngineUnavailable | None
    ) -> DockerContainer:
        entry = self._entry(status.id)
        reference = entry.compose
        health = (container.health or "none") if container else "unknown" if silent else "none"
        return DockerContainer.model_validate(
            {
                "name": container.name if container else reference.service if reference else status.id,
                "status": container.state if container else "unknown" if silent else "missing",
                "health": health,
                "group": entry.stack,
                "service_name": status.id,
                "counted": status.counted,
                "cpu_percent": usage.cpu_percent if usage else None,
                "memory_bytes": usage.memory_bytes if usage else None,
                "memory_limit_bytes": usage.memory_limit_bytes if usage else None,
            }
        )

    def _database(
        self, status: ServiceStatus, seconds: float, container: Container | None, view: EngineView
    ) -> Database:
        entry = self._entry(status.id)
        port = status.ports[0] if status.ports else None
        inside = None
        if port is None and container is not None:
            with contextlib.suppress(EngineUnavailable):
                detail = view.detail(container.id)
                inside = next(iter(detail.exposed_ports), None) if detail else None
        return Database(
            name=status.id,
            status=_words(status),
            host=port.address if port else entry.compose.service if entry.compose else "localhost",
            port=port.port if port else inside or entry.port,
            latency_seconds=seconds,
        )

    def _advice(self, read: Mapping[str, tuple[ServiceStatus, float]]) -> list[Remediation]:
        ill = [status for status, _ in read.values() if status.counted and WORDS[status.state] != "ok"]
        return [Remediation(target=status.id, actions=tuple(self._actions(status))) for status in ill]

    def _actions(self, status: ServiceStatus) -> list[str]:
        name = status.id
        match status.state:
            case ServiceState.STOPPED:
                return [f"launcher start {name}"]
            case ServiceState.UNKNOWN:
                return ["launcher doctor", "launcher plugins list"]
            case ServiceState.STARTING | ServiceState.STOPPING:
                return [f"launcher status {name}"]
        return [f"launcher explain {name}", f"launcher restart {name}"]


class _Meter:
    """Two samples of every running container: the first when it is made, the second when it is read."""

    def __init__(self, engine: Engine, containers: Mapping[str, Container]) -> None:
        self._engine = engine
        self._containers = {name: c for name, c in containers.items() if c.state == "running"}
        self._first = self._samples()
        self._due = time.monotonic() + SAMPLE_SECONDS

    def read(self) -> tuple[Usage, ...]:
        """What each container used between the samples; one that has ended in between is left out."""
        if not self._first:
            return ()
        threading.Event().wait(self._due - time.monotonic())
        second = self._samples()
        return tuple(
            used(name, self._containers[name].name, first, second[name])
            for name, first in self._first.items()
            if name in second
        )

    def _samples(self) -> dict[str, Sample]:
        taken = _side_by_side(lambda name: self._engine.sample(self._containers[name].id), list(self._containers))
        return {name: sample for name, sample in taken if sample is not None}


def used(service: str, container: str, first: Sample, second: Sample) -> Usage:
    """The use of the processors between two samples, and of the memory at the second."""
    seconds = (second.taken_at - first.taken_at).total_seconds()
    # A container that was started anew in between counts from zero again.
    busy = max(second.cpu_seconds - first.cpu_seconds, 0.0)
    return Usage(
        service=service,
        container=container,
        cpu_percent=round(100 * busy / seconds, 1) if seconds > 0 else 0.0,
        memory_bytes=second.memory_bytes,
        memory_limit_bytes=second.memory_limit_bytes,
    )


def _judged(
    local: Sequence[LocalService],
    docker: Sequence[DockerContainer],
    databases: Sequence[Database],
    silent: EngineUnavailable | None,
    advice: Sequence[Remediation],
) -> HealthReport:
    services = [service for service in local if service.counted]
    containers = [container for container in docker if container.counted]
    overall = overall_health([*(s.health for s in services), *map(_container_word, containers)])
    if silent is not None:
        overall = "critical"
        advice = [Remediation(target="docker-engine", actions=("launcher doctor",)), *advice]
    elif not services and not containers:
        advice = [Remediation(target="nothing-checked", actions=("launcher list", "launcher status"))]
    return HealthReport(
        success=overall == "healthy",
        overall_health=overall,
        local_services=tuple(local),
        docker_containers=tuple(docker),
        databases=tuple(databases),
        summary=HealthSummary(
            all_ok=overall == "healthy",
            services_checked=len(services),
            containers_checked=len(containers),
            databases_checked=len({service.name for service in services} & {base.name for base in databases}),
        ),
        remediation=tuple(advice),
    )


def overall_health(words: Sequence[str]) -> OverallHealth:
    """The health of what counts: the worst of it, and degraded when nothing was checked."""
    if "down" in words:
        return "critical"
    return "degraded" if "degraded" in words or not words else "healthy"


def _container_word(container: DockerContainer) -> Word:
    match container.status, container.health:
        case "running", "healthy" | "none":
            return "ok"
        case "running" | "restarting" | "paused" | "created", _:
            return "degraded"
    return "down"


def _port(status: ServiceStatus) -> int | None:
    """The port by which people find the service, which is its link's."""
    linked = {link.url.rpartition(":")[2].partition("/")[0] for link in status.links}
    return next((port.port for port in status.ports if str(port.port) in linked), None)


def _words(status: ServiceStatus) -> str:
    return f"{status.container}, {status.state}" if status.container else str(status.state)


def _side_by_side(ask: Callable[[A], B], items: Sequence[A]) -> list[tuple[A, B]]:
    """Each item with its answer; all are asked at once."""
    with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as pool:
        return list(zip(items, pool.map(ask, items), strict=True))
