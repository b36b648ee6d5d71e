"""A start, stop or restart under way: what it plans, does, waits for and reports."""

from __future__ import annotations

import contextlib
import secrets
import signal
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service_launcher import planner
from service_launcher.compose_service import foreign
from service_launcher.context import CallContext, Listener
from service_launcher.engine import Changes, Engine
from service_launcher.engine_view import EngineView
from service_launcher.errors import (
    ConfigurationError,
    EngineUnavailable,
    EventStreamEnded,
    Interrupted,
    LauncherError,
    PluginFailed,
)
from service_launcher.events import EventLog
from service_launcher.models import (
    Action,
    AutoStart,
    Event,
    OperationReport,
    Outcome,
    Phase,
    Plan,
    Problem,
    Progress,
    ServiceState,
    ServiceStatus,
    Step,
)
from service_launcher.observation import Observer
from service_launcher.waiting import Wait, phase_of

POLL_SECONDS = 0.2  # the application's answer has no event
REREAD_SECONDS = 5.0  # in case an event was lost
GRACE_SECONDS = 30  # what a stop may take beyond a service's own time
ENGINE_SECONDS = 60.0  # for so long a start waits for an engine that went away under it
RECONNECT_SECONDS = 1.0
CANCEL_SECONDS = 0.2  # how soon a waiting operation notices that it is cancelled


