"""How health is judged, counted and told, and how two samples of a container become its use: no Docker needed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families
from service_launcher import checks, health, metrics
from service_launcher.containers import Sample
from service_launcher.engine import Engine
from service_launcher.engine_view import EngineView
from service_launcher.envfile import Environment
from service_launcher.errors import UnknownService
from service_launcher.events import EventLog
from service_launcher.health_records import DockerContainer, HealthReport, LocalService
from service_launcher.models import Diagnosis, Finding, ManifestEntry, ServiceState, ServiceStatus
from service_launcher.observation import Observer
from service_launcher.redaction import Redactor

CALLED: dict[str, Any] = {}


def service(state: ServiceState, name: str = "search") -> LocalService:
    word = health.WORDS[state]
    counted = word not in ("skipped", "unmanaged")
    return LocalService(
        name=name, title="Search", status=str(state), state=state, health=word, counted=counted, port=1,
        latency_seconds=0.5, message="as it is",
    )  # fmt: skip


def container(status: str, word: Any = "healthy", counted: bool = True) -> DockerContainer:
    return DockerContainer(
        name="tools-search", status=status, health=word, group="tools", service_name="search", counted=counted,
        cpu_percent=12.5, memory_bytes=1000, memory_limit_bytes=2000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("states", "overall", "code"),
    [
        ([ServiceState.READY], "healthy", 0),
        ([ServiceState.READY, ServiceState.SKIPPED, ServiceState.UNMANAGED], "healthy", 0),
        ([ServiceState.READY, ServiceState.STARTING], "degraded", 1),
        ([ServiceState.DEGRADED], "degraded", 1),
        ([ServiceState.STOPPING, ServiceState.READY], "degraded", 1),
        ([ServiceState.DEGRADED, ServiceState.FAILED], "critical", 2),
        ([ServiceState.READY, ServiceState.STOPPED], "critical", 2),
        ([ServiceState.UNKNOWN], "critical", 2),
        ([ServiceState.SKIPPED], "degraded", 1),
        ([], "degraded", 1),
    ],
)
def test_the_overall_health_is_the_worst_of_what_counts(states: list[ServiceState], overall: str, code: int) -> None:
    report = health._judged([service(state) for state in states], [], [], None, [])
    assert (report.overall_health, report.exit_code) == (overall, code)
    assert report.success is report.summary.all_ok is (overall == "healthy")
    counted = [state for state in states if state not in (ServiceState.SKIPPED, ServiceState.UNMANAGED)]
    assert report.summary.services_checked == len(counted)
    assert bool(report.remediation) is not bool(counted)


@pytest.mark.parametrize(
    ("status", "word", "overall"),
    [
        ("running", "healthy", "healthy"),
        ("running", "none", "healthy"),
        ("running", "starting", "degraded"),
        ("running", "unhealthy", "degraded"),
        ("restarting", "none", "degraded"),
        ("paused", "healthy", "degraded"),
        ("exited", "none", "critical"),
        ("missing", "none", "critical"),
        ("unknown", "unknown", "critical"),
    ],
)
def test_containers_alone_are_judged_by_the_engines_words(status: str, word: str, overall: str) -> None:
    assert health._judged([], [container(status, word)], [], None, []).overall_health == overall
    assert health._judged([], [container(status, word, counted=False)], [], None, []).overall_health == "degraded"


def raw(read: str, nanoseconds: int, memory: Mapping[str, Any]) -> dict[str, Any]:
    """What the engine answers to one question for statistics."""
    return {"read": read, "cpu_stats": {"cpu_usage": {"total_usage": nanoseconds}}, "memory_stats": memory}


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"cache": 900, "inactive_file": 10, "total_inactive_file": 300}, 700),  # cgroup v1
        ({"file": 900, "inactive_file": 400}, 600),  # cgroup v2
        ({}, 1000),
        ({"inactive_file": 2000}, 0),
    ],
)
def test_memory_is_without_the_file_cache_on_both_kinds_of_cgroups(kinds: dict[str, int], expected: int) -> None:
    memory = {"usage": 1000, "limit": 5000, "stats": kinds}
    first = Sample.read(raw("2026-11-25T05:00:00.123456789Z", 2_000_000_000, memory))
    second = Sample.read(raw("2026-11-25T05:00:00.623456789Z", 2_250_000_000, memory))
    assert first is not None
    assert second is not None
    used = health.used("search", "tools-search", first, second)
    assert used.memory_bytes == expected
    assert (used.memory_limit_bytes, used.cpu_percent) == (5000, 50.0)


def test_a_container_that_was_started_anew_between_two_samples_used_nothing_less() -> None:
    moment = datetime(2026, 11, 25, tzinfo=UTC)
    before = Sample(moment, 9.0, 1, 1)
    assert health.used("search", "search", before, Sample(moment.replace(second=1), 1.0, 1, 1)).cpu_percent == 0
    assert health.used("search", "search", before, before).cpu_percent == 0


@pytest.mark.parametrize(
    "answer", [{"read": "0001-01-01T00:00:00Z", "memory_stats": {}}, raw("2026-11-25T05:00:00Z", 1, {})]
)
def test_what_does_not_run_uses_nothing(answer: dict[str, Any]) -> None:
    assert Sample.read(answer) is None


@pytest.mark.parametrize("state", [ServiceState.SKIPPED, ServiceState.UNMANAGED])
def test_what_a_plugin_skips_by_itself_does_not_count(tmp_path: Path, state: ServiceState) -> None:
    entry = ManifestEntry(id="one", type="tools", path=".", start="true")
    status = ServiceStatus(id="one", state=state, message="not here")
    plugins = SimpleNamespace(owners={"one": "plugin"}, status=lambda entry, context: status)
    graph = SimpleNamespace(entries={"one": entry})
    log = EventLog(tmp_path / "events.jsonl", Redactor())
    observer = Observer(tmp_path, Environment({}), cast(Any, plugins), cast(Any, graph), Redactor(), log)
    assert observer.status("one", EngineView(Engine())).counted is False


def test_prometheus_reads_the_report_under_the_names_that_alerts_know() -> None:
    local = [service(ServiceState.DEGRADED), service(ServiceState.SKIPPED, "skipped-one")]
    text = metrics.exposition(health._judged(local, [container("running")], [], None, []))
    samples = {
        (sample.name, sample.labels.get("service_id")): (sample.value, sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    values = {name: value for name, (value, _) in samples.items()}
    assert values == {
        ("service_launcher_overall_status", None): 0.5,
        ("service_launcher_service_status", "search"): 0.5,
        ("service_launcher_health_check_duration_seconds", "search"): 0.5,
        ("service_launcher_container_cpu_percent", "search"): 12.5,
        ("service_launcher_container_memory_bytes", "search"): 1000,
        ("service_launcher_container_memory_limit_bytes", "search"): 2000,
    }
    labels = samples["service_launcher_service_status", "search"][1]
    assert labels == {"service_id": "search", "service_name": "Search"}


#: As the group passes them on; a command remembers its help option from the first time that it is asked.
AS_BELOW_LAUNCHER = {"help_option_names": ["-h", "--help"]}


class Session:
    """Answers with one report, and knows one service."""

    @property
    def launcher(self) -> Session:
        return self

    def health(self, names: list[str], *, services: bool, containers: bool) -> HealthReport:
        if set(names) - {"search"}:
            raise UnknownService("'nobody' is no service (known: search)")
        CALLED.update(names=names, services=services, containers=containers)
        return health._judged([service(ServiceState.READY)], [], [], None, [])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--services", "nobody"],
        ["--services", "search,nobody"],
        ["--services", ""],
        ["--services", " , "],
        ["--containers-only", "--services-only"],
        ["--format", "yaml"],
        ["--no-such-option"],
        ["search"],
        ["--services"],
    ],
)
def test_usage_errors_have_a_code_that_no_health_has(arguments: list[str]) -> None:
    done = CliRunner().invoke(checks.health, arguments, obj=Session(), **AS_BELOW_LAUNCHER)
    assert done.exit_code == 64
    assert done.stdout == ""
    assert "Error:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        ([], {"names": [], "services": True, "containers": True}),
        (["--services", "search, search"], {"names": ["search", "search"], "services": True, "containers": True}),
        (["--containers-only"], {"names": [], "services": False, "containers": True}),
        (["--services-only"], {"names": [], "services": True, "containers": False}),
    ],
)
def test_options_choose_what_is_checked(arguments: list[str], called: dict[str, Any]) -> None:
    CALLED.clear()
    done = CliRunner().invoke(checks.health, arguments, obj=Session(), standalone_mode=False, **AS_BELOW_LAUNCHER)
    assert done.return_value == 0
    assert called == CALLED


def test_the_documented_json_is_what_the_commands_print() -> None:
    text = (Path(__file__).parents[2] / "host/README.md").read_text()
    diagnosis, report = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL))
    findings = Diagnosis(findings=tuple(Finding(**finding) for finding in diagnosis["findings"]))
    assert json.loads(findings.model_dump_json()) == diagnosis
    assert json.loads(HealthReport.model_validate(report).model_dump_json()) == report
    words = metrics.exposition(health._judged([], [container("running")], [], None, []))
    for name in re.findall(r"^# TYPE (\w+)", words, re.MULTILINE):
        assert f"`{name}`" in text
