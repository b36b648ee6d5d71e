"""What is true of the services now: asks their owners side by side, and answers for services without one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service_launcher import prober
from service_launcher.compose_service import foreign, made_by_hand
from service_launcher.containers import PROJECT, Container
from service_launcher.context import CallContext, Listener
from service_launcher.engine_view import EngineView
from service_launcher.envfile import Environment
from service_launcher.errors import EngineUnavailable, LauncherError, PluginFailed
from service_launcher.events import EventLog
from service_launcher.models import (
    Evidence,
    LastKnown,
    ManifestEntry,
    Problem,
    ServiceState,
    ServiceStatus,
    Verdict,
    now,
)
from service_launcher.planner import Graph
from service_launcher.plugins import Plugins
from service_launcher.redaction import Redactor

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

SIDE_BY_SIDE = 16
FEW_PROJECTS = 3  # more are read in one list with everything else on the engine
SKEW_SECONDS = 5.0  # evidence from further in the future than this says that two clocks differ


@dataclass(frozen=True)
class Reading:
    """The statuses of all services asked for, what else a person should know, and whether the engine answered."""

    statuses: tuple[ServiceStatus, ...]
    problems: tuple[Problem, ...] = ()
    engine_error: EngineUnavailable | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)  # how long the check of each service took
    without_plugin: frozenset[str] = frozenset()  # whose owner does not work, or failed when it was asked


@dataclass(frozen=True)
class Observer:
    """Reads the state of an installation's services; changes nothing."""

    root: Path
    environment: Environment
    plugins: Plugins
    graph: Graph
    redact: Redactor
    events: EventLog
    seen: dict[str, LastKnown] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)
    without_plugin: set[str] = field(default_factory=set)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        """Kept, because who follows reads every few seconds."""
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(SIDE_BY_SIDE, "reading")

    def reading(self, services: Sequence[str], view: EngineView) -> Reading:
        """What is true of the services now. A silent engine makes them unknown; raises nothing."""
        engine_error = None
        try:
            self._list(services, view)
            if all(self.graph.entries[service].compose is None for service in services):
                view.containers()  # whether the engine answers is told also where nobody needs it
        except EngineUnavailable as error:
            engine_error = error
        statuses = self.statuses(services, view)
        took = {service: self.took[service] for service in services}
        alone = frozenset(self.without_plugin.intersection(services))
        return Reading(statuses, tuple(self.plugins.problems), engine_error, took, alone)

    def context(
        self,
        service: str,
        view: EngineView,
        listener: Listener = lambda _: None,
        locks: Mapping[str, Path] | None = None,
        answers: dict[object, Any] | None = None,
    ) -> CallContext:
        """The host for one call about a service; without locks it can only read."""
        return CallContext(
            root=self.root,
            environment=self.environment,
            engine=view,
            entry=self.graph.entries[service],
            redactor=self.redact,
            listener=listener,
            locks=locks or {},
            answers={} if answers is None else answers,
            remembered=lambda: self.events.last_ready(service),
        )

    def statuses(self, services: Sequence[str], view: EngineView) -> tuple[ServiceStatus, ...]:
        """The status of each service, in the order asked for."""
        with contextlib.suppress(EngineUnavailable):
            self._list(services, view)
        if len(services) < 2:
            found = [self.status(service, view) for service in services]
        else:
            # Side by side, so that the slowest owner and not the sum of all decides how long a reading takes.
            found = list(self._threads.map(lambda service: self.status(service, view), services))
        unknown = {status.id for status in found if status.state is ServiceState.UNKNOWN}
        recorded = self.events.last_states() if unknown - self.seen.keys() else {}
        ended = {status.id for status in found if status.state is ServiceState.STOPPED and status.container == "exited"}
        missed = ended & self.events.wanted_lately() if ended else ended
        for number, status in enumerate(found):
            if status.id in missed:  # as after a crash of the engine
                words = f"{status.message}; nobody is on record to have stopped it"
                found[number] = status.model_copy(update={"message": words})
            if status.id not in unknown:
                self.seen[status.id] = LastKnown(state=status.state, at=now())
            elif last := self.seen.get(status.id) or recorded.get(status.id):
                found[number] = status.model_copy(update={"last_known": last})
        return tuple(found)

    def _list(self, services: Iterable[str], view: EngineView) -> None:
        """Read the lists that the services need, once for all of them. Raises EngineUnavailable."""
        entries = [self.graph.entries[service] for service in services]
        projects = {entry.compose.project for entry in entries if entry.compose is not None}
        if len(projects) > FEW_PROJECTS:
            view.containers()
        for project in projects:
            view.with_label(PROJECT, project)

    def status(self, service: str, view: EngineView) -> ServiceStatus:
        """What the owner says, `unknown` where it cannot be asked or its evidence is old; never raises."""
        began = time.monotonic()
        status = self._status(service, view)
        self.took[service] = round(time.monotonic() - began, 4)
        if status.state in (ServiceState.SKIPPED, ServiceState.UNMANAGED):
            status = status.model_copy(update={"counted": False})  # a check of nothing is never healthy
        if status.state is not ServiceState.READY:
            return status
        return _contradicted(status) or self._alone(status, view) or _not_fresh(status) or status

    def _alone(self, status: ServiceStatus, view: EngineView) -> ServiceStatus | None:
        """The status of a service that its owner alone calls ready: no evidence says so, or the engine knows better."""
        entry = self.graph.entries[status.id]
        if all(evidence.verdict is not Verdict.OK for evidence in status.evidence):
            state, words = ServiceState.UNKNOWN, "it gives no evidence"
        elif entry.compose is None:
            return None
        else:
            try:
                container = self.container(entry, view)
                # The list may be from the moment before it ran.
                detail = view.detail(container.id) if container and container.state != "running" else None
            except EngineUnavailable as error:
                return _unknown(entry, error.summary)
            present = (detail or container).state if container else "not there"
            if present == "running":
                return None
            state, words = ServiceState.DEGRADED, f"the engine says that its container is {present}"
        return status.model_copy(update={"state": state, "message": f"its plugin calls it ready, but {words}"})

    def _status(self, service: str, view: EngineView) -> ServiceStatus:
        entry = self.graph.entries[service]
        self.without_plugin.discard(service)
        if service not in self.plugins.owners:
            if entry.plugin is not None:
                self.without_plugin.add(service)
            return self._without_owner(entry, view)
        try:
            status = self.plugins.status(entry, self.context(service, view))
        except LauncherError as error:
            if isinstance(error, PluginFailed):
                self.without_plugin.add(service)
            return _unknown(entry, self.redact(error.summary))
        if status.state is ServiceState.STOPPED and entry.stack:
            with contextlib.suppress(PluginFailed):  # a plugin that cannot say so does not skip
                answer = self.plugins.auto_start(entry, self.environment)
                if not answer.start:
                    skipped = {"state": ServiceState.SKIPPED, "message": answer.reason, "counted": False}
                    return status.model_copy(update=skipped)
        return status

    def container(self, entry: ManifestEntry, view: EngineView) -> Container | None:
        """A service's container as the engine knows it, whatever its plugin says; made by compose or by hand.

        None also where another installation has made it.
        """
        if entry.compose is None:
            return None
        found = view.compose_service(entry.compose.project, entry.compose.service)
        found = found or made_by_hand(view, entry.compose.service)
        return None if foreign(found, self.environment) else found

    def why_without_owner(self, entry: ManifestEntry) -> str:
        """Why the plugin that an entry names cannot be asked about it."""
        plugin = self.plugins.found.get(entry.plugin or "")
        clash = next((p.summary for p in self.plugins.problems if p.service == entry.id), None)
        reason = clash or f"its plugin {entry.plugin} is {'not installed' if plugin is None else plugin.state}"
        if plugin is not None and plugin.reason and not clash:
            reason += f": {plugin.reason}"
        return reason

    def _without_owner(self, entry: ManifestEntry, view: EngineView) -> ServiceStatus:
        if entry.plugin is None:
            return self._unmanaged(entry)
        reason = self.why_without_owner(entry)
        with contextlib.suppress(EngineUnavailable):
            container = self.container(entry, view)
            if container is not None:
                return _unknown(entry, f"{reason}; its container is {container.state}", container.state)
        return _unknown(entry, reason)

    def _unmanaged(self, entry: ManifestEntry) -> ServiceStatus:
        heard = "no port to ask"
        if entry.port is not None:
            answer = prober.tcp("localhost", entry.port)  # some listen on ::1 alone
            heard = "its port answers" if answer.ok else "its port does not answer"
        message = self.redact(f"not managed here ({heard}); people start it with: {entry.start}")
        return ServiceStatus(
            id=entry.id, state=ServiceState.UNMANAGED, message=message, stack=entry.stack, counted=False
        )


