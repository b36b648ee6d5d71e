"""Kestra's life on the real parts, in both of its lines: started, used, stopped, started again, by hand as well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.installations import NEXT_KESTRA, REAL_KESTRA, Installation

pytestmark = pytest.mark.kestra

KESTRA, POSTGRES = "tools-kestra", "tools-kestra-postgres"


@pytest.fixture(scope="module", params=[REAL_KESTRA, NEXT_KESTRA], ids=["1.3.25", "2.0.0-SNAPSHOT"])
def kestra(
    request: pytest.FixtureRequest, engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation on an empty volume; the tests of this module use it in their order."""
    engine.wipe()
    engine.docker("volume", "rm", "--force", "tools-kestra-cds")
    installation = Installation.copied(CHECKOUT, tmp_path_factory.mktemp("kestra") / "root", engine)
    installation.write_env(request.param, KESTRA_JAVA_OPTS=None)  # as operators run it
    yield installation
    engine.wipe()


def _ids(engine: PrivateEngine) -> list[str]:
    return [engine.inspect(name, "{{.Id}} {{.State.StartedAt}}") for name in (KESTRA, POSTGRES)]


def test_the_first_start_on_an_empty_volume_ends_ready_with_the_address_shown(kestra: Installation) -> None:
    assert kestra.launcher("init").code == 0
    done = kestra.run("scripts/docker/start-stacks.sh", "--phase", "tools")
    assert done.code == 0, done.text
    assert "✓ Tools Stack started" in done.out
    assert "  Tools:\n    Kestra Orchestrator: http://localhost:8080" in done.out
    assert kestra.api("GET", "/api/v1/main/flows/search?size=1")[0] == 200
    status = kestra.status("kestra")
    assert (status["state"], status["container"]) == ("ready", "running")
    assert {e["layer"]: e["verdict"] for e in status["evidence"]} == {
        "container": "ok",
        "health": "ok",
        "application": "ok",
    }
    assert "make-dist" in status["origin"]


def test_a_second_start_changes_nothing_and_says_so(kestra: Installation, engine: PrivateEngine) -> None:
    before = _ids(engine)
    done = kestra.run("scripts/docker/start-stacks.sh", "--phase", "tools")
    assert done.code == 0, done.text
    assert done.out.count("already ready") == 2
    assert _ids(engine) == before


def test_a_flow_runs_to_success(kestra: Installation) -> None:
    assert kestra.run_flow() == "SUCCESS"


def test_a_flow_and_its_executions_are_there_after_stop_and_start(kestra: Installation, engine: PrivateEngine) -> None:
    ran = kestra.executions()
    stopped = kestra.run("scripts/docker/stop-stacks.sh", "--phase", "tools")
    assert stopped.code == 0, stopped.text
    assert stopped.out.index("kestra-orchestrator: stopped") < stopped.out.index("kestra-postgres: stopped")
    assert engine.inspect(KESTRA, "{{.State.Status}}") == "exited"
    assert engine.inspect(POSTGRES, "{{.State.Status}} {{.State.ExitCode}}") == "exited 0"
    assert kestra.run("scripts/docker/start-stacks.sh", "--phase", "tools").code == 0
    assert kestra.executions() == ran >= 1
    assert kestra.run_flow() == "SUCCESS"


def test_plain_compose_brings_the_same_up_by_hand_and_waits_for_the_database(
    kestra: Installation, engine: PrivateEngine
) -> None:
    ran = kestra.executions()
    assert kestra.compose("down").code == 0
    done = kestra.compose("up", "-d", "kestra")
    assert done.code == 0, done.text
    assert f"Container {POSTGRES}  Healthy" in done.err
    kestra.await_state("kestra", "ready", 120)
    assert kestra.executions() == ran
    before = _ids(engine)
    plan = kestra.launcher("plan", "start", "--json").json()
    assert {step["do"] for step in plan["steps"]} == {"keep"}, plan
    assert kestra.launcher("start", "--phase", "tools").code == 0
    assert _ids(engine) == before


def test_the_management_port_takes_no_stop_from_strangers(kestra: Installation) -> None:
    assert kestra.api("POST", "/stop", b"", port=8081, credentials=None)[0] == 404
    assert kestra.api("GET", "/env", port=8081, credentials=None)[0] == 404
    assert kestra.api("GET", "/health", port=8081, credentials=None)[0] == 200


def test_restarting_the_database_takes_kestra_with_it_in_order(kestra: Installation, engine: PrivateEngine) -> None:
    done = kestra.launcher("restart", "kestra-postgres", "--json")
    assert done.code == 0, done.text
    assert {o["service"]: o["result"] for o in done.json()["outcomes"]} == {
        "kestra-postgres": "ready",
        "kestra-orchestrator": "ready",
    }
    started = {name: engine.inspect(name, "{{.State.StartedAt}}") for name in (KESTRA, POSTGRES)}
    finished = {name: engine.inspect(name, "{{.State.FinishedAt}}") for name in (KESTRA, POSTGRES)}
    assert finished[KESTRA] < finished[POSTGRES] < started[POSTGRES] < started[KESTRA]


def test_stopping_the_database_stops_kestra_first(kestra: Installation, engine: PrivateEngine) -> None:
    done = kestra.launcher("stop", "kestra-postgres", "--json")
    assert done.code == 0, done.text
    assert [o["service"] for o in done.json()["outcomes"]] == ["kestra-orchestrator", "kestra-postgres"]
    assert [engine.inspect(name, "{{.State.Status}}") for name in (KESTRA, POSTGRES)] == ["exited", "exited"]
    again = kestra.launcher("stop", "--json").json()
    assert {o["result"] for o in again["outcomes"]} == {"already_stopped"}
