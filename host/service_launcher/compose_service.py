"""A compose service described by data: `ComposeService` turns a record into hooks, `ComposePlugin` into a plugin."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from service_launcher import container_findings, container_state, disks, places, policy
from service_launcher.container_findings import Made
from service_launcher.containers import GET_IMAGE, Container, Detail, ImageFacts, can_be_pulled
from service_launcher.engine_view import EngineView
from service_launcher.envfile import Environment
from service_launcher.errors import ConfigurationError, LauncherError
from service_launcher.hookspecs import hookimpl
from service_launcher.host import Compose, Host
from service_launcher.models import (
    Action,
    ComposeReference,
    Evidence,
    Finding,
    Link,
    ManifestEntry,
    Problem,
    Record,
    ServiceState,
    ServiceStatus,
    Severity,
    Variable,
    Verdict,
)

SERVICE = "com.tradingsystem.service"
MODE = "com.tradingsystem.mode"  # on containers that were made without compose, value "manual"
TIER = "com.tradingsystem.tier"  # `setup` for steps that end
INSTALLATION = "com.tradingsystem.installation"
INSTALLATION_ID = "LAUNCHER_INSTALLATION_ID"  # fills that label; `launcher init` makes one up
REHEARSAL = "com.tradingsystem.rehearsal"
ORIGIN = "local.origin"  # on images that were built on this machine; the engine copies it to containers
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}


class ComposeService(Record):
    """One service of a compose file.

    `file` is relative to the root; where the root has no such file, the copy in the package `package` serves.
    `variables` are all that the file reads. `published` maps a container port to the variable that holds its host
    port; `folders` and `networks` name the variables of folders to be writable and of networks to exist. `caches` are
    container paths whose volumes may vanish without loss. `tier` is `database` for one. `grace_seconds` is the file's
    stop_grace_period.
    """

    id: str
    service: str
    project: str
    file: str
    package: str
    path: str
    title: str
    aliases: tuple[str, ...] = ()
    type: str = "tools"
    stack: str = "tools"
    tier: str = "application"
    depends_on: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()
    published: Mapping[int, str] = {}
    folders: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    link_port: int | None = None
    status_script: str | None = None
    start_seconds: int = 300
    grace_seconds: int = 10

    def entry(self) -> ManifestEntry:
        """The service's line in the manifest."""
        by_hand = f"docker compose -f {self.file}"
        port = next((v.default for v in self.variables if v.name == self.published.get(self.link_port or 0)), None)
        return ManifestEntry(
            id=self.id,
            aliases=self.aliases,
            title=self.title,
            type=self.type,
            stack=self.stack,
            path=self.path,
            start=f"{by_hand} up -d {self.service}",
            stop=f"{by_hand} stop {self.service}",
            status=self.status_script,
            build=None,
            test=None,
            port=int(port) if port else None,
            env=".env.example",
            workspace=True,
            managed="docker-compose",
            depends_on=self.depends_on,
            compose=ComposeReference(project=self.project, file=self.file, service=self.service),
            tier=self.tier,
            start_seconds=self.start_seconds,
            stop_seconds=self.grace_seconds + 30,
        )

    # The hooks, for plugins to call from theirs.

    def preflight(self, host: Host, more: Mapping[str, str] | None = None) -> list[Problem]:
        """What a start would trip over: ports, folders, disk, missing values; `more` stands before the environment.

        Raises ConfigurationError where compose refuses the files.
        """
        container = self.container(host)
        problems = [*self._missing_values(host), *self._disk(host)]
        if not any(p.severity == "error" for p in problems):
            problems += self._as_compose_reads_it(host, self.compose(host).config(), container)
            problems += self._data(host, container)
        if theirs := foreign(container, host.environment):
            problems.append(Problem(severity="error", summary=theirs, fix="stop it from there"))
        ports = {name: (more or {}).get(name) or self.value(host, name) for name in self.published.values()}
        for name, value in ports.items():
            problems += self._port(host, name, value, container)
        if len(set(ports.values())) < len(ports):
            twice = f"{' and '.join(ports)} must differ: {', '.join(ports.values())}"
            problems.append(Problem(severity="error", summary=twice, fix=f"change one of {', '.join(ports)}"))
        for name in self.folders:
            problems += self._folder(host, name, self.value(host, name))
        for name in self.networks:
            if not host.engine.network_exists(self.value(host, name)):
                missing = f"the network {self.value(host, name)} is missing; start creates it"
                problems.append(Problem(severity="info", summary=missing))
        return problems

    def findings(self, host: Host) -> list[Finding]:
        """What would hurt the service later: restart policy, log, image; nothing where compose refuses the files."""
        container = self.container(host)
        try:
            rendered = self.compose(host).config()["services"][self.service]
        except ConfigurationError:
            return []  # preflight says so
        detail = host.engine.detail(container.id) if container else None
        made = Made.by_engine(self.id, detail) if detail else Made.by_compose(self.id, rendered)
        image = host.engine.image(container.image_id if container else rendered["image"])
        return [
            container_findings.restart(made, host.engine.facts()),
            container_findings.logs(made),
            *self._image(container.image if container else rendered["image"], image, rendered.get("pull_policy")),
            *container_findings.privileges(self.id, policy.breaches(rendered)),
            *disks.own(self.id, detail.mounts if detail else (), host.engine, host.root),
        ]

    def prepare(self, host: Host) -> None:
        """Pull the image, so that nothing is stopped for one that cannot be had."""
        self.compose(host).pull()

    def start(self, host: Host) -> None:
        """Create what is missing around the service, then `compose up` it."""
        compose = self.compose(host)
        for name in self.networks:
            compose.create_network(self.value(host, name))
        for name in self.folders:
            self._resolve(host, self.value(host, name)).mkdir(parents=True, exist_ok=True)
        left = self.container(host)
        if left is not None and self.by_hand(left):
            detail = host.engine.detail(left.id)  # the list may be from before a stop
            if detail is not None and detail.state != "running":
                # It has the name that compose needs; its data is in volumes and folders.
                host.run(["docker", "rm", "--", left.id], seconds=60)
        compose.up(seconds=self.start_seconds, stop_seconds=self.grace_seconds + 30)

    def stop(self, host: Host) -> None:
        """Stop the service; its container and data stay."""
        container = self.container(host)
        if theirs := foreign(container, host.environment):
            raise LauncherError(theirs, "stop it from there")
        if container is not None and self.by_hand(container):
            done = host.run(["docker", "stop", "--", container.name], seconds=self.grace_seconds + 30)
            if done.exit_code:
                raise ConfigurationError(f"docker stop {container.name}: {host.redact(done.output)}", "launcher status")
            return
        self.compose(host).stop(seconds=self.grace_seconds + 30)

    def drift(self, host: Host) -> str | None:
        """Why a start would make the running container anew."""
        container = self.container(host)
        if container is not None and self.by_hand(container):
            return None
        return self.compose(host).changed()

    def status(self, host: Host) -> ServiceStatus:
        """Container and health check; an application probe is the plugin's to add with `with_application`."""
        container = self.container(host)
        if theirs := foreign(container, host.environment):
            elsewhere = Evidence(layer="container", verdict=Verdict.BAD, detail=theirs)
            return self._status(ServiceState.DEGRADED, f"{theirs}; this one's has none", None, None, (elsewhere,))
        detail = host.engine.detail(container.id) if container is not None else None
        if container is None or detail is None:
            none = Evidence(layer="container", verdict=Verdict.BAD, detail="there is none")
            return self._status(ServiceState.STOPPED, "stopped; it has no container", None, None, (none,))
        state, message, evidence = container_state.judge(
            detail, lambda: host.engine.last_end(container.id), host.redact
        )
        return self._status(state, host.redact(message), container, detail, evidence)

    # For plugins that need more.

    def value(self, host: Host, name: str) -> str:
        """The effective value of a declared variable, its default where it is not set."""
        default = next(v.default for v in self.variables if v.name == name)
        return host.environment.get(name) or default or ""

    def container(self, host: Host) -> Container | None:
        """The service's container, made by compose or by hand with our labels."""
        found = host.engine.compose_service(self.project, self.service)
        return found or made_by_hand(host.engine, self.service)

    @staticmethod
    def by_hand(container: Container) -> bool:
        """Whether a container was made without compose."""
        return container.labels.get(MODE) == "manual"

    def compose(self, host: Host, **more: str) -> Compose:
        """The service in compose, its file filled with the declared variables and `more`."""
        names = [v.name for v in self.variables]
        return host.compose(self.project, self.files(host), (self.service,), host.environment.select(names) | more)

    def files(self, host: Host) -> tuple[Path, ...]:
        """The compose file: the root's, else the one in the wheel."""
        return (self.locate(host, self.file),)

    def locate(self, host: Host, name: str) -> Path:
        """A compose file of this service by its name relative to the root."""
        own = host.root / name
        if own.is_file():
            return own
        from importlib import resources  # only a root without a checkout pays for it

        packaged = Path(str(resources.files(self.package).joinpath(Path(name).name)))
        if packaged.is_file():
            return packaged
        raise ConfigurationError(
            f"the compose file {name} is neither in {host.root} nor in {self.package}", "launcher manifest check"
        )

    def may_leave_data(self, host: Host) -> bool:
        """Whether the operator allows this start to leave the service's data behind."""
        return places.allowed(host, self.id)

    def address(self, status: ServiceStatus, container_port: int) -> tuple[str, int] | None:
        """Where a published port is reached from this machine; an IPv6 address in brackets, as URLs have it."""
        for port in status.ports:
            if port.container_port == container_port:
                return _bracketed(LOOPBACK.get(port.address, port.address)), port.port
        return None

    def _status(
        self,
        state: ServiceState,
        message: str,
        container: Container | None,
        detail: Detail | None,
        evidence: tuple[Evidence, ...],
    ) -> ServiceStatus:
        # Of the moment that the state is of: a line of the list may be from before a restart, when there were none.
        ports = detail.ports if detail else ()
        rehearsal = container is not None and container.labels.get(REHEARSAL) == "true"
        links = tuple(
            Link(title=self.title, url=f"http://{_people_say(p.address)}:{p.port}")
            for p in ports
            if p.container_port == self.link_port
        )
        return ServiceStatus(
            id=self.id,
            state=state,
            message=f"REHEARSAL stand-in: {message}" if rehearsal else message,
            since=detail.started_at if detail and detail.state == "running" else None,
            container=detail.state if detail else None,
            container_name=container.name if container else None,
            evidence=evidence,
            ports=ports,
            links=links[:1],
            image=container.image if container else None,
            origin=container.labels.get(ORIGIN) if container else None,
            mode=None if container is None else "manual" if self.by_hand(container) else "compose",
            rehearsal=rehearsal,
            stack=self.stack,
        )

    def _data(self, host: Host, container: Container | None) -> Iterable[Problem]:
        """Whether a start would leave the service's data behind: that of its volumes and of its declared folders."""
        config = self.compose(host).config()
        folders = {str(self._resolve(host, self.value(host, name))) for name in self.folders}
        mounts = config["services"].get(self.service, {}).get("volumes", ())
        # Those without a name are made anew with each container anyway.
        named = [m for m in mounts if m.get("source") and m["target"] not in self.caches]
        wanted = [m for m in named if m["type"] == "volume" or os.path.realpath(m["source"]) in folders]
        detail = host.engine.detail(container.id) if container is not None else None
        return places.problems(host, self.id, config, wanted, detail.mounts if detail else ())

    def _missing_values(self, host: Host) -> Iterable[Problem]:
        for variable in self.variables:
            # Set to nothing is not set: an exported empty value hides the one in the file.
            if variable.required and not host.environment.select([variable.name]).get(variable.name):
                yield Problem(severity="error", summary=f"{variable.name} is not set", fix="launcher init")

    def _disk(self, host: Host) -> Iterable[Problem]:
        for found in disks.shared(host.engine, host.root):
            if found.verdict != "pass":
                severity: Severity = "error" if found.verdict == "fail" else "warn"
                yield Problem(severity=severity, summary=found.summary, fix=found.fix)

    def _image(self, name: str, facts: ImageFacts | None, policy: str | None) -> Iterable[Finding]:
        if facts is not None or can_be_pulled(name, policy):  # else preflight says that it is not here
            yield from container_findings.image(self.id, name, facts)

    def _as_compose_reads_it(self, host: Host, project: Mapping[str, Any], own: Container | None) -> Iterable[Problem]:
        """A container name that somebody else has, and ports on a loopback address that is no boundary."""
        service = project["services"].get(self.service)
        if service is None:
            missing = f"{self.file} has no service {self.service}"
            yield Problem(severity="error", summary=missing, fix=f"edit {self.file}; launcher manifest check")
            return
        name = service.get("container_name")
        for holder in host.engine.containers():
            # Of its own there are two, where compose was cut off as it made the service anew.
            ours = holder.made_for(self.project, self.service) or (own is not None and holder.id == own.id)
            if name and holder.name == name and not ours:
                theirs = holder.labels.get("com.docker.compose.project")
                whose = f"the compose project {theirs}" if theirs else "somebody else"
                yield Problem(
                    severity="error",
                    summary=f"the container name {name} is taken by a container of {whose}",
                    fix=f"docker rename {name} {name}-old, or remove it if nobody needs it",
                )
        image = service.get("image", "")
        if not can_be_pulled(image, service.get("pull_policy")) and host.engine.image(image) is None:
            yield Problem(severity="error", summary=f"the image {image} is not here", fix=GET_IMAGE)
        if any(str(port.get("host_ip", "")).startswith("127.") for port in service.get("ports", ())):
            exposed = container_findings.loopback(host.engine.facts())
            if exposed:
                yield Problem(severity="warn", summary=exposed, fix="install Docker Engine 28 or newer")

    def _port(self, host: Host, name: str, value: str, own: Container | None) -> Iterable[Problem]:
        from service_launcher.ports import free_port, holder

        if not value.isdigit() or not 0 < int(value) < 65536:
            yield Problem(severity="error", summary=f"{name}={value} is no port", fix=f"set {name} to 1 … 65535")
            return
        port = int(value)
        if own is not None and any(p.port == port for p in own.ports):
            return
        others = [c for c in host.engine.publishing(port) if own is None or c.id != own.id]
        process = None if others else holder(port)
        culprit = f"the container {others[0].name}" if others else process
        # Between two lives of a container the list knows no ports of it, and the engine's proxy may be there already.
        again = own is not None and own.state in ("running", "restarting") and not others
        if culprit and not (again and process and (process.engine or process.pid is None)):
            yield Problem(
                severity="error",
                summary=f"port {port} ({name}) is taken by {culprit}",
                fix=f"stop {culprit}, or set {name}={free_port(port + 100)}",
            )

    def _folder(self, host: Host, name: str, value: str) -> Iterable[Problem]:
        if host.environment.source(name) and not Path(value).is_absolute():
            yield Problem(
                severity="error",
                summary=f"{name} must be an absolute path",
                fix=f"unset it, or write {host.root / value}",
            )
            return
        folder = self._resolve(host, value)
        # Unlike Path's, no error where this user may not look; such a folder is found unwritable.
        existing = next(place for place in (folder, *folder.parents) if os.path.exists(place))
        if not existing.is_dir():
            yield Problem(severity="error", summary=f"{existing} ({name}) is not a folder", fix=f"ls -ld {existing}")
        elif not os.access(existing, os.W_OK):
            yield Problem(
                severity="error",
                summary=f"{existing} ({name}) cannot be written",
                fix=f"ls -ld {existing}; chown or remount it",
            )

    def _resolve(self, host: Host, value: str) -> Path:
        return (host.root / Path(self.file).parent / value).resolve()


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _people_say(address: str) -> str:
    """The host of a link: its name on every loopback address and where all are published, else the address."""
    here = LOOPBACK.get(address, address)
    return "localhost" if here.startswith("127.") or here == "::1" else _bracketed(here)


