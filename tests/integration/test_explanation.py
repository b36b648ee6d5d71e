"""What does not come up is explained on one screen: the cause, what shows it, what depends on it, what to do."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from service_launcher.events import EventLog
from service_launcher.redaction import Redactor

from tests.engines import PrivateEngine, wait_for
from tests.faults.proxy import Proxy
from tests.installations import PASSWORD, Installation


def explained(installation: Installation, service: str) -> dict[str, Any]:
    """What `launcher explain` says of a service."""
    done = installation.launcher("explain", service, "--json")
    assert done.code == 0, done.text
    return dict(done.json())


def test_a_crash_is_explained_where_the_start_failed_and_again_on_demand(installation: Installation) -> None:
    installation.stand_in(STANDIN_EXIT="3", STANDIN_LOG=f"java.lang.IllegalStateException: {PASSWORD} \\e[31mred")
    done = installation.launcher("start")
    assert done.code == 1
    for words in ("exit code: 3", "IllegalStateException", "try: launcher"):
        assert words in done.err, done.err
    assert PASSWORD not in done.text
    told = explained(installation, "kestra")
    assert (told["state"], told["exit_code"]) == ("failed", 3)
    assert told["restart_count"] >= 1
    assert any("IllegalStateException" in line for line in told["log_lines"])
    assert len(told["log_lines"]) <= 20
    assert PASSWORD not in str(told)


def test_how_it_ended_is_known_also_while_it_runs_again(installation: Installation, engine: PrivateEngine) -> None:
    """The inspection of a container that was restarted says exit code 0 and knows of no lack of memory."""
    installation.stand_in(STANDIN_EXIT="3:3", STANDIN_READY_AFTER="600")
    assert installation.launcher("start").code == 1

    def runs_again() -> bool:
        return engine.inspect("tools-kestra", "{{.State.Status}} {{.State.ExitCode}}") == "running 0"

    wait_for(lambda: not runs_again(), 60, "it has ended", every=0.1)
    wait_for(runs_again, 60, "it runs again, for three seconds from now", every=0.1)
    told = explained(installation, "kestra")
    assert runs_again()
    assert told["exit_code"] == 3, told
    assert "crash loop: it ended with exit code 3, restarted" in told["status"]["message"], told


def test_a_crash_loop_is_explained_also_before_its_next_life_has_said_a_word(
    installation: Installation, engine: PrivateEngine
) -> None:
    file = installation.root / "tools/compose/docker-compose.tools.yml"
    life = "sleep 5; echo java.lang.IllegalStateException; exit 3"
    silent_at_first = f'    entrypoint: [sh, -c, "{life}"]\n    init: true\n'
    file.write_text(
        file.read_text().replace("    command: [server, standalone]\n", f"{silent_at_first}    command: []\n", 1)
    )
    assert installation.launcher("start").code == 1

    def runs() -> bool:
        return engine.inspect("tools-kestra", "{{.State.Status}}") == "running"

    wait_for(lambda: not runs(), 60, "it has ended", every=0.05)
    wait_for(runs, 60, "it runs again, and is silent for five seconds from now", every=0.05)
    told = explained(installation, "kestra")
    assert runs()
    assert told["state"] == "failed"
    assert any("IllegalStateException" in line for line in told["log_lines"]), told


def test_lack_of_memory_is_named_with_the_limit(installation: Installation) -> None:
    installation.stand_in(STANDIN_MEMORY_MB="300")
    done = installation.launcher("start", KESTRA_MEMORY_LIMIT="64m")
    assert done.code == 1
    assert "lack of memory" in done.err, done.err
    assert "67 MB" in done.err


def test_a_password_that_the_volume_does_not_have(installation: Installation) -> None:
    assert installation.launcher("start").code == 0
    assert installation.launcher("stop").code == 0
    done = installation.launcher("start", KESTRA_DB_PASSWORD="another1Password2of3")
    assert done.code == 1
    assert "KESTRA_DB_PASSWORD is not the password that the database was first started with" in done.err
    assert "needed by: kestra-orchestrator" in done.err
    told = explained(installation, "kestra-postgres")
    assert told["cause_id"] == "database-password"
    assert any("password authentication failed" in probe["output"] for probe in told["probes"])
    assert told["dependants"] == ["kestra-orchestrator"]


def test_an_image_that_cannot_be_had(installation: Installation) -> None:
    done = installation.launcher("start", "--json", KESTRA_IMAGE="127.0.0.1:9/nobody/there:1")
    told = next(o for o in done.json()["outcomes"] if o["service"] == "kestra-orchestrator")["explanation"]
    assert told["cause_id"] == "image-missing"
    assert "127.0.0.1:9/nobody/there:1" in told["cause"]


def test_who_stopped_a_service_is_told(installation: Installation) -> None:
    assert installation.launcher("start").code == 0
    assert explained(installation, "kestra")["cause"].endswith("the API answers with our credentials")
    assert installation.launcher("stop", "kestra").code == 0
    told = explained(installation, "kestra")
    assert told["cause_id"] == "stopped"
    assert "(cli) at 20" in told["cause"]
    assert told["next_command"] == "launcher start kestra-orchestrator"


def test_a_silent_engine_explains_nothing_and_is_exit_code_5(installation: Installation) -> None:
    done = installation.launcher("explain", "kestra", "--json", DOCKER_HOST="unix:///run/no-such-engine.sock")
    assert done.code == 5, done.text
    told = done.json()
    assert (told["state"], told["cause_id"]) == ("unknown", "engine-silent")
    assert "/run/no-such-engine.sock" in told["cause"]


def test_an_end_that_nobody_recorded_is_told_as_such(installation: Installation, engine: PrivateEngine) -> None:
    assert installation.launcher("start").code == 0
    engine.docker("kill", "tools-kestra")
    told = explained(installation, "kestra")
    assert told["state"] == "stopped"
    assert told["cause_id"] == "stopped-elsewhere", told
    assert "docker was asked by hand, or the Docker Engine crashed" in told["cause"]
    assert told["status"]["message"].endswith("nobody is on record to have stopped it")
    assert installation.launcher("start", "kestra").code == 0
    assert installation.launcher("stop", "kestra").code == 0
    assert "nobody" not in installation.status("kestra")["message"]


def services_in(reading: str, key: str) -> list[Any]:
    """What a line of ``status --watch --json`` tells of each service under a key."""
    return [service[key] for service in json.loads(reading)["services"]]


def test_a_stop_before_the_present_life_explains_nothing(installation: Installation, engine: PrivateEngine) -> None:
    assert installation.launcher("start").code == 0
    assert installation.launcher("stop", "kestra").code == 0
    assert installation.compose("up", "--detach", "--wait").code == 0  # by hand, and nobody watches
    engine.docker("update", "--restart", "no", "tools-kestra")
    os.kill(int(engine.inspect("tools-kestra", "{{.State.Pid}}")), signal.SIGTERM)
    wait_for(lambda: installation.state("kestra") == "stopped", 20, "it has ended")
    assert "stopped by" not in installation.launcher("explain", "kestra").out


def test_what_happens_is_seen_at_once_and_recorded_once(installation: Installation, engine: PrivateEngine) -> None:
    assert installation.launcher("start").code == 0
    with (
        installation.popen("status", "--watch", "--json") as screen,
        installation.popen("events", "--follow", "--json") as events,
    ):
        seen: list[str] = []
        told: list[str] = []
        for process, lines in ((screen, seen), (events, told)):
            assert process.stdout is not None
            threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True).start()
        wait_for(lambda: seen and told, 20, "the first reading, and what was recorded before")
        engine.docker("kill", "tools-kestra")
        wait_for(lambda: any("exited" in services_in(line, "container") for line in seen), 5, "the death on the screen")
        wait_for(lambda: any("container.died" in line for line in told), 5, "the death among the events")
        assert installation.launcher("start").code == 0
        wait_for(lambda: set(services_in(seen[-1], "state")) == {"ready"}, 15, "ready again")
        engine.process.send_signal(signal.SIGSTOP)
        try:
            wait_for(lambda: set(services_in(seen[-1], "state")) == {"unknown"}, 6, "a frozen engine on the screen")
        finally:
            engine.process.send_signal(signal.SIGCONT)
        assert [known["state"] for known in services_in(seen[-1], "last_known")] == ["ready", "ready"]
        wait_for(lambda: set(services_in(seen[-1], "state")) == {"ready"}, 20, "ready again")
    recorded = installation.launcher("events", "kestra", "--json").out.splitlines()
    assert sum("container.died" in line and '"exit_code":137' in line for line in recorded) == 1


def test_flips_of_health_and_lack_of_memory_are_events(installation: Installation, engine: PrivateEngine) -> None:
    installation.edited("interval: 10s", "interval: 1s")
    installation.edited('--max-time, "4"', '--max-time, "1"')
    assert installation.launcher("start").code == 0
    record = EventLog(installation.root / ".launcher/events.jsonl", Redactor([]))

    def told(what: str, **detail: str) -> bool:
        wanted = detail | {"container": "tools-kestra"}
        return any(event.what == what and wanted.items() <= event.detail.items() for event in record.read())

    def health(word: str) -> None:
        engine.docker("exec", "tools-kestra", "sh", "-c", f"echo {word} > /run/standin/STANDIN_HEALTH")

    engine.docker("exec", "tools-kestra", "mkdir", "-p", "/run/standin")
    with installation.popen("events", "--follow") as recorder:
        lock = installation.root / ".launcher/locks/recorder.lock"
        wait_for(lambda: lock.exists() and str(recorder.pid) in lock.read_text(), 20, "it records")
        health("down")
        wait_for(lambda: told("health.changed", health="unhealthy"), 30, "it is ill", every=0.2)
        health("up")
        wait_for(lambda: told("health.changed", health="healthy"), 30, "it is well again", every=0.2)
        engine.docker("update", "--memory", "100m", "--memory-swap", "100m", "tools-kestra")
        engine.docker("exec", "tools-kestra", "python3", "-c", "bytearray(300_000_000)", check=False)
        wait_for(lambda: told("container.oom"), 20, "the kernel took a process", every=0.2)
    of_kestra = [event for event in record.read() if event.detail.get("container") == "tools-kestra"]
    assert {(event.service, event.actor) for event in of_kestra} == {("kestra-orchestrator", "engine")}


def test_a_death_between_two_event_streams_is_recorded_once(
    installation: Installation, engine: PrivateEngine, tmp_path: Path
) -> None:
    assert installation.launcher("start").code == 0
    socket = tmp_path / "proxy.sock"

    def deaths() -> int:
        recorded = installation.launcher("events", "kestra", "--json").out.splitlines()
        return sum("container.died" in line and '"exit_code":137' in line for line in recorded)

    def await_deaths(number: int) -> None:
        wait_for(lambda: deaths() == number, 5, f"{number} deaths are recorded")

    def states() -> list[str]:
        return services_in(seen[-1], "state")

    address = f"unix://{socket}"
    with (
        installation.popen("status", "--watch", "--json", DOCKER_HOST=address) as screen,
        installation.popen("events", "--follow", DOCKER_HOST=address) as recorder,
    ):
        seen: list[str] = []
        for process, lines in ((screen, seen), (recorder, [])):
            assert process.stdout is not None
            threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True).start()
        for expected in (0, 1):
            with Proxy(socket, engine.socket).serving():
                wait_for(lambda: seen and "unknown" not in states(), 20, "the engine is heard")
                await_deaths(expected)
                assert installation.launcher("start").code == 0
                wait_for(lambda: set(states()) == {"ready"}, 15, "it is ready")
            wait_for(lambda: set(states()) == {"unknown"}, 10, "the engine is heard no more")
            engine.docker("kill", "tools-kestra")
        with Proxy(socket, engine.socket).serving():
            wait_for(lambda: "unknown" not in states(), 20, "the engine is heard")
            await_deaths(2)
            wait_for(lambda: "failed" in states() or "stopped" in states(), 15, "and shown")
        screen.terminate()
    assert deaths() == 2


def test_logs_of_several_services_are_merged_and_survive_a_restart(
    installation: Installation, engine: PrivateEngine
) -> None:
    installation.stand_in(STANDIN_LOG="first words")
    assert installation.launcher("start").code == 0
    both = installation.launcher("logs", "kestra", "kestra-postgres", "--tail", "50").out.splitlines()
    assert {line.split(" | ")[0] for line in both} == {"kestra-orchestrator", "kestra-postgres"}
    found = installation.launcher("logs", "kestra", "--grep", "first w.rds").out.splitlines()
    assert found == ["first words"]
    (line,) = installation.launcher("logs", "kestra", "--grep", "first w.rds", "--json").out.splitlines()
    assert json.loads(line).keys() == {"service", "time", "text"}
    assert json.loads(line)["text"] == "first words"
    assert installation.launcher("logs", "kestra", "--since", "2030-01-01T00:00:00").out == ""
    with installation.popen("logs", "--follow", "kestra", "--grep", "first words") as process:
        lines: list[str] = []
        assert process.stdout is not None
        threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True).start()
        wait_for(lambda: len(lines) == 1, 10, "what was there")
        engine.docker("restart", "--time", "1", "tools-kestra")
        wait_for(lambda: len(lines) == 2, 10, "what comes after a restart")
        assert installation.launcher("stop", "kestra").code == 0
        assert installation.launcher("start", "kestra").code == 0
        wait_for(lambda: len(lines) == 3, 10, "what comes after a stop and a start")


@pytest.mark.parametrize("arguments", [["--grep", "("], ["--since", "yesterday"], ["--tail", "-1"]])
def test_a_wrong_selection_of_lines_is_a_usage_error(installation: Installation, arguments: list[str]) -> None:
    assert installation.launcher("logs", "kestra", *arguments).code == 2
