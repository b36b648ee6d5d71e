"""Who follows the engine's events inspects a container again only when something may have changed, and then at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from service_launcher import wiring
from service_launcher.engine import CHECK_SECONDS, Detail, Engine
from service_launcher.models import ServiceState, ServiceStatus

from tests.engines import PrivateEngine
from tests.installations import Installation

KESTRA, POSTGRES = "kestra-orchestrator", "kestra-postgres"


@pytest.fixture
def inspected(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each container was inspected; the engine is asked all the same."""
    counted: Counter[str] = Counter()
    ask = Engine.detail

    def detail(self: Engine, container_id: str) -> Detail | None:
        counted[container_id] += 1
        return ask(self, container_id)

    monkeypatch.setattr(Engine, "detail", detail)
    return counted


@pytest.fixture
def readings(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Iterator[dict[str, ServiceStatus]]]:
    """What a follower reads, as it comes."""
    assert installation.launcher("start").code == 0
    monkeypatch.setenv("DOCKER_HOST", installation.engine.address)
    stop = threading.Event()
    following = wiring.build(str(installation.root)).live(stop)
    yield ({status.id: status for status in reading.statuses} for reading in following)
    stop.set()
    following.close()


def test_a_container_in_peace_is_inspected_once_in_a_while(
    readings: Iterator[dict[str, ServiceStatus]], inspected: Counter[str], engine: PrivateEngine
) -> None:
    engine.docker("update", "--restart", "no", "tools-kestra")  # an ended one stays as it is
    engine.docker("kill", "tools-kestra")
    container = engine.inspect("tools-kestra", "{{.Id}}")
    for _ in range(2):
        assert next(readings)[KESTRA].container == "exited"
    assert inspected[container] == 1


def test_what_happens_is_read_at_once_and_health_is_never_old(
    readings: Iterator[dict[str, ServiceStatus]], engine: PrivateEngine
) -> None:
    assert next(readings)[KESTRA].state is ServiceState.READY
    engine.docker("pause", "tools-kestra-postgres")
    found = [next(readings)]
    while (
        found[-1][POSTGRES].state is not ServiceState.DEGRADED or found[-1][KESTRA].state is not ServiceState.DEGRADED
    ):
        found.append(next(readings))
        assert len(found) < 5
    engine.docker("unpause", "tools-kestra-postgres")
    for _ in range(3):
        health = next(e for e in next(readings)[POSTGRES].evidence if e.layer == "health")
        assert health.age_seconds < CHECK_SECONDS + 10 + 1, "one check, one look, and what a look takes"
