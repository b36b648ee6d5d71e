"""The application service: every verb of the CLI, the scripts and the page, decided in one place."""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service_launcher import envfile, freeze, lock, manifest, policy
from service_launcher.compose import ComposeProject
from service_launcher.context import CallContext, Listener
from service_launcher.engine import Engine
from service_launcher.engine_view import EngineView
from service_launcher.envfile import Environment
from service_launcher.errors import DependencyCycle, EngineUnavailable, LauncherError, UnknownService
from service_launcher.events import FOLLOW_SECONDS, EventLog
from service_launcher.models import (
    Action,
    Diagnosis,
    Event,
    Explanation,
    LogLine,
    ManifestEntry,
    OperationReport,
    Plan,
    Problem,
    Progress,
    Usage,
    now,
)
from service_launcher.observation import Observer, Reading
from service_launcher.operation import Operation, Order
from service_launcher.planner import Graph
from service_launcher.plugins import Plugins
from service_launcher.redaction import MASK, Redactor
from service_launcher.settings import Settings, own_folder

if TYPE_CHECKING:
    from service_launcher.health_records import HealthReport
    from service_launcher.live import Heard


def _ignore(progress: Progress) -> None:
    """The listener of who does not watch."""


@dataclass(frozen=True)
class Setting:
    """A variable as it counts now; the value of a secret is masked."""

    name: str
    value: str | None
    source: str
    meaning: str


