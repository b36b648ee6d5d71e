"""The records that cross seams: strict, frozen, and of a JSON shape that scripts and pages can rely on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from service_launcher.models import (
    AutoStart,
    ComposeReference,
    Event,
    Evidence,
    ManifestEntry,
    OperationReport,
    Outcome,
    Plan,
    Port,
    Problem,
    Progress,
    ServiceState,
    ServiceStatus,
    Step,
    Variable,
    Verdict,
)

#: One of each record, with the least that it needs.
RECORDS: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (AutoStart, {"start": True}),
    (ComposeReference, {"project": "p", "file": "f", "service": "s"}),
    (Event, {"what": "plugin.failed", "actor": "ana"}),
    (Evidence, {"layer": "health", "verdict": "ok", "detail": "healthy"}),
    (OperationReport, {"id": "1", "action": "start", "outcomes": [], "exit_code": 0, "seconds": 0.1}),
    (Outcome, {"service": "one", "result": "ready", "message": "ready"}),
    (Plan, {"action": "stop", "steps": []}),
    (Port, {"address": "127.0.0.1", "port": 1, "container_port": 2}),
    (Problem, {"severity": "warn", "summary": "a problem"}),
    (Progress, {"service": "one", "phase": "health"}),
    (ServiceStatus, {"id": "one", "state": "ready", "message": "running"}),
    (Step, {"service": "one", "do": "keep", "reason": "ready"}),
    (Variable, {"name": "V", "meaning": "a variable"}),
]
IDS = [record.__name__ for record, _ in RECORDS]

STATUS = {
    "id": "kestra-postgres",
    "state": "ready",
    "message": "running and healthy",
    "since": "2026-01-02T03:04:05Z",
    "container": "running",
    "container_name": "tools-kestra-postgres",
    "evidence": [
        {
            "layer": "container",
            "verdict": "ok",
            "detail": "running",
            "observed_at": "2026-01-02T03:04:06Z",
            "counts_seconds": 15.0,
        },
    ],
    "ports": [{"address": "127.0.0.1", "port": 8080, "container_port": 8080}],
    "links": [{"title": "Kestra", "url": "http://localhost:8080"}],
    "version": "1.3.25",
    "image": "postgres:17",
    "origin": None,
    "mode": "compose",
    "rehearsal": False,
    "stack": "tools",
    "counted": True,
    "last_known": None,
}


def json_of(record: BaseModel) -> Any:
    """What a program on the other side reads."""
    return json.loads(record.model_dump_json())


@pytest.mark.parametrize(("record", "least"), RECORDS, ids=IDS)
def test_a_record_with_an_unknown_field_is_refused(record: type[BaseModel], least: dict[str, Any]) -> None:
    assert record.model_validate(least)
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        record.model_validate(least | {"mesage": "typing error"})


@pytest.mark.parametrize(("record", "least"), RECORDS, ids=IDS)
def test_a_record_is_frozen(record: type[BaseModel], least: dict[str, Any]) -> None:
    made = record.model_validate(least)
    field = next(iter(least))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(made, field, least[field])


@pytest.mark.parametrize(("record", "least"), RECORDS, ids=IDS)
def test_a_record_survives_json(record: type[BaseModel], least: dict[str, Any]) -> None:
    made = record.model_validate(least)
    # How old evidence is depends on when it is asked.
    assert record.model_validate_json(made.model_dump_json(exclude={"age_seconds"})) == made


def test_an_entry_keeps_unknown_fields_and_is_frozen() -> None:
    entry = ManifestEntry.model_validate({"id": "one", "type": "t", "path": ".", "start": "x", "healthUrl": "http://x"})
    assert json_of(entry)["healthUrl"] == "http://x"
    with pytest.raises(ValidationError, match="frozen"):
        setattr(entry, next(iter(ManifestEntry.model_fields)), "elsewhere")


@pytest.mark.parametrize("message", [None, ""])
def test_a_status_without_a_sentence_is_refused(message: str | None) -> None:
    with pytest.raises(ValidationError, match="message"):
        ServiceStatus.model_validate({"id": "one", "state": "ready", "message": message})


@pytest.mark.parametrize("name", ["", "One", "one two", "-one", "../one", "o" * 64, "one\n"])
def test_what_is_no_id_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="id"):
        ServiceStatus.model_validate({"id": name, "state": "ready", "message": "x"})


def test_the_words_for_states_and_verdicts_are_these() -> None:
    assert {state.value for state in ServiceState} == {
        "stopped", "starting", "ready", "degraded", "failed", "stopping", "skipped", "unmanaged", "unknown",
    }  # fmt: skip
    assert {verdict.value for verdict in Verdict} == {"ok", "pending", "bad", "unknown", "not_applicable"}


@pytest.mark.parametrize("state", ServiceState)
def test_every_state_is_its_word_in_json(state: ServiceState) -> None:
    assert json_of(ServiceStatus(id="one", state=state, message="x"))["state"] == state.value


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_is_its_word_in_json(verdict: Verdict) -> None:
    status = ServiceStatus(
        id="one",
        state=ServiceState.UNKNOWN,
        message="x",
        evidence=(Evidence(layer="health", verdict=verdict, detail="x"),),
    )
    assert status.layer("health") is verdict
    assert status.layer("application") is Verdict.NOT_APPLICABLE
    assert json_of(status)["evidence"][0]["verdict"] == verdict.value


def test_a_status_has_this_shape() -> None:
    shown = json_of(ServiceStatus.model_validate(STATUS))
    age = shown["evidence"][0].pop("age_seconds")
    assert shown == STATUS
    assert age > 0


def test_evidence_tells_its_age() -> None:
    assert 0 <= Evidence(layer="container", verdict=Verdict.OK, detail="running").age_seconds < 5


@pytest.mark.parametrize("name", ["observed_at", "since"])
def test_a_time_without_a_zone_is_refused(name: str) -> None:
    record: Any = Evidence if name == "observed_at" else ServiceStatus
    least = {"layer": "health", "verdict": "ok", "detail": "fine"} if record is Evidence else dict(STATUS)
    with pytest.raises(ValidationError, match="timezone"):
        record.model_validate({**least, name: "2026-01-31T12:00:00"})


def test_a_plan_has_this_shape() -> None:
    plan = Plan(action="start", steps=(Step(service="one", do="start", reason="it is stopped"),))
    assert json_of(plan) == {
        "action": "start",
        "steps": [{"service": "one", "do": "start", "reason": "it is stopped"}],
    }


def test_a_report_has_this_shape() -> None:
    problem = Problem(severity="error", summary="port 8080 is taken", fix="free it", raised_by="kestra", service="one")
    outcome = Outcome(service="one", result="refused", message="port 8080 is taken", problems=(problem,))
    shown = json_of(OperationReport(id="a1", action="start", outcomes=(outcome,), exit_code=3, seconds=0.5))
    as_json = {
        "severity": "error",
        "summary": "port 8080 is taken",
        "fix": "free it",
        "raised_by": "kestra",
        "service": "one",
    }
    assert shown == {
        "id": "a1",
        "action": "start",
        "outcomes": [
            {
                "service": "one",
                "result": "refused",
                "message": "port 8080 is taken",
                "seconds": 0.0,
                "status": None,
                "problems": [as_json],
                "explanation": None,
            }
        ],
        "problems": [],
        "exit_code": 3,
        "seconds": 0.5,
    }


def test_an_event_is_dated_in_utc() -> None:
    event = Event(what="operation.started", actor="ana")
    assert event.time.tzinfo is UTC
    assert abs((datetime.now(UTC) - event.time).total_seconds()) < 5
    assert set(json_of(event)) == {"time", "operation", "service", "what", "actor", "detail"}
