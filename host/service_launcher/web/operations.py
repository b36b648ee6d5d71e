"""Starts, stops and restarts as resources: begun by one request, watched by others, cancelled, found after a reload."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from service_launcher.errors import Interrupted, LauncherError
from service_launcher.installation import Installation
from service_launcher.models import Action, OperationReport, Progress, now
from service_launcher.operation import Order
from service_launcher.web.refusals import Refused, category_of, judged, refused

KEPT = 200  # operations that can be asked for
AT_ONCE = 8  # under way; each holds a thread, and the locks mostly allow one
BEGUN_SECONDS = 4.0  # a silent engine is known within 3 s
TOLD_SECONDS = 0.1  # between two reports of bytes
COOL_SECONDS = 30  # between two presses of the old page's button
END_SECONDS = 2.0

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]


@dataclass
class Running:
    """One operation as the API shows it; changed only by its own thread, under its lock."""

    action: Action
    names: tuple[str, ...]
    phases: tuple[str, ...]
    method: str
    order: Order
    state: State = "queued"
    created_at: datetime = field(default_factory=now)
    finished_at: datetime | None = None
    progress: dict[str, dict[str, Any]] = field(default_factory=dict)
    report: OperationReport | None = None
    error: LauncherError | Interrupted | None = None
    begun: threading.Event = field(default_factory=threading.Event)
    told_at: float = 0.0

    @property
    def command(self) -> str:
        """The command line that does the same."""
        return " ".join(["launcher", self.action, *self.names, *(f"--phase {phase}" for phase in self.phases)])

    def document(self) -> dict[str, Any]:
        """The resource."""
        report, error = self.report, self.error
        failed = [o for o in report.outcomes if o.result in ("failed", "refused")] if report else []
        return {
            "id": self.order.id,
            "action": self.action,
            "services": list(self.names),
            "phases": list(self.phases),
            "actor": self.order.actor,
            "command": self.command,
            "state": self.state,
            "cancelling": self.order.cancelled.is_set() and self.state in ("queued", "running"),
            "created_at": self.created_at.isoformat(),
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
            "progress": list(self.progress.values()),
            "outcomes": [o.model_dump(mode="json", exclude={"status", "explanation"}) for o in report.outcomes]
            if report
            else [],
            "problems": [p.model_dump(mode="json") for p in dict.fromkeys(report.problems)] if report else [],
            "exit_code": report.exit_code if report else error.exit_code if error else None,
            "category": judged(error)[1] if error else category_of(failed[0].message) if failed else None,
            "message": error.summary if error else failed[0].message if failed else None,
            "fix": error.fix if error else None,
        }


class Operations:
    """The operations of this server, newest last."""

    def __init__(self, installation: Installation, publish: Callable[[dict[str, Any]], None]) -> None:
        self._installation, self._publish = installation, publish
        self._lock = threading.Lock()
        self._all: OrderedDict[str, Running] = OrderedDict()
        self._keys: dict[str, str] = {}
        self._pressed: dict[str, float] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._launches: Counter[tuple[str, str, str]] = Counter()

    def documents(self) -> list[dict[str, Any]]:
        """Every operation that is remembered, oldest first."""
        with self._lock:
            return [running.document() for running in self._all.values()]

    def launches(self) -> dict[tuple[str, str, str], int]:
        """How many starts ended how, by service, way and outcome."""
        with self._lock:
            return dict(self._launches)

    def get(self, operation: str) -> Running:
        """One operation. Raises Refused."""
        with self._lock:
            if operation not in self._all:
                raise Refused(404, "unknown", "no such operation")
            return self._all[operation]

    def begin(
        self,
        action: Action,
        names: Sequence[str],
        phases: Sequence[str],
        actor: str,
        key: str | None = None,
        method: str = "api",
    ) -> Running:
        """Begin an operation and return it once it is under way; the same key means the same operation.

        Raises Refused: 404 for a name that is none, 409 while another one is at work, 503 without an engine, and so on.
        """
        fallback = " ".join(["launcher", action, *names, *(f"--phase {phase}" for phase in phases)])
        try:
            launcher = self._installation.current()
            ids = tuple(launcher.graph.resolve(name) for name in names)
            launcher.select(phases=phases)
        except LauncherError as error:
            raise refused(error, fallback) from error
        with self._lock:
            if key is not None and (earlier := self._keys.get(key)) in self._all:
                running = self._all[str(earlier)]
                if (running.action, running.names, running.phases) != (action, ids, tuple(phases)):
                    raise Refused(422, "config", "this idempotency key belongs to another operation")
                return running
            if len(self._threads) >= AT_ONCE:
                raise Refused(429, "busy", f"{AT_ONCE} operations are under way already", fallback)
            running = Running(action, ids, tuple(phases), method, Order(actor))
            self._remember(running, key)
            thread = threading.Thread(target=self._run, args=(running,), daemon=True, name=f"{action} {running.names}")
            self._threads[running.order.id] = thread
        thread.start()
        running.begun.wait(BEGUN_SECONDS)
        if running.error is not None and not isinstance(running.error, Interrupted):
            raise refused(running.error, fallback)
        return running

    def auto_start(self, name: str, actor: str) -> Running:
        """The old page's button: a start, at most one in 30 s of each service. Raises Refused."""
        try:
            service = self._installation.current().graph.resolve(name)
        except LauncherError as error:
            raise refused(error, f"launcher start {name}") from error
        with self._lock:
            left = self._pressed.get(service, -COOL_SECONDS) + COOL_SECONDS - time.monotonic()
            if left > 0:
                raise Refused(
                    429, "busy", f"{service} was started a moment ago; wait {left:.0f} s", f"launcher start {service}",
                    headers={"Retry-After": f"{left:.0f}"},
                )  # fmt: skip
            self._pressed[service] = time.monotonic()
        return self.begin("start", [service], [], actor, method="auto-start")

    def cancel(self, operation: str) -> Running:
        """Ask an operation to end at its next step; what was begun is left as it is. Raises Refused."""
        running = self.get(operation)
        if running.state not in ("queued", "running"):
            raise Refused(409, "busy", f"this operation has ended: {running.state}")
        running.order.cancelled.set()
        self._publish(running.document())
        return running

    def close(self) -> None:
        """Cancel what is under way, and wait a moment for it to be recorded."""
        with self._lock:
            threads, waiting = list(self._threads.values()), list(self._all.values())
        for running in waiting:
            running.order.cancelled.set()
        until = time.monotonic() + END_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _remember(self, running: Running, key: str | None) -> None:
        self._all[running.order.id] = running
        if key is not None:
            self._keys[key] = running.order.id
        while len(self._all) > KEPT:
            oldest = next((o for o, r in self._all.items() if r.state not in ("queued", "running")), None)
            if oldest is None:
                break
            del self._all[oldest]
            self._keys = {k: o for k, o in self._keys.items() if o != oldest}

    def _run(self, running: Running) -> None:
        try:
            launcher = self._installation.current()
            operate = {"start": launcher.start, "stop": launcher.stop, "restart": launcher.restart}[running.action]
            report = operate(running.names, running.phases, lambda p: self._progress(running, p), running.order)
        except Interrupted as error:
            self._ended(running, "cancelled", error=error)
        except LauncherError as error:
            self._ended(running, "failed", error=error)
        except Exception as error:  # noqa: BLE001 - its words may hold anything, so only its kind is shown
            words = f"this should not have happened ({type(error).__name__})"
            self._ended(running, "failed", error=LauncherError(words, running.command))
        else:
            self._ended(running, "succeeded" if report.exit_code == 0 else "failed", report)

    def _progress(self, running: Running, progress: Progress) -> None:
        with self._lock:
            before = running.progress.get(progress.service)
            moved = before is None or before["phase"] != progress.phase
            running.state = "running"
            since = now().isoformat() if before is None or moved else before["since"]
            running.progress[progress.service] = {**progress.model_dump(mode="json"), "since": since}
            due = moved or time.monotonic() - running.told_at > TOLD_SECONDS
            if due:
                running.told_at = time.monotonic()
        running.begun.set()
        if due:
            self._publish(running.document())

    def _ended(
        self,
        running: Running,
        state: State,
        report: OperationReport | None = None,
        error: LauncherError | Interrupted | None = None,
    ) -> None:
        with self._lock:
            running.report, running.error, running.state, running.finished_at = report, error, state, now()
            del self._threads[running.order.id]
            if running.action != "stop":
                for outcome in report.outcomes if report else ():
                    if outcome.result != "skipped":
                        good = outcome.result in ("ready", "already_ready")
                        self._launches[outcome.service, running.method, "success" if good else "failure"] += 1
        running.begun.set()
        self._publish(running.document())
