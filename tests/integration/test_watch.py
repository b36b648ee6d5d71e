"""`launcher watch`: what a crash of the engine left down is brought back, what an operator stopped is not."""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
from datetime import UTC, datetime

from service_launcher.events import EventLog
from service_launcher.redaction import Redactor

from tests.engines import PrivateEngine, wait_for
from tests.faults.own_engine import OwnEngine
from tests.installations import STAND_IN, Installation


def restarted_after_a_crash(engine: PrivateEngine) -> None:
    """Kill the engine as a crash does, and begin it again on its data."""
    OwnEngine.crash(engine)  # type: ignore[arg-type]
    again = OwnEngine(engine.folder, engine.run, engine.process)
    again.begin()
    engine.process = again.process


def test_what_a_crash_left_down_is_brought_back_and_what_was_stopped_is_not(
    installation: Installation, engine: PrivateEngine
) -> None:
    assert installation.launcher("start").code == 0
    with installation.popen("watch") as watch:
        lines: list[str] = []
        assert watch.stdout is not None
        threading.Thread(target=lines.extend, args=(watch.stdout,), daemon=True).start()
        wait_for(lambda: (installation.root / ".launcher/locks/recorder.lock").exists(), 10, "it has begun")
        second = installation.launcher("watch")
        assert second.code == 4, second.text
        engine.docker("stop", "--time", "1", "tools-kestra")
        wait_for(lambda: any("requested=True" in line for line in lines), 10, "the stop by hand is recorded")

        restarted_after_a_crash(engine)
        assert engine.inspect("tools-kestra-postgres", "{{.State.Status}}") == "exited", "nobody else brings it back"
        wait_for(lambda: installation.state("kestra-postgres") == "ready", 60, "it is brought back", every=0.5)
        wait_for(lambda: any("operation.finished - by watch" in line for line in lines), 10, "and this is said")
        assert engine.inspect("tools-kestra", "{{.State.Status}}") == "exited"
        watch.terminate()
        assert watch.wait(10) == 143
    recorded = [json.loads(line) for line in (installation.root / ".launcher/events.jsonl").read_text().splitlines()]
    brought = [event for event in recorded if event["what"] == "operation.started" and event["actor"] == "watch"]
    assert [event["detail"]["services"] for event in brought] == [["kestra-postgres"]]


def test_what_a_crash_left_down_is_brought_back_by_a_watch_that_begins_after_it(
    installation: Installation, engine: PrivateEngine
) -> None:
    """As after a reboot: nothing has recorded how it ended, only that it was wanted."""
    assert installation.launcher("start").code == 0
    restarted_after_a_crash(engine)
    assert installation.state("kestra") == "stopped"
    with installation.popen("watch"):
        wait_for(lambda: installation.state("kestra") == "ready", 60, "it is brought back", every=0.5)
    recorded = installation.launcher("events", "--json").out.splitlines()
    brought = [event for event in map(json.loads, recorded) if event["what"] == "operation.started"]
    assert brought[-1]["actor"] == "watch"
    assert brought[-1]["detail"]["services"] == ["kestra-postgres", "kestra-orchestrator"]


def test_what_is_brought_back_is_made_of_the_files_as_they_are_now(
    installation: Installation, engine: PrivateEngine
) -> None:
    assert installation.launcher("start").code == 0
    with installation.popen("watch") as watch:
        assert watch.stdout is not None
        wait_for(lambda: (installation.root / ".launcher/locks/recorder.lock").exists(), 10, "it has begun")
        installation.write_env(STAND_IN, KESTRA_JAVA_OPTS="-Drotated=yes")
        restarted_after_a_crash(engine)
        threading.Thread(target=watch.stdout.read, daemon=True).start()
        wait_for(lambda: installation.state("kestra") == "ready", 90, "it is brought back", every=0.5)
        watch.terminate()
    assert "-Drotated=yes" in engine.inspect("tools-kestra", "{{.Config.Env}}")
    assert installation.launcher("plan", "start", "--json").json()["steps"][0]["do"] == "keep"


