"""What a start would trip over is found before it, with the culprit named; and the Engine's silence is told quickly."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from service_launcher.events import EventLog
from service_launcher.redaction import Redactor

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine, wait_for
from tests.installations import REAL_KESTRA, STAND_IN, Installation


def _start(installation: Installation, *arguments: str, **exported: str) -> tuple[int, str]:
    done = installation.launcher("start", *(arguments or ("--phase", "tools")), **exported)
    return done.code, done.text


def test_a_port_held_by_a_process_names_it_and_suggests_a_free_one(installation: Installation) -> None:
    with socket.create_server(("127.0.0.1", 8080)):
        code, text = _start(installation)
    assert code == 1, text
    assert "port 8080 (KESTRA_HTTP_PORT) is taken by the process" in text
    assert "(pid " in text
    assert "KESTRA_HTTP_PORT=8180" in text
    assert "kestra-postgres: ready" in text
    assert "kestra-orchestrator: refused" in text


def test_a_port_held_by_a_foreign_container_names_it(installation: Installation, engine: PrivateEngine) -> None:
    engine.docker("run", "-d", "--name", "adminer", "-p", "127.0.0.1:8081:8081", "local/kestra-rehearsal:1")
    code, text = _start(installation)
    assert code == 1, text
    assert "port 8081 (KESTRA_MANAGEMENT_PORT) is taken by the container adminer" in text
    assert engine.inspect("adminer", "{{.State.Running}}") == "true"


def test_a_restart_stops_nothing_when_a_dependant_could_not_be_started_again(
    installation: Installation, engine: PrivateEngine
) -> None:
    assert _start(installation)[0] == 0
    before = [engine.inspect(name, "{{.State.StartedAt}}") for name in ("tools-kestra", "tools-kestra-postgres")]
    with socket.create_server(("127.0.0.1", 9180)):
        done = installation.launcher("restart", "kestra-postgres", KESTRA_HTTP_PORT="9180")
    assert done.code == 3, done.text
    assert "port 9180 (KESTRA_HTTP_PORT) is taken" in done.text
    assert "kestra-postgres: not_tried" in done.text.replace("not tried", "not_tried")
    names = ("tools-kestra", "tools-kestra-postgres")
    assert [engine.inspect(name, "{{.State.StartedAt}}") for name in names] == before


def test_a_restart_stops_nothing_whose_plugin_could_not_start_it_again(
    installation: Installation, engine: PrivateEngine
) -> None:
    assert _start(installation)[0] == 0
    names = ("tools-kestra", "tools-kestra-postgres")
    before = [engine.inspect(name, "{{.State.StartedAt}}") for name in names]
    assert installation.launcher("plugins", "disable", "kestra").code == 0
    for service in ("kestra", "kestra-postgres"):
        done = installation.launcher("restart", service)
        assert done.code == 3, done.text
        assert "kestra is disabled" in done.text
        steps = installation.launcher("plan", "restart", service, "--json").json()["steps"]
        assert {step["do"] for step in steps} == {"refuse"}
    assert [engine.inspect(name, "{{.State.StartedAt}}") for name in names] == before


def test_a_port_range_of_a_foreign_container_is_seen(installation: Installation, engine: PrivateEngine) -> None:
    engine.docker("run", "-d", "--name", "ranged", "-p", "8078-8082:8078-8082", "local/kestra-rehearsal:1")
    _, text = _start(installation)
    assert "port 8080 (KESTRA_HTTP_PORT) is taken by the container ranged" in text


@pytest.mark.parametrize(("name", "taken"), [("docker-proxy", False), ("somebody", True)])
def test_the_engines_proxy_for_a_service_between_two_lives_is_its_own(
    installation: Installation, engine: PrivateEngine, tmp_path: Path, name: str, taken: bool
) -> None:
    """The proxy is there before the Engine's list says so; a process that is called like it stands for it here."""
    installation.stand_in(STANDIN_EXIT="3")
    assert _start(installation)[0] == 1
    # The Engine doubles its pause before each life, from 0.1 s on, so one that has just begun lasts longer than a look.
    lives = int(engine.inspect("tools-kestra", "{{.RestartCount}}"))
    paused = f"{{{{.State.Status}}}} {{{{gt .RestartCount {lives}}}}}"
    wait_for(lambda: engine.inspect("tools-kestra", paused) == "restarting true", 60, "it is between two lives")
    program = tmp_path / name
    program.symlink_to(sys.executable)
    listen = "import socket; s = socket.create_server(('127.0.0.1', 8080)); print(flush=True); s.accept()"
    with subprocess.Popen([program, "-c", listen], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            told = installation.launcher("explain", "kestra", "--json").text
            assert engine.inspect("tools-kestra", "{{.State.Status}}") == "restarting"
        finally:
            process.kill()
    assert ("port 8080 (KESTRA_HTTP_PORT) is taken by the process" in told) is taken


def test_two_ports_of_a_service_must_differ(installation: Installation) -> None:
    code, text = _start(installation, KESTRA_MANAGEMENT_PORT="8080")
    assert code == 1  # the database came up
    assert "KESTRA_HTTP_PORT and KESTRA_MANAGEMENT_PORT must differ: 8080, 8080" in text


def test_a_compose_file_without_the_service_is_refused_with_its_name(installation: Installation) -> None:
    file = installation.root / "tools/compose/docker-compose.tools.yml"
    file.write_text(file.read_text().replace("\n  kestra:\n", "\n  renamed:\n", 1))
    code, text = _start(installation)
    assert code == 1  # the database came up
    assert "tools/compose/docker-compose.tools.yml has no service kestra" in text


def test_kestras_own_port_is_no_conflict(installation: Installation, engine: PrivateEngine) -> None:
    assert _start(installation)[0] == 0
    code, text = _start(installation, "--phase", "tools", KESTRA_JAVA_OPTS="-Xmx512m")
    assert code == 0, text
    assert "kestra-orchestrator: ready" in text


def test_a_missing_network_is_reported_and_made_by_start(installation: Installation, engine: PrivateEngine) -> None:
    code, text = _start(installation)
    assert code == 0, text
    assert "the network tradingsystem_backend is missing; start creates it" in text
    assert "tradingsystem_backend" in engine.docker("network", "ls", "--format", "{{.Name}}").split()


def test_a_storage_that_is_no_folder_is_refused_with_its_variable(installation: Installation, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    code, text = _start(installation, "kestra", KESTRA_STORAGE_DIR=str(tmp_path / "file"))
    assert code == 1
    assert "KESTRA_STORAGE_DIR" in text
    assert "is not a folder" in text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 150 MB of room."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_storage_that_cannot_be_written_is_refused(installation: Installation, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    _, text = _start(installation, "kestra", KESTRA_STORAGE_DIR=str(small_disk / "storage"))
    assert f"{small_disk} (KESTRA_STORAGE_DIR) cannot be written" in text


def test_a_disk_that_is_nearly_full_is_refused_with_what_is_left(engine: PrivateEngine, small_disk: Path) -> None:
    engine.wipe()
    installation = Installation.copied(CHECKOUT, small_disk / "root", engine, kestra=STAND_IN)
    code, text = _start(installation)
    assert code == 3, text
    assert re.search(r"only 1\d\d MB are free for this installation", text)
    assert engine.docker("ps", "-aq") == ""


def test_a_relative_storage_folder_is_refused(installation: Installation) -> None:
    _, text = _start(installation, "kestra", KESTRA_STORAGE_DIR="some/where")
    assert "KESTRA_STORAGE_DIR must be an absolute path" in text


def test_a_missing_local_image_is_a_failure_that_names_it_and_kestra_is_not_replaced(
    installation: Installation, engine: PrivateEngine
) -> None:
    code, text = _start(installation, KESTRA_IMAGE="local/kestra:no-such-version")
    assert code == 1
    assert "local/kestra:no-such-version is not here" in text
    assert engine.docker("ps", "--format", "{{.Names}}") == "tools-kestra-postgres"


@pytest.mark.parametrize(
    ("command", "exported", "code"),
    [
        (("restart", "kestra"), {"KESTRA_IMAGE": "127.0.0.1:9/nobody/there:1"}, 1),
        (("start",), {"KESTRA_POSTGRES_IMAGE": "127.0.0.1:9/nobody/there:17"}, 1),
        (("restart",), {"KESTRA_IMAGE": "local/kestra:none"}, 3),
        (("start",), {"KESTRA_POSTGRES_IMAGE": "local/postgres:17-none"}, 3),
        (("restart",), {"KESTRA_IMAGE": "kestra/kestra:v1.3.25", "KESTRA_PULL_POLICY": "never"}, 3),
        (("start",), {"KESTRA_POSTGRES_IMAGE": "Postgres:17"}, 2),
    ],
)
def test_nothing_is_stopped_for_an_image_that_cannot_be_had(
    installation: Installation, engine: PrivateEngine, command: tuple[str, ...], exported: dict[str, str], code: int
) -> None:
    assert _start(installation)[0] == 0
    names = ("tools-kestra", "tools-kestra-postgres")
    before = [engine.inspect(name, "{{.Id}} {{.State.StartedAt}} {{.State.Status}}") for name in names]
    done = installation.launcher(*command, **exported)
    assert done.code == code, done.text
    assert next(iter(exported.values())) in done.text
    assert [engine.inspect(name, "{{.Id}} {{.State.StartedAt}} {{.State.Status}}") for name in names] == before


def test_an_operation_goes_on_when_nobody_reads_its_progress(installation: Installation) -> None:
    assert _start(installation)[0] == 0
    read, write = os.pipe()
    os.close(read)
    program = str(Path(sys.executable).with_name("launcher"))
    with os.fdopen(write, "w") as nobody:
        done = subprocess.run(
            [program, "--root", str(installation.root), "restart", "kestra"],
            env=installation.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=nobody,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, done.stdout
    assert installation.state("kestra") == "ready"


@pytest.mark.parametrize("stopped", [False, True])
def test_a_container_that_was_being_made_anew_when_all_was_killed(
    installation: Installation, engine: PrivateEngine, stopped: bool
) -> None:
    """Compose has made the new one under another name, and the old one is still there."""
    installation.edited("stop_grace_period: 6m", "stop_grace_period: 20s")
    installation.stand_in(STANDIN_STOP="ignore")
    assert _start(installation)[0] == 0
    old = engine.inspect("tools-kestra", "{{.Id}}")
    with installation.popen("start", KESTRA_JAVA_OPTS="-Dchanged=1") as start:
        wait_for(lambda: len(_containers(engine)) == 3, 30, "there are two of Kestra")
        for pid in _family(start.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        start.wait(10)
    assert len(_containers(engine)) == 3
    if stopped:
        engine.docker("kill", "tools-kestra")
        assert installation.state("kestra") == "stopped"
    else:
        assert installation.status("kestra")["state"] == "ready", "the old one runs on"
        assert installation.launcher("stop", "kestra").code == 0
        assert engine.inspect("tools-kestra", "{{.State.Running}}") == "false"
        assert old == engine.inspect("tools-kestra", "{{.Id}}")
    assert _start(installation)[0] == 0
    assert installation.state("kestra") == "ready"
    assert sorted(_containers(engine)) == ["tools-kestra", "tools-kestra-postgres"]


def _containers(engine: PrivateEngine) -> list[str]:
    return engine.docker("ps", "--all", "--format", "{{.Names}}").splitlines()


def _family(pid: int) -> list[int]:
    """A process and all that have come of it."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


@pytest.mark.parametrize("command", [["status"], ["start"], ["stop"], ["restart"], ["plan"]])
def test_a_silent_engine_ends_every_command_with_5_in_under_5_seconds(
    installation: Installation, command: list[str]
) -> None:
    installation.shell["DOCKER_HOST"] = "unix:///run/no-such-engine.sock"
    done = installation.launcher(*command)
    assert done.code == 5, done.text
    assert done.seconds < 5
    assert "/run/no-such-engine.sock" in done.err
    assert "Try:" in done.err


def test_a_frozen_engine_is_unknown_in_under_5_seconds(installation: Installation, engine: PrivateEngine) -> None:
    engine.signal(signal.SIGSTOP)
    try:
        done = installation.launcher("status", "--json")
        start = installation.launcher("start")
    finally:
        engine.signal(signal.SIGCONT)
    assert done.code == start.code == 5
    assert {s["state"] for s in done.json()["services"]} == {"unknown"}
    assert done.seconds < 5
    assert start.seconds < 5


def test_a_frozen_engine_costs_its_time_once_where_no_service_needs_it(
    installation: Installation, engine: PrivateEngine
) -> None:
    manifest = installation.root / "config/services-manifest.json"
    entry = '{"id": "paper", "type": "tools", "path": ".", "start": "by hand", "title": "Paper", "stack": "desk"},'
    manifest.write_text(manifest.read_text().replace('"services": [', '"services": [' + entry, 1))
    engine.signal(signal.SIGSTOP)
    try:
        done = installation.launcher("status", "--phase", "desk", "--json")
    finally:
        engine.signal(signal.SIGCONT)
    assert [s["state"] for s in done.json()["services"]] == ["unmanaged"]
    assert 2 < done.seconds < 3.5, "the Engine has 2 s to answer, and is not asked twice"


@pytest.mark.kestra
def test_run_sh_refuses_beside_a_kestra_that_compose_runs_and_works_by_hand(copied, engine: PrivateEngine) -> None:
    installation: Installation = copied(kestra=REAL_KESTRA)
    dry = installation.run("tools/kestra/scripts/run.sh", "--dry-run", "--port", "8185", "--management-port", "8186")
    assert dry.code == 0, dry.text
    assert "127.0.0.1:8185:8080" in dry.out
    assert dry.out.rstrip().endswith("server standalone")
    assert engine.docker("ps", "-aq") == ""

    done = installation.run("tools/kestra/scripts/run.sh", "--detach", "--port", "8185", "--management-port", "8186")
    assert done.code == 0, done.text
    status = installation.await_state("kestra", "ready", 120)
    assert status["mode"] == "manual"
    assert status["links"][0]["url"] == "http://localhost:8185"
    assert installation.api("GET", "/api/v1/main/flows/search?size=1", port=8185)[0] == 200
    shown = installation.run("tools/kestra/scripts/status.sh")
    assert "running, ready" in shown.out
    assert "started by hand" in shown.out
    assert "Kestra" in installation.run("tools/kestra/scripts/logs.sh", "--tail", "50").out
    assert installation.launcher("start").code == 0  # counts as up, is left alone
    assert installation.status("kestra")["mode"] == "manual"
    assert installation.run("tools/kestra/scripts/stop.sh").code == 0
    assert installation.state("kestra") == "stopped"

    assert installation.launcher("start").code == 0  # compose takes the name over
    assert installation.status("kestra")["mode"] == "compose"
    refused = installation.run("tools/kestra/scripts/run.sh", "--detach")
    assert refused.code == 3, refused.text
    assert "through compose" in refused.err
    assert installation.run("tools/kestra/scripts/stop.sh").code == 0


def test_a_kestra_by_hand_that_somebody_follows_can_be_stopped_by_others(
    installation: Installation, engine: PrivateEngine
) -> None:
    with installation.popen("kestra", "run", "--port", "8185", "--management-port", "8186") as following:
        assert installation.await_state("kestra", "ready", 60)["mode"] == "manual"
        assert following.poll() is None
        done = installation.run("tools/kestra/scripts/stop.sh")
        out = following.communicate(timeout=30)[0]
    assert done.code == 0, done.text
    assert following.returncode != 0
    assert "REHEARSAL stand-in, not Kestra" in out
    assert engine.docker("ps", "-aq", "--filter", "name=^tools-kestra$") == "", "--rm, as before"
    recorded = [json.loads(line) for line in installation.launcher("events", "kestra", "--json").out.splitlines()]
    by_hand = [event for event in recorded if event["detail"].get("services") == ["kestra-orchestrator"]]
    assert [event["what"] for event in by_hand[:1]] == ["operation.started"]


def test_a_kestra_by_hand_that_ends_with_ctrl_c_is_not_brought_back(
    installation: Installation, engine: PrivateEngine
) -> None:
    record = EventLog(installation.root / ".launcher/events.jsonl", Redactor([]))
    with (
        installation.popen("events", "--follow"),
        installation.popen("kestra", "run", "--port", "8185", "--management-port", "8186") as following,
    ):
        wait_for(lambda: "kestra-orchestrator" in record.wanted(), 60, "it is up, and that is recorded", every=0.2)
        for pid in _family(following.pid):  # as a terminal does
            os.kill(pid, signal.SIGINT)
        following.communicate(timeout=60)
        wait_for(lambda: engine.docker("ps", "-aq", "--filter", "name=^tools-kestra$") == "", 20, "it has ended")
        assert "kestra-orchestrator" not in record.wanted()
        assert "kestra-postgres" in record.wanted()


def test_by_hand_refuses_the_hardened_profile_that_it_would_not_keep(installation: Installation) -> None:
    done = installation.launcher("kestra", "run", "--dry-run", KESTRA_PRIVILEGES="hardened")
    assert done.code == 3, done.text
    assert "KESTRA_PRIVILEGES=hardened is kept by compose alone" in done.err
