"""The `Host` that a hook is given: made for one call, from the parts of one launcher."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from service_launcher import compose, prober
from service_launcher.compose import ComposeProject, Finished
from service_launcher.containers import GET_IMAGE, Detail, can_be_pulled
from service_launcher.engine_view import EngineView
from service_launcher.envfile import Environment
from service_launcher.errors import ComposeFailed
from service_launcher.events import LastReady
from service_launcher.models import ManifestEntry, Phase, Progress
from service_launcher.prober import Answer
from service_launcher.redaction import Redactor

T = TypeVar("T")

Listener = Callable[[Progress], None]

_NETWORK_GONE = re.compile(r"network \S+ not found")


@dataclass(frozen=True)
class CallContext:
    """Implements `host.Host`. `locks` holds the lock files of the operation under way, none while reading."""

    root: Path
    environment: Environment
    engine: EngineView
    entry: ManifestEntry
    redactor: Redactor
    listener: Listener
    locks: Mapping[str, Path] = field(default_factory=dict)
    answers: dict[object, Any] = field(default_factory=dict)
    remembered: Callable[[], LastReady] = LastReady

    def last_ready(self) -> LastReady:
        """What was remembered of this service when it was last ready."""
        return self.remembered()

    def compose(
        self, project: str, files: Sequence[Path], services: Sequence[str], variables: Mapping[str, str]
    ) -> ComposeServices:
        """Services of a compose project, whose files are filled with `variables` and nothing else."""
        folder = self.root / Path(self.entry.compose.file if self.entry.compose else ".").parent
        lock = self.locks.get(project)
        described = ComposeProject(project, tuple(files), folder, dict(variables), self.redactor, lock)
        return ComposeServices(self, described, tuple(services))

    def probe_http(
        self,
        url: str,
        *,
        seconds: float = 2.0,
        credentials: tuple[str, SecretStr] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """GET a URL, without redirects, 64 KiB at most."""
        return prober.http(url, seconds=seconds, credentials=credentials, headers=headers)

    def probe_tcp(self, address: str, port: int, *, seconds: float = 1.0) -> Answer:
        """Whether something accepts connections there."""
        return prober.tcp(address, port, seconds=seconds)

    def run(
        self, argv: Sequence[str], *, seconds: float, variables: Mapping[str, str] | None = None, terminal: bool = False
    ) -> Finished:
        """Run a command with a clean environment plus `variables`."""
        return compose.run(argv, seconds=seconds, values=variables or {}, terminal=terminal)

    def report(self, phase: Phase, message: str = "", done: int | None = None, total: int | None = None) -> None:
        """Show a waiting person what is happening to the service."""
        self.listener(
            Progress(
                service=self.entry.id, phase=phase, message=self.redactor(message), done_bytes=done, total_bytes=total
            )
        )

    def redact(self, text: str) -> str:
        """Text without this installation's secrets and without control characters."""
        return self.redactor(text)


