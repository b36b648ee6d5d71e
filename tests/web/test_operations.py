"""Starts and stops as resources: begun once, cancelled, refused with the command that does the same."""

from __future__ import annotations

import json
import uuid

from tests.engines import PrivateEngine, wait_for
from tests.web.served import Served


def test_the_same_key_is_the_same_operation_and_another_use_of_it_is_refused(stopped: Served) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = stopped.call("POST", "/api/services/kestra-postgres/start", "operator", {}, key).json()
    again = stopped.call("POST", "/api/services/kestra-postgres/start", "operator", {}, key).json()
    assert first["id"] == again["id"]
    assert stopped.ended(first)["state"] == "succeeded"
    third = stopped.call("POST", "/api/services/kestra-postgres/start", "operator", {}, key).json()
    assert (third["id"], third["state"]) == (first["id"], "succeeded")
    other = stopped.call("POST", "/api/services/kestra-postgres/stop", "operator", {}, key)
    assert (other.status, other.json()["category"]) == (422, "config")
    assert stopped.call("POST", "/api/services/kestra/start", "operator", {}, {"Idempotency-Key": "x"}).status == 422


def test_a_stack_is_started_and_stopped_as_by_phase(stopped: Served) -> None:
    answer = stopped.call("POST", "/api/stacks/tools/start", "operator", {})
    assert answer.json()["command"] == "launcher start --phase tools"
    assert stopped.ended(answer.json())["state"] == "succeeded"
    assert stopped.ended(stopped.call("POST", "/api/stacks/tools/stop", "operator", {}).json())["state"] == "succeeded"
    assert stopped.call("POST", "/api/stacks/nothing/stop", "operator", {}).status == 404


def test_a_cancelled_operation_ends_soon_and_both_are_recorded_with_who_asked(
    stopped: Served, engine: PrivateEngine
) -> None:
    compose = stopped.installation.root / "tools/compose/docker-compose.tools.yml"
    original = compose.read_text()
    slow = original.replace("    environment:\n", "    environment:\n      STANDIN_READY_AFTER: '100'\n", 1)
    compose.write_text(slow)
    try:
        operation = stopped.begin("start")

        def waits() -> bool:
            found = stopped.call("GET", f"/api/operations/{operation['id']}", "viewer").json()
            return any(p["service"] == "kestra-orchestrator" and p["phase"] == "health" for p in found["progress"])

        wait_for(waits, 60, "it waits for Kestra's health")
        asked = stopped.call("POST", f"/api/operations/{operation['id']}/cancel", "operator", {})
        assert asked.status == 202
        ended = stopped.ended(operation, 5)
        assert (ended["state"], ended["exit_code"]) == ("cancelled", 130)
        assert engine.inspect("tools-kestra", "{{.State.Status}}") == "running"
        assert stopped.call("POST", f"/api/operations/{operation['id']}/cancel", "operator", {}).status == 409
    finally:
        compose.write_text(original)
    lines = (stopped.installation.root / ".launcher/events.jsonl").read_text().splitlines()
    of_it = [e for e in map(json.loads, lines) if e["operation"] == operation["id"]]
    assert [e["what"] for e in of_it if e["what"].startswith("operation.")] == [
        "operation.started", "operation.finished",
    ]  # fmt: skip
    assert of_it[-1]["detail"]["outcome"] == "cancelled"
    assert {e["actor"] for e in of_it} == {"operator (web)"}


def test_an_edited_file_counts_at_once_and_a_wrong_one_is_said(stopped: Served) -> None:
    file = stopped.installation.root / ".env.local"
    file.write_text("KESTRA_HTTP_PORT=8180\n")
    try:
        assert stopped.ended(stopped.begin("start"))["state"] == "succeeded"
        wait_for(lambda: stopped.state() == "ready", 20, "it is ready")
        links = stopped.call("GET", "/api/services/kestra").json()["current"]["links"]
        assert links[0]["url"] == "http://localhost:8180"
        file.write_text('KESTRA_HTTP_PORT="8180\n')
        refused = stopped.call("POST", "/api/services/kestra/start", "operator", {})
        assert (refused.status, refused.json()["category"]) == (422, "config")
        assert ".env.local" in refused.json()["message"]
        with stopped.stream() as stream:
            stream.wait(lambda message: ".env.local" in str(message["data"].get("problems")))
    finally:
        file.unlink()


def test_a_plan_an_explanation_and_logs_are_what_the_commands_print(running: Served) -> None:
    plan = running.call("GET", "/api/plan?action=stop&service=kestra-postgres", "viewer").json()
    assert plan == running.installation.launcher("plan", "stop", "kestra-postgres", "--json").json()
    told = running.call("GET", "/api/services/kestra/explanation", "viewer").json()
    assert told["cause"] == running.installation.launcher("explain", "kestra", "--json").json()["cause"]
    lines = running.call("GET", "/api/services/kestra/logs?tail=5", "viewer").body.decode().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["REHEARSAL stand-in, not Kestra"]
    assert len(running.call("GET", "/api/services/kestra/logs?grep=stand-in,", "viewer").body.splitlines()) == 1
    assert running.call("GET", "/api/services/kestra/logs?grep=stand.in", "viewer").body == b"", "no expression"
    assert running.call("GET", "/api/services/kestra/logs?grep=(", "viewer").status == 200
    assert running.call("GET", "/api/services/kestra/logs?tail=100001", "viewer").status == 422
    assert running.call("GET", "/api/services/kestra/logs?grep=nothing", "viewer").body == b""
