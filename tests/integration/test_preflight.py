"""What a start would trip over is found before it, with the culprit named; and the Engine's silence is told quickly."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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
