"""What a container's inspection says of its state: crash loops and not old restarts, ends and not past troubles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from service_launcher.container_state import LIFE_SECONDS, judge
from service_launcher.containers import Detail, End, HealthCheck
from service_launcher.models import ServiceState
from service_launcher.redaction import MASK, Redactor

SECRET = "canary7Secret7Password"


def detail(**more: object) -> Detail:
    """A container that began a moment ago."""
    present = datetime.now(UTC)
    facts: dict[str, Any] = {
        "state": "running",
        "started_at": present - timedelta(seconds=3),
        "finished_at": None,
        "exit_code": 0,
        "oom_killed": False,
        "restart_count": 0,
        "restarting": False,
        "error": "",
        "health": None,
    }
    return Detail(**{**facts, **more})


def state(of: Detail, end: End | None = None) -> tuple[ServiceState, str]:
    """State and words."""
    found, words, _ = judge(of, lambda: end, str)
    return found, words


SHORT, LONG = End(3, False, 2.0), End(0, False, LIFE_SECONDS + 1)


@pytest.mark.parametrize("health", [None, "starting"])
@pytest.mark.parametrize(
    ("restarts", "end", "loop"), [(2, SHORT, False), (3, SHORT, True), (3, None, True), (3, LONG, False)]
)
def test_restarts_make_a_crash_loop_when_the_life_before_was_short(
    health: str | None, restarts: int, end: End | None, loop: bool
) -> None:
    found, words = state(detail(health=health, restart_count=restarts), end)
    assert (found is ServiceState.FAILED) == loop
    assert words.startswith("crash loop") == loop


@pytest.mark.parametrize(("health", "means"), [(None, ServiceState.READY), ("starting", ServiceState.STARTING)])
def test_who_has_run_for_long_is_in_no_crash_loop_however_often_it_once_was(
    health: str | None, means: ServiceState
) -> None:
    began = datetime.now(UTC) - timedelta(seconds=LIFE_SECONDS + 1)
    assert state(detail(health=health, restart_count=40, started_at=began), SHORT)[0] is means


def test_a_container_whose_process_is_gone_is_not_ready_although_it_is_called_running_and_healthy() -> None:
    found, words = state(detail(health="healthy", process_ended=True))
    assert (found, words) == (
        ServiceState.STOPPING,
        "its main process has ended; the Engine has not told how yet",
    )
    looping = detail(restart_count=3, process_ended=True)
    assert state(looping, SHORT)[0] is ServiceState.FAILED, "a crash loop stays one between its lives"


def test_between_two_lives_the_one_before_decides() -> None:
    ended = datetime.now(UTC)
    for life, means in ((2, ServiceState.FAILED), (LIFE_SECONDS + 1, ServiceState.STARTING)):
        of = detail(state="restarting", restart_count=9, started_at=ended - timedelta(seconds=life), finished_at=ended)
        assert state(of)[0] is means, life


@pytest.mark.parametrize(
    ("code", "killed", "means", "says"),
    [
        (0, False, ServiceState.STOPPED, "stopped (exit code 0)"),
        (143, True, ServiceState.STOPPED, "stopped (exit code 143)"),
        (0, True, ServiceState.STOPPED, "stopped (exit code 0)"),
        (137, False, ServiceState.STOPPED, "stopped (exit code 137)"),
        (137, True, ServiceState.FAILED, "exited: it ended with exit code 137, out of memory"),
        (1, True, ServiceState.FAILED, "exited: it ended with exit code 1, out of memory"),
        (1, False, ServiceState.FAILED, "exited: it ended with exit code 1"),
    ],
)
def test_a_process_that_the_kernel_took_before_makes_no_clean_end_a_failure(
    code: int, killed: bool, means: ServiceState, says: str
) -> None:
    assert state(detail(state="exited", exit_code=code, oom_killed=killed)) == (means, says)


@pytest.mark.parametrize("health", ["healthy", "starting", "unhealthy"])
def test_what_a_health_check_says_is_redacted_before_it_is_cut(health: str) -> None:
    said = "x" * 185 + f" pw={SECRET} and more"
    check = HealthCheck(1, said, datetime.now(UTC))
    _, words, evidence = judge(detail(health=health, health_log=(check,)), lambda: None, Redactor([SECRET]))
    for text in (words, *(e.detail for e in evidence)):
        assert SECRET[:6] not in text
    assert MASK[:3] in evidence[-1].detail


@pytest.mark.parametrize(("end", "means"), [(SHORT, "degraded"), (LONG, "ready"), (None, "ready")])
def test_a_crash_loop_that_gets_healthy_each_time_is_not_ready(end: End | None, means: str) -> None:
    """Between two deaths its check passes; how it ended has to be known, or an old trouble would count for minutes."""
    found, words = state(detail(health="healthy", restart_count=50), end)
    assert found == means
    assert ("crash loop: it ended with exit code 3, restarted 50 times" in words) == (means == "degraded")
    assert state(detail(health="unhealthy", restart_count=50), SHORT)[0] is ServiceState.FAILED


@pytest.mark.parametrize(
    ("interval", "timeout", "counts"), [(5, 3, 15.0), (10, 5, 15.0), (10, 30, 45.0), (30, 30, 65.0)]
)
def test_a_health_check_counts_until_its_next_run_is_overdue(interval: float, timeout: float, counts: float) -> None:
    """The engine counts its interval from the end of a run, which may take as long as its timeout."""
    found = judge(detail(health="healthy", health_interval=interval, health_timeout=timeout), lambda: None, str)[2]
    assert [e.counts_seconds for e in found if e.layer == "health"] == [counts]
