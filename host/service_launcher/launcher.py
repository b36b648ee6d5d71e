"""The application service: every verb of the CLI, the scripts and the page, decided in one place."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from service_launcher import envfile, freeze, lock, manifest, planner, prober
from service_launcher.compose import ComposeProject
from service_launcher.compose_service import MODE, SERVICE
from service_launcher.context import CallContext, Listener
from service_launcher.engine import Changes, Container, Engine, EngineView
from service_launcher.envfile import Environment
from service_launcher.errors import EngineUnavailable, Interrupted, LauncherError, PluginFailed
from service_launcher.events import EventLog
from service_launcher.models import (
    Action,
    AutoStart,
    Event,
    Evidence,
    ManifestEntry,
    OperationReport,
    Outcome,
    Phase,
    Plan,
    Problem,
    Progress,
    ServiceState,
    ServiceStatus,
    Step,
    Verdict,
)
from service_launcher.plugins import Plugins
from service_launcher.redaction import Redactor
from service_launcher.settings import Settings, own_folder

POLL_SECONDS = 0.2  # the application's answer has no event
REREAD_SECONDS = 5.0  # in case an event was lost
SETTLE_SECONDS = 3.0  # a failure seen for so long is one; during its start a service may look ill for a moment


@dataclass(frozen=True)
class Reading:
    """The statuses of all services asked for, what else a person should know, and whether the engine answered."""

    statuses: tuple[ServiceStatus, ...]
    problems: tuple[Problem, ...] = ()
    engine_error: EngineUnavailable | None = None


@dataclass
class Operation:
    """One start, stop or restart under way: its identity, its locks, and whom to tell."""

    action: Action
    listener: Listener
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    began: float = field(default_factory=time.monotonic)
    locks: dict[str, Path] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    changed: bool = False
    handed_over: dict[str, float] = field(default_factory=dict)

    def finish(
        self,
        service: str,
        result: str,
        message: str,
        status: ServiceStatus | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        """Note how the operation ended for one service."""
        seconds = round(time.monotonic() - self.handed_over.get(service, time.monotonic()), 2)
        self.outcomes[service] = Outcome.model_validate(
            {"service": service, "result": result, "message": message, "seconds": seconds, "status": status,
             "problems": tuple(problems)}
        )  # fmt: skip

    @property
    def exit_code(self) -> int:
        """0 when everything asked for is so; 3 when preflight refused and nothing was changed; else 1."""
        results = {outcome.result for outcome in self.outcomes.values()}
        if "failed" in results:
            return 1
        if results & {"refused", "not_tried"}:
            return 1 if self.changed else 3
        return 0


class Launcher:
    """An installation: its services, what is true of them, and how they are started and stopped."""

    def __init__(
        self, settings: Settings, environment: Environment, plugins: Plugins, engine: Engine, events: EventLog
    ) -> None:
        self.settings = settings
        self.environment = environment
        self.plugins = plugins
        self._engine = engine
        self._events = events
        self._redact = Redactor(environment.secret_values())
        listed = manifest.read(settings.manifest).services if settings.manifest.is_file() else ()
        entries = {entry.id: entry for entry in listed} | plugins.entries
        self.graph = planner.Graph(entries.values())

    # Reading.

    @property
    def entries(self) -> Mapping[str, ManifestEntry]:
        """Every service of the installation by id; a plugin's own entry stands before the file's."""
        return self.graph.entries

    def select(self, names: Iterable[str] = (), phases: Iterable[str] = ()) -> tuple[str, ...]:
        """The ids that names and phases mean; without either, every service. Raises UnknownService, UnknownPhase."""
        chosen = [self.graph.resolve(name) for name in names]
        chosen += [service for phase in phases for service in self.graph.phase(phase)]
        return tuple(dict.fromkeys(chosen)) or tuple(self.entries)

    def status(self, names: Iterable[str] = (), phases: Iterable[str] = ()) -> Reading:
        """What is true of the services now. A silent engine makes them unknown, it raises nothing."""
        services = self.select(names, phases)
        view = EngineView(self._engine)
        engine_error = None
        try:
            view.containers()
        except EngineUnavailable as error:
            engine_error = error
        statuses = self._statuses(services, view)
        return Reading(statuses, tuple(self.plugins.problems), engine_error)

    def plan(self, action: Action, names: Sequence[str] = (), phases: Sequence[str] = ()) -> Plan:
        """What an operation would do now, and why. Raises EngineUnavailable."""
        wanted = self.select(names, phases or (() if names else ("all",)))
        view = EngineView(self._engine)
        view.containers()
        if action == "start":
            return self._plan_start(wanted, view, by_phase=not names)[0]
        stop = self._plan_stop(wanted, view)
        if action == "stop":
            return stop
        again = {step.service for step in stop.steps if step.do == "stop"} | set(wanted)
        starts = [s for s in self.graph.with_needs(again) if s in self.plugins.owners]
        steps = [Step(service=s, do="start", reason="restarted") for s in starts if s in again]
        return Plan(action="restart", steps=(*stop.steps, *steps))

    def logs(self, name: str, tail: int, follow: bool = False) -> Iterator[str]:
        """The last lines of a service's container, redacted, and on with it when following. Raises LauncherError."""
        entry = self.entries[self.graph.resolve(name)]
        view = EngineView(self._engine)
        container = self._container(entry, view)
        if container is None:
            raise LauncherError(f"{entry.id} has no container, so there are no logs", f"launcher start {entry.id}")
        rest = b""
        for chunk in self._engine.logs(container.id, tail, follow):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (self._redact(line.decode("utf-8", "replace").rstrip("\r")) for line in lines)
        if rest:
            yield self._redact(rest.decode("utf-8", "replace"))

    def manifest_drift(self) -> list[Problem]:
        """Every way in which the manifest's file disagrees with the plugins and the tree. Raises ManifestError."""
        return manifest.drift(self.settings.manifest, self.plugins.entries.values(), self.settings.root)

    @staticmethod
    def manifest_schema() -> dict[str, object]:
        """The JSON Schema of the manifest's file."""
        return manifest.schema()

    def manifest_sync(self) -> list[str]:
        """Write the plugins' entries into the manifest's file; returns the ids that changed."""
        return manifest.sync(self.settings.manifest, list(self.plugins.entries.values()))

    def redact(self, text: str) -> str:
        """Text without this installation's secrets and without control characters."""
        return self._redact(text)

    # Writing.

    def initialise(self) -> tuple[list[str], list[str]]:
        """Write what is missing into `.env` and create missing networks; returns what was done and what was not."""
        own_folder(self.settings)
        wanted: dict[str, tuple[str, str]] = {}
        networks: set[str] = set()
        for variables in self.plugins.variables().values():
            for variable in variables:
                if self.environment.source(variable.name) == "process environment":
                    continue
                if variable.kind == "password":
                    wanted[variable.name] = (_password(), variable.meaning)
                elif variable.initial is not None:
                    wanted[variable.name] = (variable.initial, variable.meaning)
                if variable.kind == "network":
                    networks.add(self.environment.get(variable.name) or variable.default or "")
        return self.add_variables(wanted), self._create_networks(networks - {""})

    def add_variables(self, wanted: Mapping[str, tuple[str, str]]) -> list[str]:
        """Add variables that `.env` does not have, name to (value, comment); returns sentences for people."""
        path = self.settings.root / ".env"
        header = "# Values of this installation. Accepted: KEY=value and KEY='value'. See .env.example.\n"
        added = envfile.add_absent(path, wanted, header)
        return [f".env: added {', '.join(added)}"] if added else [".env: nothing to add"]

    def start(
        self, names: Sequence[str] = (), phases: Sequence[str] = (), listener: Listener = lambda _: None
    ) -> OperationReport:
        """Start services and whatever they need, and wait until they are ready.

        Without names it is a start by phase (all phases unless some are given): owners may decline it, and a freeze
        stops it. Raises Busy, EngineUnavailable, PreflightRefused, Interrupted.
        """
        wanted = self.select(names, phases or (() if names else ("all",)))
        if not names:
            freeze.check(self.settings.root, self.environment)
        with self._operation("start", self.graph.with_needs(wanted), listener) as operation:
            self._start(operation, wanted, by_phase=not names)
        return self._report(operation)

    def stop(
        self, names: Sequence[str] = (), phases: Sequence[str] = (), listener: Listener = lambda _: None
    ) -> OperationReport:
        """Stop services after everything that depends on them. Raises as `start` does."""
        wanted = self.select(names, phases or (() if names else ("all",)))
        if not names:
            freeze.check(self.settings.root, self.environment)
        with self._operation("stop", self.graph.with_dependants(wanted), listener) as operation:
            self._stop(operation, wanted)
        return self._report(operation)

    def restart(
        self, names: Sequence[str] = (), phases: Sequence[str] = (), listener: Listener = lambda _: None
    ) -> OperationReport:
        """Stop services with their running dependants, then start all of these again. Raises as `start` does."""
        wanted = self.select(names, phases or (() if names else ("all",)))
        if not names:
            freeze.check(self.settings.root, self.environment)
        touched = self.graph.with_needs(self.graph.with_dependants(wanted))
        with self._operation("restart", touched, listener) as operation:
            blocked = self._preflight(operation, [s for s in wanted if s in self.plugins.owners], "restart")
            if not blocked:
                stopped = self._stop(operation, wanted)
                if all(outcome.result != "failed" for outcome in operation.outcomes.values()):
                    operation.outcomes.clear()
                    self._start(operation, tuple({*stopped, *wanted}), by_phase=False)
        return self._report(operation)

    @contextlib.contextmanager
    def host(self, service: str) -> Iterator[CallContext]:
        """The host as one service's hooks get it, with the project's lock: for the commands of plugins. Raises Busy."""
        chosen = self.graph.resolve(service)
        name = self._lock_name(chosen)
        with lock.hold(
            own_folder(self.settings) / "locks", name, self.settings.actor, f"a command of {chosen}"
        ) as path:
            operation = Operation("start", lambda _: None, locks={name: path})
            yield self._context(chosen, EngineView(self._engine), operation)

    # Private: reading.

    def _context(self, service: str, view: EngineView, operation: Operation | None = None) -> CallContext:
        return CallContext(
            root=self.settings.root,
            environment=self.environment,
            engine=view,
            entry=self.entries[service],
            redactor=self._redact,
            listener=operation.listener if operation else lambda _: None,
            locks=operation.locks if operation else {},
        )

    def _statuses(self, services: Sequence[str], view: EngineView) -> tuple[ServiceStatus, ...]:
        if len(services) < 2:
            return tuple(self._status(service, view) for service in services)
        # Side by side, so that the slowest owner and not the sum of all decides how long a reading takes.
        with ThreadPoolExecutor(max_workers=min(len(services), 16)) as pool:
            return tuple(pool.map(lambda service: self._status(service, view), services))

    def _status(self, service: str, view: EngineView) -> ServiceStatus:
        entry = self.entries[service]
        if service not in self.plugins.owners:
            return self._status_without_owner(entry, view)
        try:
            status = self.plugins.status(entry, self._context(service, view))
        except LauncherError as error:
            return _unknown(entry, error.summary)
        if status.state is ServiceState.STOPPED and entry.stack:
            with contextlib.suppress(PluginFailed):  # a plugin that cannot say so does not skip
                answer = self.plugins.auto_start(entry, self.environment)
                if not answer.start:
                    return status.model_copy(
                        update={"state": ServiceState.SKIPPED, "message": answer.reason, "counted": False}
                    )
        return status

    def _status_without_owner(self, entry: ManifestEntry, view: EngineView) -> ServiceStatus:
        if entry.plugin is None:
            answer = prober.tcp("127.0.0.1", entry.port) if entry.port else None
            heard = (
                "no port to ask" if answer is None else "its port answers" if answer.ok else "its port does not answer"
            )
            message = f"not managed here ({heard}); people start it with: {entry.start}"
            return ServiceStatus(id=entry.id, state=ServiceState.UNMANAGED, message=self._redact(message),
                                 stack=entry.stack, counted=False)  # fmt: skip
        plugin = self.plugins.found.get(entry.plugin)
        clash = next((p.summary for p in self.plugins.problems if p.service == entry.id), None)
        reason = clash or f"its plugin {entry.plugin} is {'not installed' if plugin is None else plugin.state}"
        if plugin is not None and plugin.reason and not clash:
            reason += f": {plugin.reason}"
        with contextlib.suppress(EngineUnavailable):
            container = self._container(entry, view)
            if container is not None:
                return _unknown(entry, f"{reason}; its container is {container.state}", container.state)
        return _unknown(entry, reason)

    def _container(self, entry: ManifestEntry, view: EngineView) -> Container | None:
        if entry.compose is None:
            return None
        found = view.compose_service(entry.compose.project, entry.compose.service)
        return found or view.labelled({SERVICE: entry.compose.service, MODE: "manual"})

    # Private: planning.

    def _plan_start(
        self, wanted: Sequence[str], view: EngineView, by_phase: bool
    ) -> tuple[Plan, dict[str, ServiceStatus], list[Problem]]:
        owned = [s for s in self.graph.with_needs(wanted) if s in self.plugins.owners]
        auto_start: dict[str, AutoStart] = {}
        problems: list[Problem] = []
        for service in owned if by_phase else ():
            if service in wanted:
                try:
                    auto_start[service] = self.plugins.auto_start(self.entries[service], self.environment)
                except PluginFailed as error:
                    auto_start[service] = AutoStart(start=True, warning=error.summary)
                if auto_start[service].warning:
                    problems.append(Problem(severity="warn", summary=auto_start[service].warning, service=service))
        statuses = {status.id: status for status in self._statuses(owned, view)}
        drift: dict[str, str] = {}
        hashes: dict[object, Mapping[str, str]] = {}
        for service in owned:
            if statuses[service].state is ServiceState.READY:
                context = self._context(service, view)
                context.hashes.update(hashes)
                try:
                    reason = self.plugins.drift(self.entries[service], context)
                except LauncherError as error:
                    reason = f"whether it has changed is unknown: {error.summary}"
                hashes.update(context.hashes)
                if reason:
                    drift[service] = reason
        states = {service: status.state for service, status in statuses.items()}
        return planner.plan_start(self.graph, wanted, states, auto_start, drift, owned), statuses, problems

    def _plan_stop(self, wanted: Sequence[str], view: EngineView) -> Plan:
        services = self.graph.with_dependants(wanted)
        stoppable = [s for s in services if s in self.plugins.owners or self.entries[s].plugin]
        states = {status.id: status.state for status in self._statuses(stoppable, view)}
        for service in stoppable:
            entry = self.entries[service]
            # Where the owner cannot say, the engine can: no running container means that there is nothing to stop.
            if states[service] is ServiceState.UNKNOWN and entry.compose:
                container = self._container(entry, view)
                if container is None or container.state in ("exited", "created"):
                    states[service] = ServiceState.STOPPED
        return planner.plan_stop(self.graph, wanted, states, stoppable)

    def _preflight(self, operation: Operation, services: Sequence[str], action: Action) -> set[str]:
        """Check services before the first change; returns those that must not be started."""
        blocked: set[str] = set()
        for service in services:
            operation.listener(Progress(service=service, phase="checking"))
            view = EngineView(self._engine)
            try:
                found = self.plugins.preflight(
                    self.entries[service],
                    action,
                    lambda s=service, v=view: self._context(s, v),  # type: ignore[misc]
                )
            except LauncherError as error:
                found = [Problem(severity="error", summary=error.summary, fix=error.fix, service=service)]
            errors = [p for p in found if p.severity == "error"]
            operation.problems += [p for p in found if p.severity != "error"]
            below = sorted(blocked & set(self.graph.with_needs([service])))
            if errors:
                blocked.add(service)
                message = "; ".join(p.summary for p in errors)
                operation.finish(service, "refused", self._redact(message), problems=errors)
                self._record(operation, "preflight.refused", service, message=message)
            elif below:
                blocked.add(service)
                operation.finish(service, "not_tried", f"it needs {', '.join(below)}")
        return blocked

    # Private: doing.

    @contextlib.contextmanager
    def _operation(self, action: Action, services: Collection[str], listener: Listener) -> Iterator[Operation]:
        operation = Operation(action, listener)
        names = {self._lock_name(s) for s in services if s in self.plugins.owners or self.entries[s].plugin}
        with contextlib.ExitStack() as stack:
            folder = own_folder(self.settings) / "locks"
            for name in sorted(names):
                held = lock.hold(folder, name, self.settings.actor, f"{action} {' '.join(services)}")
                operation.locks[name] = stack.enter_context(held)
            EngineView(self._engine).containers()
            self._record(operation, "operation.started", None, action=action, services=list(services))
            outcome = "failed"
            try:
                yield operation
                outcome = "succeeded" if operation.exit_code == 0 else "failed"
            except KeyboardInterrupt:
                outcome = "cancelled"
                raise Interrupted(2, "interrupted; what was begun is left as it is") from None
            except Interrupted:
                outcome = "cancelled"
                raise
            finally:
                seconds = round(time.monotonic() - operation.began, 2)
                self._record(operation, "operation.finished", None, outcome=outcome, seconds=seconds)

    def _lock_name(self, service: str) -> str:
        reference = self.entries[service].compose
        return reference.project if reference else service

    def _start(self, operation: Operation, wanted: Sequence[str], by_phase: bool) -> None:
        view = EngineView(self._engine)
        plan, statuses, warnings = self._plan_start(wanted, view, by_phase)
        operation.problems += warnings
        pending = []
        for step in plan.steps:
            if step.do == "keep":
                operation.finish(step.service, "already_ready", step.reason, statuses[step.service])
            elif step.do == "skip":
                operation.finish(step.service, "skipped", step.reason)
            else:
                pending.append(step.service)
        blocked = self._preflight(operation, pending, "start")
        pending = [service for service in pending if service not in blocked]
        if pending:
            with self._engine.watch() as changes:
                self._bring_up(operation, pending, changes)

    def _bring_up(self, operation: Operation, pending: list[str], changes: Changes) -> None:
        """Hand services over as soon as what they need is ready, and wait for the truth about each."""
        waiting: dict[str, float] = {}  # service -> deadline, monotonic
        failing: dict[str, float] = {}  # service -> since when its owner says that it has failed
        shown: dict[str, Phase] = {}
        while pending or waiting:
            for service in list(pending):
                needed = [n for n in self.graph.needs(service) if n in pending or n in waiting]
                failed = [n for n in self.graph.needs(service) if self._failed(operation, n)]
                if failed:
                    pending.remove(service)
                    operation.finish(service, "not_tried", f"it needs {', '.join(failed)}, which did not come up")
                elif not needed:
                    pending.remove(service)
                    if self._hand_over(operation, service):
                        waiting[service] = time.monotonic() + self.entries[service].start_seconds
            poll = False
            view = EngineView(self._engine)
            for service, status in {s.id: s for s in self._statuses(list(waiting), view)}.items():
                deadline, moment = waiting[service], time.monotonic()
                if status.state is ServiceState.FAILED:
                    failing.setdefault(service, moment)
                else:
                    failing.pop(service, None)
                settled = moment - failing.get(service, moment) >= SETTLE_SECONDS
                if status.state is ServiceState.READY:
                    operation.finish(service, "ready", status.message, status)
                elif settled or moment > deadline:
                    late = "" if settled else f"not ready within {self.entries[service].start_seconds} s: "
                    operation.finish(service, "failed", late + status.message, status)
                else:
                    phase = _phase(status)
                    poll = poll or phase == "probe" or service in failing or self.entries[service].compose is None
                    if shown.get(service) != phase:
                        shown[service] = phase
                        operation.listener(Progress(service=service, phase=phase, message=status.message))
                    continue
                del waiting[service]
                self._record(operation, "state.changed", service, state=status.state.value)
                operation.listener(
                    Progress(service=service, phase="ready" if status.state is ServiceState.READY else "failed",
                             message=status.message)
                )  # fmt: skip
            if waiting and not self._startable(pending, waiting, operation):
                nearest = min(waiting.values()) - time.monotonic()
                changes.wait(max(0.0, min(POLL_SECONDS if poll else REREAD_SECONDS, nearest)))

    def _startable(self, pending: Sequence[str], waiting: Collection[str], operation: Operation) -> bool:
        return any(not any(n in pending or n in waiting for n in self.graph.needs(service)) for service in pending)

    def _failed(self, operation: Operation, service: str) -> bool:
        outcome = operation.outcomes.get(service)
        return outcome is not None and outcome.result in ("failed", "refused", "not_tried")

    def _hand_over(self, operation: Operation, service: str) -> bool:
        operation.handed_over[service] = time.monotonic()
        operation.changed = True
        operation.listener(Progress(service=service, phase="starting"))
        try:
            self.plugins.start(self.entries[service], self._context(service, EngineView(self._engine), operation))
        except LauncherError as error:
            operation.finish(service, "failed", self._redact(error.summary))
            operation.listener(Progress(service=service, phase="failed", message=self._redact(error.summary)))
            return False
        return True

    def _stop(self, operation: Operation, wanted: Sequence[str]) -> tuple[str, ...]:
        """Stop services after their dependants; returns those that ran."""
        view = EngineView(self._engine)
        stopped = []
        for step in self._plan_stop(wanted, view).steps:
            service = step.service
            if step.do == "skip":
                operation.finish(service, "skipped", step.reason)
            elif step.do == "keep":
                operation.finish(service, "already_stopped", step.reason)
            else:
                above = [
                    s
                    for s, e in self.entries.items()
                    if service in self.graph.needs(e.id) and self._failed(operation, s)
                ]
                if above:
                    operation.finish(service, "not_tried", f"{', '.join(above)} could not be stopped and needs it")
                    continue
                operation.handed_over[service] = time.monotonic()
                operation.changed = True
                operation.listener(Progress(service=service, phase="stopping"))
                try:
                    message = self._stop_one(operation, service)
                except LauncherError as error:
                    operation.finish(service, "failed", self._redact(error.summary))
                    continue
                stopped.append(service)
                operation.finish(service, "stopped", message)
                self._record(operation, "state.changed", service, state="stopped")
        return tuple(stopped)

    def _stop_one(self, operation: Operation, service: str) -> str:
        entry = self.entries[service]
        message = "stopped"
        context = self._context(service, EngineView(self._engine), operation)
        try:
            if service not in self.plugins.owners:
                raise PluginFailed(f"its plugin {entry.plugin} is not working")
            self.plugins.stop(entry, context)
        except PluginFailed as error:
            if entry.compose is None:
                raise
            # Stopping must work with every plugin broken: compose knows its containers by their labels.
            reference = entry.compose
            context.compose(reference.project, (), (reference.service,), {}).stop(seconds=entry.stop_seconds + 30)
            message = f"stopped by its compose labels, because {error.summary}"
        container = self._container(entry, EngineView(self._engine))
        if container is not None and container.state in ("running", "restarting", "paused"):
            raise LauncherError(f"its container is still {container.state}", f"launcher status {service}")
        return message

    def _create_networks(self, names: Iterable[str]) -> list[str]:
        done = []
        for name in sorted(names):
            try:
                view = EngineView(self._engine)
                if view.network_exists(name):
                    continue
                folder = own_folder(self.settings) / "locks"
                with lock.hold(folder, "networks", self.settings.actor, f"create network {name}") as path:
                    ComposeProject("networks", (), self.settings.root, {}, self._redact, path).create_network(name)
                done.append(f"network {name}: created")
            except EngineUnavailable as error:
                done.append(f"network {name}: not created, because {error.summary}")
        return done

    def _record(self, operation: Operation, what: str, service: str | None, **detail: object) -> None:
        event = Event.model_validate(
            {
                "operation": operation.id,
                "service": service,
                "what": what,
                "actor": self.settings.actor,
                "detail": detail,
            }
        )
        self._events.record(event)

    def _report(self, operation: Operation) -> OperationReport:
        problems = [*operation.problems, *self.plugins.problems]
        if self._events.lost:
            problems.append(Problem(severity="warn", summary=self._events.lost, fix="df -h; ls -l .launcher"))
        return OperationReport(
            id=operation.id,
            action=operation.action,
            outcomes=tuple(operation.outcomes.values()),
            problems=tuple(problems),
            exit_code=operation.exit_code,
            seconds=round(time.monotonic() - operation.began, 2),
        )


def _phase(status: ServiceStatus) -> Phase:
    if status.layer("container") not in (Verdict.OK, Verdict.NOT_APPLICABLE):
        return "starting"
    if status.layer("health") not in (Verdict.OK, Verdict.NOT_APPLICABLE):
        return "health"
    return "probe"


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


def _password() -> str:
    """32 letters and digits with at least one of each kind that the strictest known policy asks for."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    kinds: tuple[Callable[[str], bool], ...] = (str.isupper, str.islower, str.isdigit)
    while True:
        password = "".join(secrets.choice(alphabet) for _ in range(32))
        if all(any(map(kind, password)) for kind in kinds):
            return password