@dataclass(frozen=True)
class Order:
    """Who asked for an operation, the id that it gets, and the event by which they take it back."""

    actor: str
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass
class Operation:
    """One operation: its identity, its locks, whom to tell, and how it has ended for each service."""

    action: Action
    order: Order
    observer: Observer
    engine: Engine
    events: EventLog
    listener: Listener
    locks: Mapping[str, Path]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    changed: bool = False
    _answers: dict[object, Any] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _handed_over: dict[str, float] = field(default_factory=dict)
    _in_hand: str | None = None  # the service whose owner has not come back yet
    _doing: Phase | None = None  # what that owner said last

    # The verbs; `launcher.py` holds the locks around them.

    @contextlib.contextmanager
    def recorded(self, services: Collection[str]) -> Iterator[None]:
        """Two records, one before and one after, also when it is interrupted."""
        self._record("operation.started", action=self.action, services=list(services))
        outcome, code = "failed", 1
        try:
            yield
            code = self.exit_code
            outcome = "succeeded" if code == 0 else "failed"
        except (KeyboardInterrupt, Interrupted) as error:
            number = error.exit_code - 128 if isinstance(error, Interrupted) else signal.SIGINT
            outcome, code = "cancelled", 128 + number
            raise Interrupted(number, f"interrupted; left as it is: {self._states(services)}") from None
        except LauncherError as error:
            code = error.exit_code
            raise
        finally:
            for plugin, reason in self.observer.plugins.failures().items():
                self._record("plugin.failed", plugin=plugin, message=reason)
            ended = {service: f"{o.result}: {o.message}" for service, o in self.outcomes.items()}
            seconds = round(time.monotonic() - self._began, 2)
            self._record("operation.finished", outcome=outcome, exit_code=code, seconds=seconds, services=ended)

    def start(self, wanted: Sequence[str], by_phase: bool) -> None:
        """Bring services and what they need to ready, and note each outcome."""
        plan, statuses = self.plan_start(wanted, by_phase)
        pending, first = [], []
        for step in plan.steps:
            if step.do == "stop":
                first.append(step.service)
            elif step.do == "keep":
                self._finish(step.service, "already_ready", step.reason, statuses[step.service])
            elif step.do == "skip":
                self._finish(step.service, "skipped", step.reason)
            elif step.do == "refuse":
                self._finish(step.service, "refused", step.reason)
            else:
                pending.append(step.service)
        blocked = self.preflight(pending)
        if first:
            blocked |= self.prepare(service for service in pending if service not in blocked)
        pending = [service for service in pending if service not in blocked]
        for service in first:
            # Where what it needs is not started after all, it may stay up.
            if not blocked.isdisjoint(self.observer.graph.with_needs([service])):
                continue
            if not self._stop_one(service):
                pending.remove(service)
        if pending:
            self._bring_up(pending)

    def stop(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Stop services after their dependants, note each outcome, and return those that ran."""
        stopped = []
        steps = self.plan_stop(wanted).steps
        down = [step.service for step in steps if step.do == "keep"]
        missed = self.events.wanted() if down and self.action == "stop" else set()
        for step in steps:
            if step.do == "skip":
                self._finish(step.service, "skipped", step.reason)
            elif step.do == "keep":
                self._finish(step.service, "already_stopped", step.reason)
                if step.service in missed:
                    self._record_stop(step.service)  # nobody shall bring it back any more
            elif self._stop_one(step.service):
                stopped.append(step.service)
        return tuple(stopped)

    def restart(self, wanted: Sequence[str]) -> None:
        """Stop services after their running dependants, and start all of these again.

        Nothing is stopped when one of them could not be started again.
        """
        steps = self.plan_restart(wanted).steps
        if any(step.do == "refuse" for step in steps):
            for step in steps:
                self._finish(step.service, "refused" if step.do == "refuse" else "not_tried", step.reason)
            return
        again = [step.service for step in steps if step.do == "start"]
        if blocked := self.preflight(again) or self.prepare(again):
            for service in again:
                if service not in self.outcomes:
                    self._finish(service, "not_tried", _left_as_it_is(blocked))
            return
        stopped = self.stop(wanted)
        if self.exit_code == 0:
            self.outcomes.clear()
            self.start(tuple({*stopped, *wanted}), by_phase=False)

    def preflight(self, services: Sequence[str]) -> set[str]:
        """Check services before the first change; notes and returns those that must not be started."""
        blocked: set[str] = set()
        for service in services:
            self._show(service, "checking")
            entry, view = self.observer.graph.entries[service], EngineView(self.engine)

            def host(service: str = service, view: EngineView = view) -> CallContext:
                return self.observer.context(service, view, answers=self._answers)

            try:
                found = self.observer.plugins.preflight(entry, self.action, host)
            except ConfigurationError:
                raise  # exit code 2: what people wrote is wrong, whichever service it was found through
            except LauncherError as error:
                found = [Problem(severity="error", summary=error.summary, fix=error.fix, service=service)]
            errors = [p for p in found if p.severity == "error"]
            self.problems += [p for p in found if p.severity != "error"]
            if errors:
                blocked.add(service)
                message = "; ".join(p.summary for p in errors)
                self._finish(service, "refused", message, problems=errors)
                self._record("preflight.refused", service, message=message)
            else:
                self._needs_blocked(service, blocked)
        return blocked

    def prepare(self, services: Iterable[str]) -> set[str]:
        """Fetch what services need before others are stopped for them; notes and returns those that cannot start."""
        blocked: set[str] = set()
        for service in services:
            self._handed_over[service] = time.monotonic()
            context = self.observer.context(service, EngineView(self.engine), self._tell, self.locks, self._answers)
            if self._needs_blocked(service, blocked):
                continue
            try:
                self.observer.plugins.prepare(self.observer.graph.entries[service], context)
            except LauncherError as error:
                if isinstance(error, EngineUnavailable):
                    self.engine.ping()  # where it does not answer anything, the image is not what failed
                blocked.add(service)
                self._finish(service, "failed", error.summary)
                self._show(service, "failed", error.summary)
        return blocked

    def _needs_blocked(self, service: str, blocked: set[str]) -> bool:
        """Whether a service needs one of the blocked; then it is blocked, too, and that is noted."""
        below = sorted(blocked & set(self.observer.graph.with_needs([service])))
        if below:
            blocked.add(service)
            self._finish(service, "not_tried", f"it needs {', '.join(below)}")
        return bool(below)

    # Plans; made from what is true now.

    def plan_start(self, wanted: Sequence[str], by_phase: bool) -> tuple[Plan, dict[str, ServiceStatus]]:
        """The steps of a start, and the statuses that they rest on."""
        graph, plugins, view = self.observer.graph, self.observer.plugins, EngineView(self.engine)
        owned = [s for s in graph.with_dependants(graph.with_needs(wanted)) if s in plugins.owners]
        asked = [s for s in owned if by_phase and s in wanted]
        auto_start = {service: self._auto_start(service) for service in asked}
        statuses = {status.id: status for status in self.observer.statuses(owned, view)}
        needed = graph.with_needs(wanted)
        ready = [s for s in owned if s in needed and statuses[s].state is ServiceState.READY]
        # Of what only depends on it, what has ended stays as it is, whether it ended well or not.
        ended = [s for s in owned if s not in needed and statuses[s].container in ("created", "exited", "dead")]
        states = {s: ServiceState.STOPPED if s in ended else status.state for s, status in statuses.items()}
        without = [graph.entries[s] for s in needed if s not in owned and graph.entries[s].plugin]
        broken = {entry.id: self.observer.why_without_owner(entry) for entry in without}
        plan = planner.plan_start(graph, wanted, states, auto_start, self._drift(ready, view), owned, broken)
        return plan, statuses

    def plan_stop(self, wanted: Sequence[str]) -> Plan:
        """The steps of a stop."""
        graph, view = self.observer.graph, EngineView(self.engine)
        stoppable = [s for s in graph.with_dependants(wanted) if graph.entries[s].plugin]
        states = {status.id: status.state for status in self.observer.statuses(stoppable, view)}
        for service in stoppable:
            # Where the owner cannot say, the engine can: no running container means that there is nothing to stop.
            if states[service] is ServiceState.UNKNOWN and graph.entries[service].compose:
                container = self.observer.container(graph.entries[service], view)
                if container is None or container.state in ("exited", "created"):
                    states[service] = ServiceState.STOPPED
        return planner.plan_stop(graph, wanted, states, stoppable)

    def plan_restart(self, wanted: Sequence[str]) -> Plan:
        """The steps of a restart: what is stopped, then what is started; nothing where one has no working plugin."""
        stop = self.plan_stop(wanted)
        again = {step.service for step in stop.steps if step.do == "stop"} | set(wanted)
        graph, owners = self.observer.graph, self.observer.plugins.owners
        managed = [s for s in graph.with_needs(again) if s in again and graph.entries[s].plugin]
        if broken := {s: self.observer.why_without_owner(graph.entries[s]) for s in managed if s not in owners}:
            left = _left_as_it_is(broken)
            refused = [
                Step(service=s, do="refuse" if s in broken else "keep", reason=broken.get(s, left)) for s in managed
            ]
            return Plan(action="restart", steps=tuple(refused))
        starts = [Step(service=s, do="start", reason="restarted") for s in managed]
        return Plan(action="restart", steps=(*stop.steps, *starts))

    # Reports.

    @property
    def exit_code(self) -> int:
        """0 when everything asked for is so; 3 when preflight refused and nothing was changed; else 1."""
        results = {outcome.result for outcome in self.outcomes.values()}
        if "failed" in results:
            return 1
        if results & {"refused", "not_tried"}:
            return 1 if self.changed else 3
        return 0

    def _states(self, services: Collection[str]) -> str:
        """The services and their states now, for whoever has just interrupted what was happening to them."""
        managed = [s for s in services if s in self.observer.plugins.owners]
        found = self.observer.statuses(managed, EngineView(self.engine))
        told = ", ".join(f"{status.id} is {status.state}" for status in found) or "nothing was begun"
        if self._in_hand and self._doing in ("creating", "starting", "stopping"):
            told += f"; what docker does to {self._in_hand} goes on to its end, and others have to wait until then"
        return told

    def report(self) -> OperationReport:
        """How it all ended."""
        if self.exit_code and self.action != "stop":
            self._explain()
        problems = [*self.problems, *self.observer.plugins.problems]
        if self.events.lost:
            problems.append(Problem(severity="warn", summary=self.events.lost, fix="df -h; ls -l .launcher"))
        return OperationReport(
            id=self.order.id,
            action=self.action,
            outcomes=tuple(self.outcomes.values()),
            problems=tuple(problems),
            exit_code=self.exit_code,
            seconds=round(time.monotonic() - self._began, 2),
        )

    def _explain(self) -> None:
        from service_launcher.explanation import Explainer  # only who fails pays for it

        explainer = Explainer(self.observer, self.engine)
        for service, outcome in self.outcomes.items():
            if outcome.result == "failed":
                explained = explainer.explain(service, outcome.message)
                self.outcomes[service] = outcome.model_copy(update={"explanation": explained})

    # Private: starting.

    def _auto_start(self, service: str) -> AutoStart:
        entry = self.observer.graph.entries[service]
        try:
            answer = self.observer.plugins.auto_start(entry, self.observer.environment)
        except PluginFailed as error:
            answer = AutoStart(start=True, warning=error.summary)
        if answer.warning:
            self.problems.append(Problem(severity="warn", summary=answer.warning, service=service))
        return answer

    def _drift(self, services: Sequence[str], view: EngineView) -> dict[str, str]:
        found: dict[str, str] = {}
        for service in services:
            entry = self.observer.graph.entries[service]
            try:
                reason = self.observer.plugins.drift(entry, self.observer.context(service, view, answers=self._answers))
            except ConfigurationError as error:
                reason = f"whether it has changed is unknown: {error.summary}"  # preflight refuses it
            except LauncherError as error:
                # Not knowing is no reason to make a ready service anew, and to stop what depends on it for that.
                words = f"whether {service} has changed is unknown: {error.summary}"
                self.problems.append(Problem(severity="warn", summary=words, fix=error.fix, service=service))
                continue
            if reason:
                found[service] = reason
        return found

    def _bring_up(self, pending: list[str]) -> None:
        """Hand services over as soon as what they need is ready, and wait for the truth about each."""
        waiting: dict[str, Wait] = {}
        gone_at: float | None = None
        while pending or waiting:
            try:
                # A stream that breaks off is begun anew, and everything is read again; a dead engine raises here.
                with contextlib.suppress(EventStreamEnded), self.engine.watch() as changes:
                    gone_at = None
                    self._follow(pending, waiting, changes)
            except EngineUnavailable as error:
                if gone_at is None:
                    gone_at = time.monotonic()
                    for service in waiting:
                        self._show(service, "unknown", error.summary)
                # It stopped what it had started, and may not start it again: what is waited for is handed over anew.
                pending[:0] = waiting
                waiting.clear()
                if time.monotonic() - gone_at > ENGINE_SECONDS:
                    raise
                self.order.cancelled.wait(RECONNECT_SECONDS)
                self._go_on()

    def _follow(self, pending: list[str], waiting: dict[str, Wait], changes: Changes) -> None:
        while pending or waiting:
            self._go_on()
            self._hand_over_what_can(pending, waiting)
            poll = False
            for status in self.observer.statuses(list(waiting), EngineView(self.engine)):
                wait = waiting[status.id]
                if wait.over(status):
                    del waiting[status.id]
                    self._conclude(status, wait)
                else:
                    phase = phase_of(status)
                    poll = poll or wait.must_poll(status, phase)
                    if wait.shown != phase:
                        wait.shown = phase
                        self._show(status.id, phase, status.message)
            if waiting and not any(self._can_begin(s, pending, waiting) for s in pending):
                nearest = min(wait.deadline for wait in waiting.values()) - time.monotonic()
                self._wait(changes, max(0.0, min(POLL_SECONDS if poll else REREAD_SECONDS, nearest)))

    def _wait(self, changes: Changes, seconds: float) -> None:
        """Until a container changes, at most so long. Raises Interrupted soon after the operation is cancelled."""
        until = time.monotonic() + seconds
        while not changes.wait(min(CANCEL_SECONDS, until - time.monotonic())) and time.monotonic() < until:
            self._go_on()

    def _go_on(self) -> None:
        if self.order.cancelled.is_set():
            raise Interrupted(2, "cancelled; what was begun is left as it is")

    def _hand_over_what_can(self, pending: list[str], waiting: dict[str, Wait]) -> None:
        for service in list(pending):
            failed = [n for n in self.observer.graph.needs(service) if self._failed(n)]
            if failed:
                pending.remove(service)
                self._finish(service, "not_tried", f"it needs {', '.join(failed)}, which did not come up")
            elif self._can_begin(service, pending, waiting):
                begun = self._hand_over(service)
                pending.remove(service)
                if begun:
                    entry = self.observer.graph.entries[service]
                    waiting[service] = Wait(entry.start_seconds, has_events=entry.compose is not None)

    def _can_begin(self, service: str, pending: Collection[str], waiting: Collection[str]) -> bool:
        return not any(need in pending or need in waiting for need in self.observer.graph.needs(service))

    def _hand_over(self, service: str) -> bool:
        self._handed_over[service] = time.monotonic()
        self.changed = True
        self._show(service, "starting")
        view = EngineView(self.engine)
        context = self.observer.context(service, view, self._tell, self.locks, self._answers)
        self._in_hand, self._doing = service, None
        try:
            self.observer.plugins.start(self.observer.graph.entries[service], context)
        except LauncherError as error:
            self._in_hand = None
            if isinstance(error, EngineUnavailable):
                self.engine.ping()  # where it does not answer anything, the service is not what failed
            self._finish(service, "failed", error.summary)
            self._show(service, "failed", error.summary)
            return False
        self._in_hand = None
        return True

    def _conclude(self, status: ServiceStatus, wait: Wait) -> None:
        if status.state is ServiceState.READY:
            self._finish(status.id, "ready", status.message, status)
            self._show(status.id, "ready", status.message)
        else:
            late = "" if wait.settled(status) else f"not ready within {wait.seconds} s: "
            self._finish(status.id, "failed", late + status.message, status)
            self._show(status.id, "failed", status.message)
        last: dict[str, Any] = {}
        with contextlib.suppress(EngineUnavailable):
            last = self._made_of(status.id) if status.state is ServiceState.READY else {}
        self._record("state.changed", status.id, state=status.state, message=status.message, **last)

    def _made_of(self, service: str) -> dict[str, Any]:
        """Where the service keeps its data, and its image; remembered, because a removed container cannot be asked."""
        view = EngineView(self.engine)
        container = self.observer.container(self.observer.graph.entries[service], view)
        detail = view.detail(container.id) if container is not None else None
        places = {mount.target: mount.source for mount in detail.mounts} if detail is not None else {}
        return {"places": places} | ({"image": container.image, "image_id": container.image_id} if container else {})

    # Private: stopping.

    def _stop_one(self, service: str) -> bool:
        graph = self.observer.graph
        above = [s for s in graph.entries if service in graph.needs(s) and self._failed(s)]
        if above:
            self._finish(service, "not_tried", f"{', '.join(above)} could not be stopped and needs it")
            return False
        self._go_on()
        self._handed_over[service] = time.monotonic()
        self.changed = True
        self._show(service, "stopping")
        self._in_hand, self._doing = service, None
        try:
            message = self._stop_through_owner_or_labels(service)
            self._in_hand = None
            view = EngineView(self.engine)
            container = self.observer.container(graph.entries[service], view)
            detail = view.detail(container.id) if container is not None else None
            if detail is not None and detail.state in ("running", "restarting", "paused"):
                raise LauncherError(f"its container is still {detail.state}", f"launcher status {service}")
            if graph.entries[service].compose is None:
                self._await_end(service)
        except LauncherError as error:
            self._in_hand = None
            self._finish(service, "failed", error.summary)
            self._record_wish(service)
            return False
        except (KeyboardInterrupt, Interrupted):
            self._record_wish(service)
            raise
        self._finish(service, "stopped", message)
        self._record_stop(service)
        return True

    def _await_end(self, service: str) -> None:
        """Until a service without a container is not ready any more: its owner can say one thing and show another."""
        deadline = time.monotonic() + self.observer.graph.entries[service].stop_seconds
        while self.observer.statuses([service], EngineView(self.engine))[0].state is ServiceState.READY:
            if time.monotonic() > deadline:
                raise LauncherError("its plugin stopped it, and it is still ready", f"launcher status {service}")
            self.order.cancelled.wait(POLL_SECONDS)
            self._go_on()

    def _record_stop(self, service: str) -> None:
        """What is stopped on the way to a start is still wanted."""
        self._record("state.changed", service, state=ServiceState.STOPPED, requested=self.action == "stop")

    def _record_wish(self, service: str) -> None:
        """A stop that did not come to its end here may do so later, and nobody shall bring the service back then."""
        if self.action == "stop":
            self._record("state.changed", service, state=ServiceState.STOPPING, requested=True)

    def _stop_through_owner_or_labels(self, service: str) -> str:
        entry, view = self.observer.graph.entries[service], EngineView(self.engine)
        context = self.observer.context(service, view, self._tell, self.locks)
        try:
            if service not in self.observer.plugins.owners:
                raise PluginFailed(f"its plugin {entry.plugin} is not working")
            self.observer.plugins.stop(entry, context)
        except PluginFailed as error:
            if entry.compose is None:
                raise
            found = view.compose_service(entry.compose.project, entry.compose.service)
            if theirs := foreign(found, self.observer.environment):
                raise LauncherError(theirs, "stop it from there") from None
            # Stopping must work with every plugin broken: compose knows its containers by their labels.
            services = context.compose(entry.compose.project, (), (entry.compose.service,), {})
            services.stop(seconds=entry.stop_seconds + GRACE_SECONDS)
            return f"stopped by its compose labels, because {error.summary}"
        return "stopped"

    # Private: noting and telling.

    def _failed(self, service: str) -> bool:
        outcome = self.outcomes.get(service)
        return outcome is not None and outcome.result in ("failed", "refused", "not_tried")

    def _finish(
        self,
        service: str,
        result: str,
        message: str,
        status: ServiceStatus | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        began = self._handed_over.get(service)
        outcome: dict[str, Any] = {
            "service": service,
            "result": result,
            "message": self.observer.redact(message),
            "seconds": round(time.monotonic() - began, 2) if began else 0.0,
            "status": status,
            "problems": tuple(problems),
        }
        self.outcomes[service] = Outcome.model_validate(outcome)

    def _show(self, service: str, phase: Phase, message: str = "") -> None:
        self._tell(Progress(service=service, phase=phase, message=self.observer.redact(message)))

    def _tell(self, progress: Progress) -> None:
        """Show progress; what is told from inside a long step, such as a pull, is where that step can be cancelled."""
        self._go_on()
        if progress.service == self._in_hand:
            self._doing = progress.phase
        self.listener(progress)

    def _record(self, what: str, service: str | None = None, **detail: object) -> None:
        event = {
            "operation": self.order.id,
            "service": service,
            "what": what,
            "actor": self.order.actor,
            "detail": detail,
        }
        self.events.record(Event.model_validate(event))


def _left_as_it_is(blocked: Collection[str]) -> str:
    return f"left as it is: {', '.join(sorted(blocked))} could not be started again"