class ComposePlugin:
    """A whole plugin for compose services that need nothing special; an entry point may name an instance of it."""

    def __init__(self, *services: ComposeService) -> None:
        self.services = {service.id: service for service in services}

    @hookimpl
    def launcher_manifest_entries(self) -> list[ManifestEntry]:
        """One entry per service."""
        return [service.entry() for service in self.services.values()]

    @hookimpl
    def launcher_variables(self) -> list[Variable]:
        """The variables of all services, each once."""
        return list({v.name: v for service in self.services.values() for v in service.variables}.values())

    @hookimpl
    def launcher_preflight(self, entry: ManifestEntry, action: Action, host: Host) -> list[Problem]:
        """The checks that every compose service needs; silent about other plugins' services."""
        service = self.services.get(entry.id)
        return service.preflight(host) if service and action != "stop" else []

    @hookimpl
    def launcher_prepare(self, entry: ManifestEntry, host: Host) -> None:
        """Pull the service's image."""
        self.services[entry.id].prepare(host)

    @hookimpl
    def launcher_findings(self, entry: ManifestEntry, host: Host) -> list[Finding]:
        """What every compose service needs to live long."""
        return self.services[entry.id].findings(host)

    @hookimpl
    def launcher_start(self, entry: ManifestEntry, host: Host) -> None:
        """`compose up`."""
        self.services[entry.id].start(host)

    @hookimpl
    def launcher_stop(self, entry: ManifestEntry, host: Host) -> None:
        """`compose stop`."""
        self.services[entry.id].stop(host)

    @hookimpl
    def launcher_drift(self, entry: ManifestEntry, host: Host) -> str | None:
        """Configuration hash and image id."""
        return self.services[entry.id].drift(host)

    @hookimpl
    def launcher_status(self, entry: ManifestEntry, host: Host) -> ServiceStatus:
        """Container and health check."""
        return self.services[entry.id].status(host)


def with_application(
    status: ServiceStatus, evidence: Evidence, state: ServiceState, message: str, **more: object
) -> ServiceStatus:
    """A status to which the application probe's evidence was added, with the state that follows from it."""
    text = f"REHEARSAL stand-in: {message}" if status.rehearsal else message
    changes = {"evidence": (*status.evidence, evidence), "state": state, "message": text, **more}
    return status.model_copy(update=changes)


def foreign(container: Container | None, environment: Environment) -> str | None:
    """Whose a container is, when another installation on this machine has made it."""
    theirs = container.labels.get(INSTALLATION) if container else None
    ours = environment.get(INSTALLATION_ID)
    if not container or not theirs or not ours or theirs == ours:
        return None
    folder = container.labels.get("com.docker.compose.project.working_dir", "an unknown folder")
    return f"the container {container.name} belongs to another installation ({folder})"


def made_by_hand(engine: EngineView, service: str) -> Container | None:
    """The container that an operator made of a service without compose, by the labels that our files give."""
    return next((c for c in engine.with_label(MODE, "manual") if c.labels.get(SERVICE) == service), None)
