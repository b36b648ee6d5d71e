"""`launcher watch`: what a crash of the engine left down is brought back, what an operator stopped is not."""

from __future__ import annotations

import json
import threading

from tests.engines import PrivateEngine, wait_for
from tests.faults.own_engine import OwnEngine
from tests.installations import Installation


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