@dataclass(frozen=True)
class ComposeServices:
    """Implements `host.Compose` for some services of a project."""

    context: CallContext
    project: ComposeProject
    services: tuple[str, ...]

    def up(self, *, seconds: float, stop_seconds: float) -> None:
        """Pull what is missing, create and start the services without waiting for their health."""
        self.pull()
        rendered = self.config()["services"]
        if any(self._cannot_get_well(service, rendered[service].get("depends_on", ())) for service in self.services):
            # To compose it is running, so `up` would leave it as it is.
            self.stop(seconds=stop_seconds)
        self.context.report("creating")
        needed = {name for service in self.services for name in rendered[service].get("depends_on", ())}
        if not all(self._running(name) for name in needed):
            # Something that is no service of ours, such as a set-up step, has to be run first: compose's work.
            self.project.up(self.services, seconds=seconds + stop_seconds, report=self.context.report)
            return
        # `up` would look at what is needed once more, every half second. The launcher has seen it ready.
        made = self._created(seconds + stop_seconds)
        self.context.report("starting")
        try:
            self.project.start_containers(made, seconds=seconds)
        except ComposeFailed as error:
            if not _NETWORK_GONE.search(error.summary):
                raise
            # A stopped container knows its networks by id, and one that was removed meanwhile never comes back.
            self.project.remove_containers(made, seconds=seconds)
            self.project.start_containers(self._created(seconds), seconds=seconds)

    def pull(self) -> None:
        """Pull the images that are missing, or that their pull policy wants anew; once in an operation."""
        rendered = self.config()["services"]
        for service in self.services:
            image, policy = rendered[service]["image"], rendered[service].get("pull_policy")
            if ("pulled", image) not in self.context.answers:
                self._provide_image(image, policy)
                self.context.answers["pulled", image] = True

    def stop(self, *, seconds: float) -> None:
        """Stop the services and keep their containers; needs neither the files nor their variables."""
        self.context.report("stopping")
        by_labels = ComposeProject(
            self.project.name, (), self.project.folder, {}, self.project.redact, self.project.lock
        )
        by_labels.stop(self.services, seconds=seconds, report=self.context.report)

    def changed(self) -> str | None:
        """Why `up` would make a running container anew; None when it would not."""
        wanted = self._answer("hashes", self.project.hashes)
        for service in self.services:
            container = self.context.engine.compose_service(self.project.name, service)
            if container is None:
                return f"{service} has no container"
            if container.labels.get("com.docker.compose.config-hash") != wanted.get(service):
                return "its configuration has changed since the container was made"
            # The engine's list shows the bare id as soon as the tag has moved to another image.
            if container.image.startswith("sha256:"):
                return "its image's tag now means another image than the container runs"
        return None

    def config(self) -> Mapping[str, Any]:
        """The rendered project with its secrets: for a child process, never for showing."""
        return self._answer("config", self.project.config)

    def create_network(self, name: str) -> None:
        """Create a network where there is none of that name."""
        if not self.context.engine.network_exists(name):
            self.project.create_network(name)

    def _created(self, seconds: float) -> list[str]:
        """Create what is missing or has changed, and return the ids of the services' containers."""
        self.project.create(self.services, seconds=seconds, report=self.context.report)
        view = EngineView(self.context.engine.engine)
        made = [view.compose_service(self.project.name, service) for service in self.services]
        return [container.id for container in made if container is not None]

    def _cannot_get_well(self, service: str, needed: Iterable[str]) -> bool:
        """Whether a container is there that no waiting helps: ill, frozen, crashing, or begun before what it needs."""
        detail = self._detail(service)
        if detail is None or detail.state not in ("running", "restarting", "paused"):
            return False
        if detail.state != "running" or detail.health == "unhealthy":
            return True
        starts = [found.started_at for name in needed if (found := self._detail(name)) is not None]
        began = detail.started_at
        return began is not None and any(began < start for start in starts if start)

    def _detail(self, service: str) -> Detail | None:
        container = self.context.engine.compose_service(self.project.name, service)
        return self.context.engine.detail(container.id) if container is not None else None

    def _running(self, service: str) -> bool:
        container = self.context.engine.compose_service(self.project.name, service)
        return container is not None and container.state == "running"

    def _answer(self, question: str, ask: Callable[[], T]) -> T:
        """What compose says, asked once in an operation: one call tells it for all services of a project."""
        key = (question, self.project.name, self.project.files, tuple(self.project.values.items()))
        if key not in self.context.answers:
            self.context.answers[key] = ask()
        answer: T = self.context.answers[key]
        return answer

    def _provide_image(self, image: str, policy: str | None) -> None:
        pullable = can_be_pulled(image, policy)
        if self.context.engine.image(image) is not None and not (pullable and policy == "always"):
            return
        if not pullable:
            raise ComposeFailed(f"the image {image} is not here", GET_IMAGE)
        self.context.report("pulling", image)
        self.context.engine.engine.pull(image, lambda done, total: self.context.report("pulling", image, done, total))
