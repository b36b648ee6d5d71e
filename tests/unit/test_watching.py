"""What a watch brings back: nothing for which it would have to start what an operator stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from service_launcher import recovery
from service_launcher.events import EventLog
from service_launcher.models import Event, OperationReport, ServiceState, ServiceStatus
from service_launcher.observation import Reading
from service_launcher.redaction import Redactor
from service_launcher.watching import Watch


@pytest.mark.parametrize(("stopped", "begun"), [(True, []), (False, [("app",), ("database",)])])
def test_what_needs_something_that_was_stopped_stays_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool, begun: list[tuple[str, ...]]
) -> None:
    monkeypatch.setattr(recovery, "FIRST_SECONDS", 0.0)
    log = EventLog(tmp_path / "events.jsonl", Redactor())
    for service in ("app", "database"):
        log.record(Event(what="state.changed", service=service, actor="ana", detail={"state": "ready"}))
    if stopped:
        detail = {"state": "stopped", "requested": True}
        log.record(Event(what="state.changed", service="database", actor="engine", detail=detail))
    states = {"database": ServiceState.STOPPED, "app": ServiceState.FAILED}
    down = tuple(ServiceStatus(id=name, state=state, message="down") for name, state in states.items())
    stop = threading.Event()
    started: list[tuple[str, ...]] = []

    def live(ended: threading.Event) -> Iterator[Reading]:
        for number in range(200):
            if number == 50:
                stop.set()
            if ended.wait(0.01):
                return
            yield Reading(down, (), None, {}, frozenset())

    def start(services: tuple[str, ...]) -> OperationReport:
        started.extend((service,) for service in services)
        return OperationReport(id="1", action="start", outcomes=(), problems=(), exit_code=0, seconds=0.0)

    def needs(services: Iterable[str]) -> set[str]:
        return {"database", *services}

    owners = dict.fromkeys(states, "plugin")
    Watch(live, start, owners, needs, log, Redactor(), "watch").run(stop, lambda event: None)
    assert sorted(set(started)) == begun
