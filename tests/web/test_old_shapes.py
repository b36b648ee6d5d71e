"""What older dashboards, scripts and alerts read keeps its shape and its words."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from tests.engines import wait_for
from tests.web.served import Served

ERROR_KEYS = {"success", "error", "category", "message"}
CATEGORIES = {"docker-down", "port-conflict", "permission", "config", "busy", "plugin", "unknown"}


def refused(answer: object, status: int, category: str) -> dict[str, object]:
    """An error in its shape."""
    assert answer.status == status, answer.body  # type: ignore[attr-defined]
    body = answer.json()  # type: ignore[attr-defined]
    assert body.keys() - {"fallbackCommand"} == ERROR_KEYS
    assert body["success"] is False
    assert body["category"] == category
    return dict(body)


def test_the_sign_of_life_is_exactly_this(served: Served) -> None:
    assert served.call("GET", "/health").json() == {"status": "ok", "service": "service-launcher-api"}


def test_status_counts_and_sorts_in_the_old_words(running: Served) -> None:
    wait_for(lambda: running.call("GET", "/api/status").json()["overallStatus"] == "ok", 20, "all is well")
    found = running.call("GET", "/api/status").json()
    assert found.keys() == {
        "overallStatus", "totalServices", "degradedCount", "downCount", "averageLatencyMs", "lastCheckAt", "services",
    }  # fmt: skip
    assert (found["totalServices"], found["degradedCount"], found["downCount"]) == (2, 0, 0)
    assert isinstance(found["averageLatencyMs"], int)
    for service in found["services"]:
        for key in ("id", "name", "description", "category", "port", "status", "latencyMs", "updatedAt", "details",
                    "state", "stack", "links"):  # fmt: skip
            assert key in service
        assert service["status"] == "ok"
        assert service["details"]["message"]
        assert "healthUrl" in service["details"]
    kestra = next(s for s in found["services"] if s["id"] == "kestra-orchestrator")
    assert (kestra["name"], kestra["category"], kestra["port"]) == ("Kestra Orchestrator", "tools", 8080)
    assert kestra["links"][0]["url"].startswith("http://localhost:8080")

    running.installation.engine.docker("kill", "tools-kestra-postgres")
    wait_for(lambda: running.call("GET", "/api/status").json()["downCount"], 20, "the loss is seen")
    found = running.call("GET", "/api/status").json()
    assert found["overallStatus"] == "down"
    words = [service["status"] for service in found["services"]]
    assert words == sorted(words, key=["down", "degraded", "ok"].index)
    assert found["degradedCount"] == sum(word != "ok" for word in words)


def test_a_skipped_service_is_neither_well_nor_ill(home_skipping: Served) -> None:
    found = home_skipping.call("GET", "/api/status").json()
    kestra = next(s for s in found["services"] if s["id"] == "kestra-orchestrator")
    assert (kestra["state"], kestra["counted"]) == ("skipped", False)
    assert found["totalServices"] == 1
    assert found["services"][-1]["id"] == "kestra-orchestrator"


@pytest.fixture
def home_skipping(stopped: Served) -> Served:
    """The same installation with SKIP set in a file, which the server notices by itself."""
    file = stopped.installation.root / ".env.local"
    file.write_text("SKIP_KESTRA_AUTO_START=1\n")
    wait_for(lambda: stopped.state() == "skipped", 20, "the file is noticed")
    yield stopped
    file.unlink()
    wait_for(lambda: stopped.state() == "stopped", 20, "its end is noticed")


def test_services_are_an_array_in_which_jq_finds_kestra(stopped: Served) -> None:
    body = stopped.call("GET", "/api/services").body
    done = subprocess.run(
        ["jq", '.[] | select(.id=="kestra-orchestrator")'], input=body, capture_output=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["start"] == "docker compose -f tools/compose/docker-compose.tools.yml up -d kestra"
    assert found["status"] == "tools/kestra/scripts/status.sh"
    assert (found["managed"], found["stack"], found["workspace"]) == ("docker-compose", "tools", True)
    wait_for(lambda: stopped.state() == "stopped", 10, "the stop is seen")
    assert stopped.call("GET", "/api/services/kestra").json()["id"] == "kestra-orchestrator"
    refused(stopped.call("GET", "/api/services/nobody"), 404, "config")


def test_ports_and_their_owners(running: Served) -> None:
    wait_for(lambda: running.call("GET", "/api/ports").json()["stats"]["healthy"] == 2, 20, "both ports are healthy")
    found = running.call("GET", "/api/ports").json()
    assert found.keys() == {"success", "timestamp", "durationMs", "stats", "ports"}
    assert found["stats"] == {"total": 2, "healthy": 2, "unhealthy": 0, "byCategory": {"tools": 2}}
    port = next(p for p in found["ports"] if p["port"] == 8080)
    assert port["service"]["id"] == "kestra-orchestrator"
    assert port["status"] == "healthy"
    assert port["health"].keys() == {"isHealthy", "responseTimeMs", "lastChecked"}
    assert port["urls"] == ["http://localhost:8080"]


def test_full_health_is_what_the_command_prints(running: Served) -> None:
    printed = running.installation.launcher("health", "--format", "json").json()
    answered = running.call("GET", "/api/health/full").json()
    assert answered.keys() == printed.keys()
    assert [s["name"] for s in answered["localServices"]] == [s["name"] for s in printed["localServices"]]


def test_metrics_have_the_names_that_alerts_use(running: Served) -> None:
    ended = running.ended(running.begin("restart"))
    assert ended["state"] == "succeeded", ended
    wait_for(lambda: b'kestra-orchestrator",service_name="Kestra Orchestrator"} 1.0'
             in running.call("GET", "/metrics").body, 20, "Kestra counts as up")  # fmt: skip
    text = running.call("GET", "/metrics").body.decode()
    for line in (
        'service_launcher_service_status{service_id="kestra-orchestrator",service_name="Kestra Orchestrator"} 1.0',
        "service_launcher_overall_status 1.0",
        "service_launcher_health_check_duration_seconds{",
        'service_launcher_launch_total{method="api",service_name="kestra-orchestrator",status="success"} 1.0',
    ):
        assert line in text, text


def test_the_old_pages_button(stopped: Served) -> None:
    refused(stopped.call("POST", "/api/auto-start/nobody", "operator", {}), 404, "config")
    told = refused(stopped.call("POST", "/api/auto-start/kestra", None, {}), 401, "permission")
    assert told["fallbackCommand"] == "launcher start kestra"
    refused(stopped.call("POST", "/api/auto-start/kestra", "viewer", {}), 403, "permission")
    done = stopped.call("POST", "/api/auto-start/kestra", "operator")
    assert done.status == 200, done.body
    assert done.json().keys() == {"success", "message", "serviceId"}
    assert (done.json()["success"], done.json()["serviceId"]) == (True, "kestra-orchestrator")
    told = refused(stopped.call("POST", "/api/auto-start/kestra-orchestrator", "operator"), 429, "busy")
    assert told["fallbackCommand"] == "launcher start kestra-orchestrator"
    told = refused(stopped.call("POST", "/api/auto-start/kestra-postgres", "operator"), 409, "busy")
    assert "operator (web)" in str(told["message"])
    wait_for(lambda: stopped.state() == "ready", 60, "the button has started it", every=0.2)
    text = stopped.call("GET", "/metrics").body.decode()
    assert 'launch_total{method="auto-start",service_name="kestra-orchestrator",status="success"}' in text


def test_the_old_launch_of_any_command_does_not_exist(served: Served) -> None:
    for role in (None, "operator"):
        refused(served.call("POST", "/launch", role, {"command": "id"}), 404, "unknown")
        refused(served.call("GET", "/anything/else", role), 404, "unknown")
    refused(served.call("DELETE", "/api/status"), 405, "unknown")


def test_no_other_origin_may_read_unless_it_is_named(served: Served) -> None:
    origin = {"Origin": "http://localhost:9000"}
    refused(served.call("GET", "/api/status", headers=origin), 403, "permission")
    assert "access-control-allow-origin" not in served.call("GET", "/api/status").headers


def test_operations_answer_at_once_and_are_resources(stopped: Served) -> None:
    began = time.monotonic()
    answer = stopped.call("POST", "/api/services/kestra/start", "operator", {})
    assert answer.status == 202
    assert time.monotonic() - began < 4
    operation = answer.json()
    assert answer.headers["Location"] == f"/api/operations/{operation['id']}"
    assert operation["command"] == "launcher start kestra-orchestrator"
    told = refused(stopped.call("POST", "/api/services/kestra/stop", "operator", {}), 409, "busy")
    assert told["fallbackCommand"] == "launcher stop kestra"
    assert stopped.ended(operation)["state"] == "succeeded"


def test_the_examples_of_the_document_look_like_what_is_answered(running: Served) -> None:
    from service_launcher.web.examples import ANSWERS

    checked = 0
    for name, answer in ANSWERS.items():
        method, path = name.split()
        example = answer["content"].get("application/json", {}).get("example")
        if method != "GET" or example is None or "{operation}" in path:
            continue
        found = running.call("GET", path.replace("{service}", "kestra"), "viewer").json()
        pairs = [(example, found)] if isinstance(example, dict) else [(example[0], found[0])]
        if path == "/api/status":
            pairs.append((example["services"][0], found["services"][0]))
        for shown, real in pairs:
            assert shown.keys() <= real.keys(), path
            checked += 1
    assert checked >= 6
    operations = running.call("GET", "/api/operations", "viewer").json()
    assert ANSWERS["GET /api/operations"]["content"]["application/json"]["example"][0].keys() == operations[0].keys()
