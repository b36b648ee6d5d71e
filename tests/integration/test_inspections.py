"""Who follows the engine's events inspects a container again only when something may have changed, and then at once."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_launcher import wiring
from service_launcher.containers import Detail
from service_launcher.engine import Engine
from service_launcher.engine_view import EngineView
from service_launcher.models import ServiceState, ServiceStatus

from bench.measure import many_services
from tests.engines import PrivateEngine, wait_for
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
        assert health.age_seconds < health.counts_seconds


def test_an_end_of_which_the_engine_does_not_know_yet_is_told(
    readings: Iterator[dict[str, ServiceStatus]], engine: PrivateEngine
) -> None:
    """The Engine's own news comes 0.2 s later; here it comes never, because who brings it to the Engine is stopped."""
    assert next(readings)[KESTRA].state is ServiceState.READY
    pid = int(engine.inspect("tools-kestra", "{{.State.Pid}}"))
    shim = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(shim, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        for _ in range(2):
            status = next(readings)[KESTRA]
            assert status.state is ServiceState.STOPPING, status.message
            assert "its main process has ended; the Engine has not told how yet" in status.message
        assert engine.inspect("tools-kestra", "{{.State.Status}}") == "running"
    finally:
        os.kill(shim, signal.SIGCONT)
    told = next(reading[KESTRA] for reading in readings if reading[KESTRA].state is not ServiceState.STOPPING)
    assert "137" in told.message or told.state is ServiceState.STARTING, told
    assert next(reading for reading in readings if reading[KESTRA].state is ServiceState.READY)


def test_a_health_check_that_runs_every_minute_counts_for_a_minute(installation: Installation, tmp_path: Path) -> None:
    installation.shell.update(many_services(tmp_path, installation.root, 1))
    assert installation.launcher("manifest", "sync").code == 0
    done = installation.launcher("start", "many-00")
    assert done.code == 0, done.text

    def status() -> dict[str, Any]:
        return dict(installation.launcher("status", "many-00", "--json").json()["services"][0])

    def health() -> dict[str, Any]:
        return next(e for e in status()["evidence"] if e["layer"] == "health")

    wait_for(lambda: health()["age_seconds"] > 15.5, 30, "the last check is older than other evidence may be", every=1)
    assert status()["state"] == "ready"
    assert health()["counts_seconds"] == 60 + 30 + 5  # its interval, the Engine's usual timeout, and a little


def test_a_state_and_its_ports_are_of_one_moment(
    installation: Installation, engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of the list from between two lives tells no ports of the container that runs by now."""
    installation.stand_in(STANDIN_EXIT="3:1", STANDIN_READY_AFTER="600")
    assert installation.launcher("start").code == 1
    monkeypatch.setenv("DOCKER_HOST", engine.address)
    observer, view = wiring.build(str(installation.root))._observer, EngineView(Engine())

    def is_now(state: str) -> bool:
        return engine.inspect("tools-kestra", "{{.State.Status}}") == state

    wait_for(lambda: is_now("restarting"), 30, "it waits for its next life", every=0.02)
    assert view.compose_service("tools", "kestra").ports == ()  # type: ignore[union-attr]
    wait_for(lambda: is_now("running"), 30, "it runs again", every=0.02)
    status = observer.status(KESTRA, view)
    assert status.ports, status
    assert (status.container, status.state) == ("running", ServiceState.FAILED), status.message