def test_what_goes_on_uses_the_files_as_they_are_now_and_says_where_they_are_wrong(installation: Installation) -> None:
    assert installation.launcher("start").code == 0
    local = installation.root / ".env.local"
    with installation.popen("status", "kestra", "--watch", "--json") as watch:
        lines: queue.Queue[str] = queue.Queue()
        said: list[str] = []
        assert watch.stdout is not None
        assert watch.stderr is not None
        threading.Thread(
            target=lambda out: [lines.put(line) for line in out], args=(watch.stdout,), daemon=True
        ).start()
        threading.Thread(target=said.extend, args=(watch.stderr,), daemon=True).start()

        def told() -> str:
            status = json.loads(lines.get(timeout=15))["services"][0]
            return f"{status['state']}: {status['message']}"

        assert told().startswith("ready: ")
        local.write_text("KESTRA_BASICAUTH_PASSWORD=Another1Password\n")
        assert "refuses the credentials" in told()
        local.write_text('KESTRA_BASICAUTH_PASSWORD="Another1Password\n')
        wait_for(lambda: said, 15, "the file that cannot be read is named")
        assert ".env.local" in said[0]
        assert "the values before stay in use" in said[0]
        assert "Another1" not in said[0]
        local.unlink()
        assert told().startswith("ready: ")
    assert len([line for line in said if "stay in use" in line]) == 1


def test_what_has_ended_is_not_started_with_what_it_needs(installation: Installation, engine: PrivateEngine) -> None:
    assert installation.launcher("start").code == 0
    engine.docker("update", "--restart", "no", "tools-kestra")
    engine.docker("exec", "tools-kestra", "sh", "-c", "mkdir -p /run/standin && printf 1 > /run/standin/STANDIN_EXIT")
    wait_for(lambda: installation.state("kestra") == "failed", 20, "it has ended badly")
    engine.docker("stop", "--time", "1", "tools-kestra-postgres")
    steps = installation.launcher("plan", "start", "kestra-postgres", "--json").json()["steps"]
    assert [(step["do"], step["service"]) for step in steps] == [("start", "kestra-postgres")]


def test_a_stop_of_what_is_down_already_is_a_wish_like_any_other(
    installation: Installation, engine: PrivateEngine
) -> None:
    assert installation.launcher("start").code == 0
    record = EventLog(installation.root / ".launcher/events.jsonl", Redactor([]))
    assert record.wanted() == {"kestra-postgres", "kestra-orchestrator"}
    restarted_after_a_crash(engine)
    done = installation.launcher("stop", "--json")
    assert {o["result"] for o in done.json()["outcomes"]} == {"already_stopped"}
    assert record.wanted() == set()


def test_a_restart_that_fails_leaves_the_wish_to_have_it_up(installation: Installation, engine: PrivateEngine) -> None:
    assert installation.launcher("start").code == 0
    record = EventLog(installation.root / ".launcher/events.jsonl", Redactor([]))
    file = installation.root / "tools/compose/docker-compose.tools.yml"
    file.write_text(file.read_text().replace("\n  kestra:\n", "\n  kestra:\n    entrypoint: [nothing-such]\n", 1))
    assert installation.launcher("restart", "kestra-postgres").code == 1
    assert engine.inspect("tools-kestra", "{{.State.Running}}") == "false"
    assert "kestra-orchestrator" in record.wanted()


def test_what_happens_while_something_is_brought_back_is_recorded_at_once(
    installation: Installation, engine: PrivateEngine
) -> None:
    assert installation.launcher("start").code == 0
    record = EventLog(installation.root / ".launcher/events.jsonl", Redactor([]))
    with installation.popen("watch") as watch:
        assert watch.stdout is not None
        threading.Thread(target=watch.stdout.read, daemon=True).start()
        wait_for(lambda: (installation.root / ".launcher/locks/recorder.lock").exists(), 10, "it has begun")
        installation.stand_in(STANDIN_READY_AFTER="60")
        engine.docker("update", "--restart", "no", "tools-kestra")
        os.kill(int(engine.inspect("tools-kestra", "{{.State.Pid}}")), signal.SIGKILL)
        wait_for(
            lambda: any(e.what == "operation.started" and e.actor == "watch" for e in record.read()), 40, "it begins"
        )
        wait_for(lambda: engine.inspect("tools-kestra", "{{.State.Running}}") == "true", 30, "and waits")
        began = datetime.now(UTC)
        os.kill(int(engine.inspect("tools-kestra-postgres", "{{.State.Pid}}")), signal.SIGKILL)

        def recorded() -> bool:
            deaths = [e for e in record.read() if e.what == "container.died" and e.time > began]
            return any(e.service == "kestra-postgres" for e in deaths)

        wait_for(recorded, 3, "the death is on record")
        assert not any(e.what == "operation.finished" and e.actor == "watch" for e in record.read())
        watch.terminate()