_NOT_READY = {
    Verdict.BAD: ServiceState.DEGRADED,
    Verdict.UNKNOWN: ServiceState.UNKNOWN,
    Verdict.PENDING: ServiceState.STARTING,
}


def _contradicted(status: ServiceStatus) -> ServiceStatus | None:
    """The status by its own evidence, where its owner says ready and some of that says otherwise."""
    for evidence in status.evidence:
        if evidence.verdict in _NOT_READY:
            words = f"its plugin calls it ready, but its {evidence.layer} evidence says: {evidence.detail}"
            return status.model_copy(update={"state": _NOT_READY[evidence.verdict], "message": words})
    return None


def _not_fresh(status: ServiceStatus) -> ServiceStatus | None:
    """The status as unknown, when something that makes it ready was seen too long ago, or in the future."""
    for evidence in status.evidence:
        if evidence.verdict is not Verdict.OK:
            continue
        age = evidence.age_seconds
        if age > evidence.counts_seconds:
            counts = f"{evidence.counts_seconds:.0f} s"
            words = f"its {evidence.layer} evidence is {age:.0f} s old ({evidence.detail}); it counts for {counts}"
        elif age < -SKEW_SECONDS:
            words = f"the engine's clock is {-age:.0f} s ahead of the launcher's, so the age of its evidence is unknown"
        else:
            continue
        return status.model_copy(update={"state": ServiceState.UNKNOWN, "message": words})
    return None


def _unknown(entry: ManifestEntry, reason: str, container: str | None = None) -> ServiceStatus:
    evidence = Evidence(layer="container", verdict=Verdict.UNKNOWN, detail=reason)
    return ServiceStatus(
        id=entry.id,
        state=ServiceState.UNKNOWN,
        message=reason,
        container=container,
        evidence=(evidence,),
        stack=entry.stack,
    )
