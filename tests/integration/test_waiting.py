"""How start waits: for the truth, shown while it comes, with one writer, and cleanly interrupted; on the stand-in."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engines import PrivateEngine, wait_for
from tests.installations import Installation
from tests.registry import Registry


def test_ready_is_said_within_a_moment_of_being_so(installation: Installation, engine: PrivateEngine) -> None:
    assert installation.launcher("start", "kestra-postgres").code == 0
    began = time.time()
    installation.stand_in(STANDIN_READY_AFTER="4")
    done = installation.launcher("start", "kestra", "--json")
    ended = time.time()
    assert done.code == 0, done.text
    healthy = [float(str(e["timeNano"])) / 1e9 for e in engine.events(began) if e["Action"] == "health_status: healthy"]
    assert ended - healthy[-1] < 0.6, "from the engine's word to the end of the process"


@pytest.mark.parametrize(
    ("behaviour", "words", "next_command"),
    [
        ({"STANDIN_EXIT": "3"}, "exit code 3", "launcher logs kestra-orchestrator"),
        (
            {"STANDIN_API": "401", "STANDIN_AUTH_INITIALIZED": "false", "STANDIN_AUTH_ERRORS": "Invalid password"},
            "Invalid password",
            "set KESTRA_BASICAUTH_USERNAME and KESTRA_BASICAUTH_PASSWORD to values that Kestra accepts",
        ),
        (
            {"STANDIN_API": "401"},
            "refuses the credentials",
            "if KESTRA_BASICAUTH_PASSWORD has just been changed: launcher restart kestra",
        ),
    ],
    ids=["crash loop", "no login", "other credentials"],
)
def test_what_cannot_come_up_is_failed_with_its_reason(
    installation: Installation, behaviour: dict[str, str], words: str, next_command: str
) -> None:
    installation.stand_in(**behaviour)
    done = installation.launcher("start")
    assert done.code == 1, done.text
    assert "kestra-orchestrator: failed" in done.text
    assert words in done.text
    assert f"try: {next_command}" in done.text
    assert installation.state("kestra-postgres") == "ready"


@pytest.mark.parametrize(
    "behaviour",
    [
        {"STANDIN_API": "hang"},
        {"STANDIN_API": "500"},
        {"STANDIN_API": "garbage"},
        {"STANDIN_HEALTH": "hang"},
        {"STANDIN_HEALTH": "down"},
    ],
)
def test_a_running_container_whose_application_is_ill_is_never_ready(
    installation: Installation, behaviour: dict[str, str]
) -> None:
    file = installation.root / "tools/compose/docker-compose.tools.yml"
    quick = file.read_text().replace("interval: 10s", "interval: 1s").replace('--max-time, "4"', '--max-time, "1"')
    file.write_text(quick)
    assert installation.launcher("start").code == 0
    name, value = next(iter(behaviour.items()))
    installation.engine.docker(
        "exec", "tools-kestra", "sh", "-c", f"mkdir -p /run/standin && printf %s {value} > /run/standin/{name}"
    )
    status = installation.await_state("kestra", "degraded", 60)
    assert status["container"] == "running"
    assert status["state"] != "ready"
    done = installation.launcher("status", "kestra", "--json")
    assert done.seconds < 4


def test_a_second_writer_is_told_at_once_who_holds_the_project(installation: Installation) -> None:
    installation.stand_in(STANDIN_READY_AFTER="600")
    with installation.popen("start") as first:
        wait_for(lambda: installation.status("kestra")["container"] == "running", 60, "the first start is under way")
        for command in (["start"], ["stop"], ["restart", "kestra"]):
            second = installation.launcher(*command)
            assert second.code == 4, second.text
            assert second.seconds < 1.5
            assert f"(pid {first.pid})" in second.err
            assert "start kestra-postgres kestra-orchestrator" in second.err
        assert installation.launcher("status").code == 0
        first.send_signal(signal.SIGINT)
        assert first.wait(10) == 130
    assert installation.launcher("stop").code == 0


def test_a_killed_launcher_leaves_nothing_that_the_next_start_cannot_mend(installation: Installation) -> None:
    for seconds in (0.3, 0.8, 1.5, 2.5):
        with installation.popen("start") as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            process.kill()
    wait_for(
        lambda: installation.launcher("start").code == 0, 60, "a start without any docker command by hand", every=0.5
    )
    assert installation.state("kestra") == "ready"


def test_a_terminal_sees_each_phase_and_the_bytes_of_a_pull(
    installation: Installation, engine: PrivateEngine, tmp_path: Path
) -> None:
    with Registry.serving(engine, "local/kestra-rehearsal:1", tmp_path, bytes_per_second=40_000_000) as registry:
        engine.docker("image", "rm", "local/kestra-rehearsal:1")  # else its layers need no download
        screen = _on_a_terminal(installation, "start", KESTRA_IMAGE=registry.image)
        engine.docker("tag", registry.image, "local/kestra-rehearsal:1")
    assert "checking" in screen
    assert re.search(r"pulling \d+ of \d+ MB", screen), screen[-2000:]
    assert "waiting for its health check" in screen
    assert re.search(r"0:00:0\d", screen), "elapsed time"
    assert "kestra-orchestrator: ready" in screen


def test_without_a_terminal_each_phase_is_one_plain_line(installation: Installation) -> None:
    done = installation.launcher("start")
    assert "\x1b" not in done.text
    assert done.err.count("kestra-orchestrator: waiting for its health check") == 1


def test_a_stalled_or_missing_image_names_the_image(installation: Installation) -> None:
    done = installation.launcher("start", KESTRA_IMAGE="127.0.0.1:9/nobody/there:1")
    assert done.code == 1
    assert "pulling 127.0.0.1:9/nobody/there:1 failed" in done.text


def test_waiting_uses_hardly_any_of_the_machine(installation: Installation) -> None:
    installation.stand_in(STANDIN_READY_AFTER="600")
    with installation.popen("start") as process:
        wait_for(lambda: installation.status("kestra")["container"] == "running", 60, "the start waits")
        before = _cpu_seconds(process.pid)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(10)
        assert _cpu_seconds(process.pid) - before < 0.5
        assert _resident_megabytes(process.pid) < 120
        process.terminate()
        assert process.wait(10) == 143


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _on_a_terminal(installation: Installation, *arguments: str, **exported: str) -> str:
    """Run the launcher on a pseudo-terminal and return everything that its screen was sent."""
    program = str(Path(sys.executable).with_name("launcher"))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(installation.root)
        environment = {**installation.environment, **exported, "TERM": "xterm", "COLUMNS": "120"}
        os.execve(program, [program, "--root", str(installation.root), *arguments], environment)
    sent = b""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 1.0)[0]:
            try:
                chunk = os.read(terminal, 65536)
            except OSError:
                break
            if not chunk:
                break
            sent += chunk
    os.waitpid(pid, 0)
    os.close(terminal)
    return sent.decode("utf-8", "replace")
