"""Kestra after it loses its database: never called ready before it really is, and back by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine, wait_for
from tests.installations import NEXT_KESTRA, REAL_KESTRA, Installation

pytestmark = pytest.mark.kestra

KESTRA, POSTGRES = "tools-kestra", "tools-kestra-postgres"


@pytest.fixture(scope="module", params=[REAL_KESTRA, NEXT_KESTRA], ids=["1.3.25", "2.0.0-SNAPSHOT"])
def kestra(
    request: pytest.FixtureRequest, engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """A running Kestra that has had a flow run."""
    engine.wipe()
    installation = Installation.copied(CHECKOUT, tmp_path_factory.mktemp("loss") / "root", engine, kestra=request.param)
    done = installation.launcher("start")
    assert done.code == 0, done.text
    assert installation.run_flow() == "SUCCESS"
    yield installation
    engine.wipe()


class Watcher(threading.Thread):
    """Reads the state of Kestra every 0.2 s, as an operator's screen would."""

    def __init__(self, installation: Installation) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, str, str]] = []
        self._installation = installation
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.2):
            began = time.time()
            status = self._installation.status("kestra")
            self.seen.append((began, status["state"], status["message"]))

    def end(self) -> None:
        self._ended.set()
        self.join(30)


def _moment(engine: PrivateEngine, name: str, field: str) -> float:
    text = engine.inspect(name, f"{{{{.State.{field}}}}}")
    return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()


def test_a_restart_of_the_database_is_never_ready_before_kestra_itself_has_restarted(
    kestra: Installation, engine: PrivateEngine
) -> None:
    before = _moment(engine, KESTRA, "StartedAt")
    watcher = Watcher(kestra)
    watcher.start()
    engine.docker("restart", POSTGRES)
    lost = _moment(engine, POSTGRES, "FinishedAt")
    wait_for(lambda: _moment(engine, KESTRA, "StartedAt") > before, 200, "Kestra ends and is started again", every=0.5)
    watcher.end()
    told = kestra.launcher("explain", "kestra", "--json").json()
    assert told["cause_id"] == "database-lost", told
    assert told["exit_code"] == 0, told
    back = _moment(engine, KESTRA, "StartedAt")
    kestra.await_state("kestra", "ready", 90)
    between = [(state, message) for moment, state, message in watcher.seen if lost < moment < back]
    assert len(between) >= 5
    assert not [message for state, message in between if state == "ready"]
    assert kestra.executions() >= 1
    assert kestra.run_flow() == "SUCCESS"


def test_a_stopped_database_is_named_as_the_cause_for_as_long_as_it_is_away(
    kestra: Installation, engine: PrivateEngine
) -> None:
    before = _moment(engine, KESTRA, "StartedAt")
    engine.docker("stop", POSTGRES)

    def named() -> bool:
        status = kestra.status("kestra")
        return status["state"] in ("degraded", "failed") and POSTGRES in status["message"]

    wait_for(named, 5, "the database is named as the cause", every=0.2)
    named_times, again = 0, None
    stopped = time.monotonic()
    # While it still runs, while it ends (three minutes: it need not), and in the lives that the Engine gives it then.
    while time.monotonic() < (stopped + 180 if again is None else again + 30):
        if again is None and _moment(engine, KESTRA, "StartedAt") > before:
            again = time.monotonic()
        status = kestra.status("kestra")
        if status["state"] == "unknown":  # a busy Engine may be silent for longer than a status waits
            assert "does not answer" in status["message"], status
        else:
            assert status["state"] in ("degraded", "failed"), status
            assert POSTGRES in status["message"], status
            named_times += 1
        threading.Event().wait(2)
    assert named_times > 10
    done = kestra.launcher("start", "kestra")
    assert done.code == 0, done.text
    assert kestra.state("kestra") == "ready"
    assert kestra.executions() >= 1