class Launcher:
    """An installation: its services, what is true of them, and how they are started and stopped."""

    def __init__(
        self, settings: Settings, environment: Environment, plugins: Plugins, engine: Engine, events: EventLog
    ) -> None:
        self.settings = settings
        self.environment = environment
        self.plugins = plugins
        listed = manifest.read(settings.manifest).services if settings.manifest.exists() else ()
        # A plugin's own entry stands before the file's; `launcher manifest check` tells where they differ.
        self.graph = _graph(listed, plugins)
        self.redact = Redactor(environment.secret_values())
        self._engine = engine
        self._events = events
        self._observer = Observer(settings.root, environment, plugins, self.graph, self.redact, events)

    # Reading.

    @property
    def entries(self) -> Mapping[str, ManifestEntry]:
        """Every service of the installation by id."""
        return self.graph.entries

    def select(self, names: Iterable[str] = (), phases: Iterable[str] = ()) -> tuple[str, ...]:
        """The ids that names and phases mean; without either, every service. Raises UnknownService, UnknownPhase."""
        chosen = [self.graph.resolve(name) for name in names]
        chosen += [service for phase in phases for service in self.graph.phase(phase)]
        return tuple(dict.fromkeys(chosen)) or tuple(self.entries)

    def status(self, names: Iterable[str] = (), phases: Iterable[str] = ()) -> Reading:
        """What is true of the services now. A silent engine makes them unknown, it raises nothing."""
        return self._observer.reading(self.select(names, phases), EngineView(self._engine))

    def live(
        self,
        stop: threading.Event,
        names: Iterable[str] = (),
        phases: Iterable[str] = (),
        heard: Heard | None = None,
        record: bool = True,
    ) -> Generator[Reading, None, None]:
        """A reading at once and after each change, until `stop` is set; with `record` keeps what happens meanwhile.

        A silent engine makes everything unknown within 3 s and is asked again every second.
        """
        from service_launcher.live import Live  # here and below: a plain status does not pay for it

        locks = own_folder(self.settings) / "locks"
        live = Live(self._observer, self._engine, self._events, locks, self.settings.actor, record)
        return live.readings(self.select(names, phases), stop, heard)

    def explain(self, name: str) -> Explanation:
        """Why a service is not ready, with what shows it and the next command. Raises UnknownService."""
        from service_launcher.explanation import Explainer

        return Explainer(self._observer, self._engine).explain(self.graph.resolve(name))

    def events(self, name: str | None = None, limit: int | None = None) -> list[Event]:
        """What is recorded, oldest first: all of it or the last `limit`, of all services or one."""
        service = self.graph.resolve(name) if name else None
        found = (e for e in self._events.read() if service is None or _concerns(e, service))
        return list(deque(found, limit))

    def recorded_events(
        self, stop: threading.Event, name: str | None = None, every: float = FOLLOW_SECONDS
    ) -> Iterator[Event]:
        """What is recorded from this call on, by any process, looked for every so many seconds; until `stop` is set.

        What the engine tells is recorded only while somebody reads `live`.
        """
        service = self.graph.resolve(name) if name else None
        return (e for e in self._events.follow(stop, every) if service is None or _concerns(e, service))

    def doctor(self) -> Diagnosis:
        """What would hurt this installation now or later, each with a fix; a silent engine is a finding."""
        from service_launcher.doctor import Doctor  # `launcher status` must not pay for it

        return Doctor(self._observer, self._engine).diagnose()

    def health(self, names: Iterable[str] = (), *, services: bool = True, containers: bool = True) -> HealthReport:
        """The health of services and of their containers, with what these use. A silent engine is critical."""
        from service_launcher.health import Health

        return Health(self._observer, self._engine).report(self.select(names), services=services, containers=containers)

    def usage(self, names: Iterable[str] = ()) -> tuple[Usage, ...]:
        """What the running containers of the services use. Raises EngineUnavailable."""
        from service_launcher.health import Health

        return Health(self._observer, self._engine).usage(self.select(names))

    def follow_usage(self, stop: threading.Event, seconds: float) -> Iterator[tuple[Usage, ...]]:
        """What the running containers use, every so many seconds, until `stop` is set; nothing while none can tell."""
        from service_launcher.health import Health

        return Health(self._observer, self._engine).follow_usage(tuple(self.entries), stop, seconds)

    def plan(self, action: Action, names: Sequence[str] = (), phases: Sequence[str] = ()) -> Plan:
        """What an operation would do now, and why. Raises EngineUnavailable."""
        wanted = self._wanted(names, phases)
        self._engine.ping()
        operation = self._new_operation(action, _ignore, {}, Order(self.settings.actor))
        if action == "start":
            return operation.plan_start(wanted, by_phase=not names)[0]
        return operation.plan_stop(wanted) if action == "stop" else operation.plan_restart(wanted)

    def logs(
        self,
        names: Iterable[str] = (),
        tail: int | None = None,
        since: datetime | None = None,
        grep: re.Pattern[str] | None = None,
        follow: threading.Event | None = None,
    ) -> Iterator[LogLine]:
        """The output of services' containers, redacted: merged by time, or followed until `follow` is set.

        Raises EngineUnavailable, and LauncherError where no service asked for has a container.
        """
        from service_launcher.logs import Logs, Selection

        services = self.select(names)
        view = EngineView(self._engine)
        if not follow and not any(self._observer.container(self.entries[s], view) for s in services):
            if len(services) > 1:
                raise LauncherError("no service has a container, so there are no logs", "launcher status")
            raise LauncherError(
                f"{services[0]} has no container, so there are no logs", f"launcher start {services[0]}"
            )
        logs = Logs(
            self._engine, lambda s: self._observer.container(self.entries[s], EngineView(self._engine)), self.redact
        )
        selection = Selection(tail, since, grep)
        return logs.follow(services, selection, follow) if follow else logs.read(services, selection)

    def config(self) -> list[Setting]:
        """Every variable that a plugin reads: its effective value (secrets masked) and where it came from."""
        found: dict[str, Setting] = {}
        for variable in (v for variables in self.plugins.variables().values() for v in variables):
            source = self.environment.source(variable.name)
            value = self.environment.get(variable.name) if source else variable.default
            if source and envfile.is_secret(variable.name):
                value = MASK
            found[variable.name] = Setting(variable.name, value, source or "default", variable.meaning)
        return list(found.values())

    def manifest_drift(self) -> list[Problem]:
        """Every way in which the manifest's file disagrees with the plugins and the tree. Raises ManifestError."""
        found = manifest.drift(self.settings.manifest, self.plugins.entries.values(), self.settings.root)
        return [*found, *self._compose_drift()]

    def plugin_problems(self, name: str) -> list[Problem]:
        """What is wrong with a plugin, each with what mends it: its state, its entries, its copies, its policy."""
        plugin = self.plugins.found[name]
        found = []
        if plugin.state in ("failed", "incompatible"):
            fix = f"mend it, or: launcher plugins disable {name}"
            words = f"{name} is {plugin.state}: {plugin.reason}"
            found.append(Problem(severity="error", summary=words, fix=fix, raised_by=name))
        if plugin.state == "active" and not plugin.host_range:
            words = f"{name} says nothing about the versions of service-launcher that it fits"
            fix = "service-launcher>=0.1,<1 in the dependencies of its pyproject.toml"
            found.append(Problem(severity="warn", summary=words, fix=fix, raised_by=name))
        if len(copies := self.plugins.copies(name)) > 1:
            words = (
                f"{plugin.distribution} is installed {len(copies)} times, and the first is used: {', '.join(copies)}"
            )
            fix = f"pip uninstall {plugin.distribution}, until one is left"
            found.append(Problem(severity="warn", summary=words, fix=fix, raised_by=name))
        found += [p for p in self.plugins.problems if p.raised_by == name or p.service in plugin.services]
        return found + self.plugin_policy(name)

    def plugin_policy(self, name: str) -> list[Problem]:
        """How the compose files of a plugin's services reach for the machine, and where one cannot be read or found.

        The files' own defaults count, not this installation's values. Needs no Engine.
        """
        found = []
        # What has no default is given something, or compose would refuse the file.
        variables = self.plugins.variables().get(name, ())
        values = {v.name: v.default or "unset" for v in variables if v.required or v.kind == "password"}
        plugin = self.plugins.found[name]
        for service in plugin.services:
            reference = self.entries[service].compose
            if reference is None:
                continue
            file = self.plugins.compose_file(name, self.settings.root / reference.file)
            if file is None:
                words = (
                    f"{service}: the compose file {reference.file} is neither in the root nor in the package of {name}"
                )
                found.append(
                    Problem(severity="error", summary=words, fix="see force-include in docs/plugins/how-to.md")
                )
                continue
            project = ComposeProject(reference.project, (file,), file.parent, values, self.redact)
            try:
                rendered = project.config()["services"].get(reference.service)
            except LauncherError as error:
                found.append(Problem(severity="error", summary=f"{service}: {error.summary}", fix=error.fix))
                continue
            if rendered is None:
                words = f"{service}: {file.name} has no service {reference.service}"
                found.append(Problem(severity="error", summary=words, fix=f"edit {file}"))
                continue
            fix = f"trust {name} as root, or launcher plugins disable {name}"
            found += [
                Problem(severity="warn", summary=f"{service} {words} ({file.name})", fix=fix, service=service)
                for words in policy.breaches(rendered)
            ]
        return found

    @staticmethod
    def manifest_schema() -> dict[str, object]:
        """The JSON Schema of the manifest's file."""
        return manifest.schema()

    # Writing.

    def manifest_sync(self) -> list[str]:
        """Write the plugins' entries into the manifest's file; returns the ids that changed."""
        return manifest.sync(self.settings.manifest, list(self.plugins.entries.values()))

    def initialise(self) -> list[str]:
        """Write what is missing into `.env` and create missing networks; returns sentences for people."""
        wanted: dict[str, tuple[str, str]] = {}
        networks: set[str] = set()
        for variable in (v for variables in self.plugins.variables().values() for v in variables):
            if variable.kind == "network":
                networks.add(self.environment.get(variable.name) or variable.default or "")
            if self.environment.source(variable.name) == "process environment":
                continue
            if variable.kind == "password":
                wanted[variable.name] = (_password(), variable.meaning)
            elif variable.kind == "identifier":
                wanted[variable.name] = (secrets.token_hex(8), variable.meaning)
            elif variable.initial is not None:
                wanted[variable.name] = (variable.initial, variable.meaning)
        return [*self.add_variables(wanted), *self._create_networks(networks - {""})]

    def add_variables(self, wanted: Mapping[str, tuple[str, str]], file: str = ".env") -> list[str]:
        """Add variables that a file does not have, name to (value, comment); returns sentences for people."""
        own_folder(self.settings)
        path = self.settings.root / file
        header = "# Values of this installation. Accepted: KEY=value and KEY='value'. See .env.example.\n"
        added = envfile.add_absent(path, wanted, header)
        return [f"{file}: added {', '.join(added)}"] if added else [f"{file}: nothing to add"]

    def start(
        self,
        names: Sequence[str] = (),
        phases: Sequence[str] = (),
        listener: Listener = _ignore,
        order: Order | None = None,
    ) -> OperationReport:
        """Start services and whatever they need, and wait until they are ready.

        Without names it is a start by phase (all phases unless some are given): owners may decline it, and a freeze
        stops it. `order` says who asks, and lets them cancel. Raises Busy, EngineUnavailable, PreflightRefused,
        Interrupted.
        """
        wanted = self._wanted(names, phases)
        needed = self.graph.with_needs(wanted)
        perhaps = self.graph.with_dependants(needed)
        with self._operation("start", needed, names, listener, order, perhaps) as operation:
            operation.start(wanted, by_phase=not names)
        return operation.report()

    def stop(
        self,
        names: Sequence[str] = (),
        phases: Sequence[str] = (),
        listener: Listener = _ignore,
        order: Order | None = None,
    ) -> OperationReport:
        """Stop services after everything that depends on them. Raises as `start` does."""
        wanted = self._wanted(names, phases)
        with self._operation("stop", self.graph.with_dependants(wanted), names, listener, order) as operation:
            operation.stop(wanted)
        return operation.report()

    def restart(
        self,
        names: Sequence[str] = (),
        phases: Sequence[str] = (),
        listener: Listener = _ignore,
        order: Order | None = None,
    ) -> OperationReport:
        """Stop services with their running dependants, then start all of these again. Raises as `start` does."""
        wanted = self._wanted(names, phases)
        touched = self.graph.with_needs(self.graph.with_dependants(wanted))
        with self._operation("restart", touched, names, listener, order) as operation:
            operation.restart(wanted)
        return operation.report()

    def watch(
        self, stop: threading.Event, listener: Callable[[Event], None], outdated: Callable[[], bool] = lambda: False
    ) -> None:
        """Bring back what was up and is down, until `stop` is set; `listener` hears each event that this records.

        Returns when this launcher is `outdated`: with a password of yesterday what is well looks ill, and what is
        brought back is made anew.

        What an operator stopped stays down. A service is tried 5 times, after 10 s and then after twice as long each
        time; after ten minutes of being ready it counts afresh. Raises Busy when another one watches.
        """
        from service_launcher.watching import Watch

        with lock.hold(own_folder(self.settings) / "locks", "watch", self.settings.actor, "watch"):
            watch = Watch(
                self.live,
                self.start,
                self.plugins.owners,
                lambda services: set(self.graph.with_needs(services)),
                self._events,
                self.redact,
                self.settings.actor,
            )
            watch.run(stop, listener, outdated)

    @contextlib.contextmanager
    def host(self, service: str, action: Action | None = None) -> Iterator[CallContext]:
        """The host as one service's hooks get it, with the project's lock: for the commands of plugins. Raises Busy.

        With an action, what happens inside is recorded as an operation.
        """
        chosen = self.graph.resolve(service)
        with self._locks({self._lock_name(chosen)}, f"a command of {chosen}") as locks:
            context = self._observer.context(chosen, EngineView(self._engine), locks=locks)
            if action is None:
                yield context
                return
            operation = self._new_operation(action, lambda _: None, locks, Order(self.settings.actor))
            with operation.recorded([chosen]):
                yield context

    def close(self) -> None:
        """Give back the connection to the engine; a command ends instead."""
        self._engine.close()

    # Private.

    def _compose_drift(self) -> Iterator[Problem]:
        """Where an entry's compose file lacks its service or publishes another port by default."""
        variables = self.plugins.variables()
        rendered: dict[str, dict[str, Any]] = {}
        for entry in self.plugins.entries.values():
            reference = entry.compose
            if reference is None or not (self.settings.root / reference.file).is_file():
                continue
            # The file's own defaults count, not this installation's values; a password has none.
            values = {v.name: "unset" for v in variables.get(entry.plugin or "", ()) if v.kind == "password"}
            if reference.file not in rendered:
                file = self.settings.root / reference.file
                project = ComposeProject(reference.project, (file,), file.parent, values, self.redact)
                try:
                    rendered[reference.file] = project.config()["services"]
                except LauncherError as error:
                    yield Problem(severity="error", summary=error.summary, fix=error.fix, service=entry.id)
                    continue
            service = rendered[reference.file].get(reference.service)
            published = {int(port["published"]) for port in (service or {}).get("ports", ()) if port.get("published")}
            if service is None:
                missing = f"{entry.id}: {reference.file} has no service {reference.service}"
                yield Problem(severity="error", summary=missing, fix=f"edit {reference.file}", service=entry.id)
            elif entry.port is not None and entry.port not in published:
                differs = f"{entry.id}: port {entry.port} is not what {reference.file} publishes ({sorted(published)})"
                yield Problem(severity="error", summary=differs, fix=f"edit {reference.file}", service=entry.id)

    def _wanted(self, names: Sequence[str], phases: Sequence[str]) -> tuple[str, ...]:
        return self.select(names, phases or (() if names else ("all",)))

    def _new_operation(self, action: Action, listener: Listener, locks: Mapping[str, Path], order: Order) -> Operation:
        return Operation(
            action=action,
            order=order,
            observer=self._observer,
            engine=self._engine,
            events=self._events,
            listener=listener,
            locks=locks,
        )

    @contextlib.contextmanager
    def _operation(
        self,
        action: Action,
        services: Collection[str],
        names: Sequence[str],
        listener: Listener,
        order: Order | None,
        perhaps: Collection[str] = (),
    ) -> Iterator[Operation]:
        """An operation on `services`, with the locks of these and of those that it may `perhaps` take along."""
        order = order or Order(self.settings.actor)
        if not names:
            freeze.check(self.settings.root, self.environment)
        locked = {self._lock_name(s) for s in (*services, *perhaps) if self.entries[s].plugin}
        with self._locks(locked, f"{action} {' '.join(services)}", order.actor) as locks:
            self._engine.ping()
            operation = self._new_operation(action, listener, locks, order)
            operation.problems += self._close_the_cut_off(locked)
            with operation.recorded(services):
                yield operation

    def _close_the_cut_off(self, held: Collection[str]) -> Iterator[Problem]:
        """Write the second record of operations whose launcher was killed: with their locks held, none can be alive."""
        for event in self._events.unfinished().values():
            services = [s for s in event.detail.get("services", ()) if s in self.entries]
            if services and {self._lock_name(s) for s in services if self.entries[s].plugin} <= set(held):
                words = f"an earlier {event.detail.get('action')} by {event.actor} was cut off: its launcher was killed"
                detail = {"outcome": "failed", "message": words, "services": services}
                self._events.record(
                    event.model_copy(update={"time": now(), "what": "operation.finished", "detail": detail})
                )
                yield Problem(severity="warn", summary=words, fix="launcher events")

    @contextlib.contextmanager
    def _locks(self, names: Iterable[str], purpose: str, actor: str = "") -> Iterator[dict[str, Path]]:
        folder = own_folder(self.settings) / "locks"
        with contextlib.ExitStack() as stack:
            # In sorted order, so that two launchers never wait for each other's second lock.
            yield {
                name: stack.enter_context(lock.hold(folder, name, actor or self.settings.actor, purpose))
                for name in sorted(names)
            }

    def _lock_name(self, service: str) -> str:
        reference = self.entries[service].compose
        return reference.project if reference else service

    def _create_networks(self, names: Iterable[str]) -> list[str]:
        done = []
        for name in sorted(names):
            try:
                if EngineView(self._engine).network_exists(name):
                    continue
                with self._locks({"networks"}, f"create network {name}") as locks:
                    project = ComposeProject("networks", (), self.settings.root, {}, self.redact, locks["networks"])
                    project.create_network(name)
                done.append(f"network {name}: created")
            except EngineUnavailable as error:
                done.append(f"network {name}: not created, because {error.summary}")
        return done


def _concerns(event: Event, service: str) -> bool:
    return event.service == service or service in event.detail.get("services", ())


def _graph(listed: Iterable[ManifestEntry], plugins: Plugins) -> Graph:
    """The graph of all services, without plugins' entries that do not fit; the manifest's own faults are raised."""
    by_hand = {entry.id: entry for entry in listed}
    while True:
        try:
            return Graph((by_hand | plugins.entries).values())
        except (UnknownService, DependencyCycle) as error:
            if error.services.isdisjoint(plugins.entries):
                raise
            for service in error.services & plugins.entries.keys():
                plugins.withdraw(service, error.summary)


def _password() -> str:
    """32 letters and digits with at least one of each kind that the strictest known policy asks for."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    kinds: tuple[Callable[[str], bool], ...] = (str.isupper, str.islower, str.isdigit)
    while True:
        password = "".join(secrets.choice(alphabet) for _ in range(32))
        if all(any(map(kind, password)) for kind in kinds):
            return password
