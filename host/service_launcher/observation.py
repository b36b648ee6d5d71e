"""What is true of the services now: asks their owners side by side, and answers for services without one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service_launcher import prober
from service_launcher.compose_service import MODE, SERVICE
from service_launcher.context import CallContext, Listener
from service_launcher.engine import Container, EngineView
from service_launcher.envfile import Environment
from service_launcher.errors import EngineUnavailable, LauncherError, PluginFailed
from service_launcher.models import Evidence, ManifestEntry, ServiceState, ServiceStatus, Verdict
from service_launcher.planner import Graph
from service_launcher.plugins import Plugins
from service_launcher.redaction import Redactor

SIDE_BY_SIDE = 16


@dataclass(frozen=True)
class Observer:
    """Reads the state of an installation's services; changes nothing."""

    root: Path
    environment: Environment
    plugins: Plugins
    graph: Graph
    redact: Redactor

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
        )

    def statuses(self, services: Sequence[str], view: EngineView) -> tuple[ServiceStatus, ...]:
        """The status of each service, in the order asked for."""
        if len(services) < 2:
            return tuple(self.status(service, view) for service in services)
        from concurrent.futures import ThreadPoolExecutor

        # Side by side, so that the slowest owner and not the sum of all decides how long a reading takes.
        with ThreadPoolExecutor(max_workers=min(len(services), SIDE_BY_SIDE)) as pool:
            return tuple(pool.map(lambda service: self.status(service, view), services))

    def status(self, service: str, view: EngineView) -> ServiceStatus:
        """What the owner says, `unknown` where it cannot be asked; never raises."""
        entry = self.graph.entries[service]
        if service not in self.plugins.owners:
            return self._without_owner(entry, view)
        try:
            status = self.plugins.status(entry, self.context(service, view))
        except LauncherError as error:
            return _unknown(entry, self.redact(error.summary))
        if status.state is ServiceState.STOPPED and entry.stack:
            with contextlib.suppress(PluginFailed):  # a plugin that cannot say so does not skip
                answer = self.plugins.auto_start(entry, self.environment)
                if not answer.start:
                    skipped = {"state": ServiceState.SKIPPED, "message": answer.reason, "counted": False}
                    return status.model_copy(update=skipped)
        return status

    def container(self, entry: ManifestEntry, view: EngineView) -> Container | None:
        """A service's container as the engine knows it, whatever its plugin says; made by compose or by hand."""
        if entry.compose is None:
            return None
        found = view.compose_service(entry.compose.project, entry.compose.service)
        return found or view.labelled({SERVICE: entry.compose.service, MODE: "manual"})

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
            answer = prober.tcp("127.0.0.1", entry.port)
            heard = "its port answers" if answer.ok else "its port does not answer"
        message = self.redact(f"not managed here ({heard}); people start it with: {entry.start}")
        return ServiceStatus(
            id=entry.id, state=ServiceState.UNMANAGED, message=message, stack=entry.stack, counted=False
        )


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
