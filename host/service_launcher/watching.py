"""Bringing back what was up and is down, while what happens is recorded all the same."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from service_launcher.errors import Busy, EngineUnavailable, LauncherError
from service_launcher.events import EventLog
from service_launcher.models import Event, OperationReport, ServiceState
from service_launcher.observation import Reading
from service_launcher.recovery import ATTEMPTS, Recovery
from service_launcher.redaction import Redactor

STOP_SECONDS = 5.0  # in which a reading ends, also of an engine that is silent


@dataclass
class Watch:
    """Watches over the services that have `owners`; `live` and `start` are the launcher's, `needs` is the graph's."""

    live: Callable[[threading.Event], Iterator[Reading]]
    start: Callable[[tuple[str, ...]], OperationReport]
    owners: Mapping[str, str]
    needs: Callable[[Iterable[str]], Set[str]]
    events: EventLog
    redact: Redactor
    actor: str
    _recovery: Recovery = field(default_factory=Recovery)

    def run(
        self, stop: threading.Event, listener: Callable[[Event], None], outdated: Callable[[], bool] = lambda: False
    ) -> None:
        """Go on until `stop` is set or this is `outdated`; `listener` hears what is recorded."""
        for reading in self._read_beside(stop, listener, outdated):
            if reading.engine_error or not (down := self._recovery.down(reading.statuses)):
                continue
            wanted = self.events.wanted()
            # To start what needs something that an operator stopped would start that, too.
            missed = {s for s in down & wanted & self.owners.keys() if not (self.needs([s]) & down) - wanted}
            self._recovery.forget(down - missed)
            if due := self._recovery.due(missed):
                self._bring_back(due)

    def _read_beside(
        self, stop: threading.Event, listener: Callable[[Event], None], outdated: Callable[[], bool]
    ) -> Iterator[Reading]:
        """What `live` reads, always the newest, on a thread of its own: it records also while we are busy.

        `listener` hears on our thread what is recorded.
        """
        told: queue.SimpleQueue[Event | Exception | None] = queue.SimpleQueue()  # None: there is a new reading
        self.events.listen(told.put)
        ended = threading.Event()
        newest: Reading | None = None

        def read() -> None:
            nonlocal newest
            try:
                for reading in self.live(ended):
                    newest = reading
                    told.put(None)
            except Exception as error:  # noqa: BLE001 - raised again below
                told.put(error)

        thread = threading.Thread(target=read, daemon=True, name="reading")
        thread.start()
        judged = None
        try:
            while not stop.is_set():
                match told.get():
                    case Event() as event:
                        listener(event)
                    case Exception() as error:
                        raise error
                    case None if newest is not None and newest is not judged:
                        if outdated():
                            ended.set()
                            thread.join(STOP_SECONDS)  # who comes next shall be the one that records
                            return
                        judged = newest
                        yield newest
        finally:
            ended.set()

    def _bring_back(self, services: tuple[str, ...]) -> None:
        try:
            report = self.start(services)
        except (Busy, EngineUnavailable):
            return  # somebody is at work, or the engine is away again: the next reading tells
        except LauncherError as error:
            failed, why = set(services), self.redact(error.summary)
        else:
            failed = {o.service for o in report.outcomes if o.result in ("failed", "refused", "not_tried")}
            why = "; ".join(o.message for o in report.outcomes if o.service in failed)
        for service in self._recovery.tried(services):
            if service in failed:
                words = f"not brought back in {ATTEMPTS} attempts, given up ({why}); try: launcher explain {service}"
                detail = {"state": ServiceState.FAILED, "message": words}
                self.events.record(Event(what="state.changed", service=service, actor=self.actor, detail=detail))
