"""What is brought back, when, how often, and what is left alone."""

from __future__ import annotations

import pytest
from service_launcher import recovery
from service_launcher.models import ServiceState, ServiceStatus
from service_launcher.recovery import ATTEMPTS, FIRST_SECONDS, RESET_SECONDS, Recovery


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the module."""
    clock = Clock()
    monkeypatch.setattr(recovery, "time", clock)
    return clock


def seen(state: ServiceState, service: str = "one") -> list[ServiceStatus]:
    """A reading of one service."""
    return [ServiceStatus(id=service, state=state, message="as it is")]


@pytest.mark.parametrize("state", [ServiceState.STOPPED, ServiceState.FAILED])
def test_the_engine_comes_first_and_each_attempt_waits_longer(clock: Clock, state: ServiceState) -> None:
    recovering = Recovery()
    began, times = clock.now, []
    while clock.now < began + 1000:
        down = recovering.down(seen(state))
        assert down == {"one"}
        if due := recovering.due(down):
            times.append(round(clock.now - began))
            given_up = recovering.tried(due)
            assert bool(given_up) == (len(times) == ATTEMPTS)
        clock.now += 1
    assert times == [10, 30, 70, 150, 310]
    assert FIRST_SECONDS == 10


def test_who_comes_back_alone_is_never_touched(clock: Clock) -> None:
    recovering = Recovery()
    recovering.down(seen(ServiceState.STOPPED))
    clock.now += FIRST_SECONDS - 1
    assert recovering.down(seen(ServiceState.READY)) == set()
    down = recovering.down(seen(ServiceState.STOPPED))
    clock.now += FIRST_SECONDS - 1
    assert recovering.due(down) == (), "a new fall, a new count"


def test_after_a_long_time_of_health_the_count_begins_anew(clock: Clock) -> None:
    recovering = Recovery()
    for _ in range(ATTEMPTS):
        recovering.tried(recovering.down(seen(ServiceState.FAILED)))
    for seconds, due in ((RESET_SECONDS - 1, ()), (RESET_SECONDS, ("one",))):
        recovering.down(seen(ServiceState.READY))
        clock.now += seconds
        recovering.down(seen(ServiceState.READY))
        down = recovering.down(seen(ServiceState.FAILED))
        clock.now += 1000
        assert recovering.due(down) == due


@pytest.mark.parametrize("state", sorted(set(ServiceState) - {ServiceState.STOPPED, ServiceState.FAILED}))
def test_what_runs_or_is_unknown_is_left_alone(clock: Clock, state: ServiceState) -> None:
    assert Recovery().down(seen(state)) == set()


def test_what_somebody_wants_down_is_forgotten(clock: Clock) -> None:
    recovering = Recovery()
    recovering.forget(recovering.down(seen(ServiceState.STOPPED)))
    clock.now += 1000
    assert recovering.due(recovering.down(seen(ServiceState.STOPPED))) == ()
