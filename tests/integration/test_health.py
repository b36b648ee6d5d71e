"""`launcher health` and scripts/maintenance/health-check-all.sh on real containers: words, numbers and exit codes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine, wait_for
from tests.faults.proxy import Proxy
from tests.installations import Installation

SCRIPT = "scripts/maintenance/health-check-all.sh"
KEYS = {
    "": {"success", "overallHealth", "timestamp", "summary", "remediation"}
    | {"localServices", "dockerContainers", "databases"},
    "localServices": {"name", "status", "port", "health", "latencySeconds", "message"},
    "dockerContainers": {"name", "status", "health", "group", "serviceName"},
    "databases": {"name", "status", "host", "port", "latencySeconds"},
    "summary": {"allOk", "servicesChecked", "containersChecked", "databasesChecked"},
    "remediation": {"target", "actions"},
}  # fmt: skip

KNOWN: set[tuple[str, ...]] = set()


def checked(installation: Installation, code: int, *arguments: str, **exported: str) -> dict[str, Any]:
    """The health as JSON, whose keys are those that programs know; `code` is the exit code that it must have."""
    done = installation.launcher("health", "--json", *arguments, **exported)
    assert done.code == code, done.text
    report: dict[str, Any] = done.json()
    assert report.keys() == KEYS[""]
    for part, keys in KEYS.items():
        records = report[part] if part else []
        for record in [records] if isinstance(records, dict) else records:
            assert keys <= record.keys(), part
    assert report["overallHealth"] == ["healthy", "degraded", "critical"][code]
    assert report["success"] is report["summary"]["allOk"] is (code == 0)
    for command in {_command(action) for remedy in report["remediation"] for action in remedy["actions"]} - KNOWN:
        assert installation.launcher(*command, "--help").code == 0, command
        KNOWN.add(command)
    return report


def _command(action: str) -> tuple[str, ...]:
    """What stands before a name or an option in a command of the launcher."""
    program, *words = action.split()
    assert program == "launcher"
    return tuple(words[:2] if words[0] == "plugins" else words[:1])


def words(report: dict[str, Any], part: str, name: str) -> str:
    """The status of one record."""
    return str(next(record["status"] for record in report[part] if record["name"] == name))


def test_health_follows_the_services_through_their_life(
    installation: Installation, engine: PrivateEngine, tmp_path: Path
) -> None:
    report = checked(installation, 2)
    assert words(report, "localServices", "kestra-postgres") == "stopped"
    assert [container["status"] for container in report["dockerContainers"]] == ["missing", "missing"]
    assert ["launcher start kestra-postgres"] in [remedy["actions"] for remedy in report["remediation"]]

    assert installation.launcher("start").code == 0
    report = checked(installation, 0)
    assert words(report, "localServices", "kestra-orchestrator") == "running, ready"
    assert report["localServices"][0]["port"] == 8080
    kestra, postgres = report["dockerContainers"]
    assert (kestra["name"], kestra["status"], kestra["health"], kestra["group"]) == (
        "tools-kestra", "running", "healthy", "tools",
    )  # fmt: skip
    assert kestra["serviceName"] == "kestra-orchestrator"
    assert 1_000_000 < postgres["memoryBytes"] < postgres["memoryLimitBytes"]
    (database,) = report["databases"]
    assert (database["name"], database["host"], database["port"]) == ("kestra-postgres", "tools-kestra-postgres", 5432)
    assert report["summary"] == {
        "allOk": True, "servicesChecked": 2, "containersChecked": 2, "databasesChecked": 1,
    }  # fmt: skip
    assert report["remediation"] == []

    # The script, from elsewhere: every format says the same.
    text = installation.run(SCRIPT, cwd=tmp_path)
    assert text.code == 0, text.text
    assert text.out.startswith("healthy: 2 services, 2 containers")
    assert "running, ready  kestra-orchestrator (port 8080" in text.out
    metrics = installation.run(SCRIPT, "--format", "prometheus", cwd=tmp_path)
    values = {
        (sample.name, sample.labels.get("service_id")): sample.value
        for family in text_string_to_metric_families(metrics.out)
        for sample in family.samples
    }
    assert metrics.code == 0
    assert values["service_launcher_overall_status", None] == 1
    assert values["service_launcher_service_status", "kestra-orchestrator"] == 1
    assert values["service_launcher_container_memory_bytes", "kestra-postgres"] > 1_000_000

    only = checked(installation, 0, "--services", "kestra", "--containers-only")
    assert only["localServices"] == only["databases"] == []
    assert [container["name"] for container in only["dockerContainers"]] == ["tools-kestra"]
    only = checked(installation, 0, "--services-only")
    assert only["dockerContainers"] == []
    assert only["summary"]["servicesChecked"] == 2
    assert installation.run(SCRIPT, "--services", "kestra,nobody", cwd=tmp_path).code == 64

    _uses_what_it_uses(installation, engine)

    wait_for(lambda: installation.state("kestra") == "ready", 30, "the stand-in answers again", every=0.2)
    engine.docker("exec", "tools-kestra", "sh", "-c", "echo 500 >/run/standin/STANDIN_API")
    report = checked(installation, 1)
    # A container whose health check has passed only once may still be on its way.
    assert words(report, "localServices", "kestra-orchestrator") in ("running, degraded", "running, starting")
    engine.docker("stop", "tools-kestra")
    report = checked(installation, 2)
    assert words(report, "dockerContainers", "tools-kestra") == "exited"
    assert checked(installation, 0, "--services", "kestra-postgres")["summary"]["servicesChecked"] == 1
    assert installation.run(SCRIPT, cwd=tmp_path).code == 2

    # What is skipped counts nowhere, and nothing that counts is not healthy.
    report = checked(installation, 0, SKIP_KESTRA_AUTO_START="1")
    assert words(report, "localServices", "kestra-orchestrator") == "exited, skipped"
    assert report["summary"]["servicesChecked"] == report["summary"]["containersChecked"] == 1
    checked(installation, 1, "--services", "kestra", SKIP_KESTRA_AUTO_START="1")


def _uses_what_it_uses(installation: Installation, engine: PrivateEngine) -> None:
    """A container that is made busy and large is seen to be so,."""
    engine.docker("exec", "tools-kestra", "sh", "-c", "mkdir -p /run/standin; echo 300 >/run/standin/STANDIN_MEMORY_MB")
    engine.docker("exec", "-d", "tools-kestra", "timeout", "60", "sh", "-c", "while :; do :; done")

    def seen() -> bool:
        # Whatever its exit code: while the stand-in grows it answers nobody.
        use = installation.launcher("health", "--json", "--services", "kestra").json()["dockerContainers"][0]
        return bool(use["cpuPercent"] > 30 and 300_000_000 < use["memoryBytes"] < 700_000_000)

    wait_for(seen, 15, "the container's use is told")
    program = (
        "from service_launcher import wiring; print(*(u.model_dump_json() for u in wiring.build().usage(['kestra'])))"
    )
    used = installation.run(sys.executable, "-c", program).json()
    assert (used["service"], used["container"]) == ("kestra-orchestrator", "tools-kestra")
    assert used["memory_bytes"] > 300_000_000


def test_a_frozen_engine_is_critical_in_3_seconds(installation: Installation, engine: PrivateEngine) -> None:
    engine.signal(signal.SIGSTOP)
    try:
        done = installation.run(SCRIPT, "--format", "json")
    finally:
        engine.signal(signal.SIGCONT)
    assert done.code == 2
    assert done.seconds < 3.5
    report = done.json()
    assert {service["status"] for service in report["localServices"]} == {"unknown"}
    assert {container["status"] for container in report["dockerContainers"]} == {"unknown"}
    assert report["remediation"][0]["target"] == "docker-engine"


def test_an_engine_that_freezes_after_its_first_answer_costs_its_time_once(
    installation: Installation, engine: PrivateEngine, tmp_path: Path
) -> None:
    assert installation.launcher("start").code == 0

    def freezing(piece: bytes) -> bytes:
        if b'"Names"' in piece:
            proxy.delay = 60
        return piece

    with Proxy(tmp_path / "docker.sock", engine.socket, alter=freezing).serving() as proxy:
        done = installation.launcher("health", "--json", DOCKER_HOST=proxy.address)
    assert done.code == 2
    assert done.seconds < 3.5
    assert {service["status"] for service in done.json()["localServices"]} == {"unknown"}


def test_the_script_is_executable_in_git() -> None:
    listed = subprocess.run(["git", "ls-files", "-s", SCRIPT], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert listed.stdout.startswith("100755 ")
