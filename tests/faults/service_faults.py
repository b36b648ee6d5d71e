"""A service that runs and does not work, crashes, or takes all memory (F23 to F25), on the stand-in."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.faults.campaign import KESTRA, Case, Seen, Story, row


def quick_checks(case: Case) -> None:
    """Health checks every second, so that rows need no minute."""
    case.edit("interval: 10s", "interval: 1s", count=2)
    case.edit('--max-time, "4"', '--max-time, "1"')


def without_health_check(case: Case) -> None:
    """Kestra's service without its health check."""
    path = case.installation.root / "tools/compose/docker-compose.tools.yml"
    head, _, rest = path.read_text().partition("    healthcheck:\n")
    path.write_text(head + "    healthcheck: {disable: true}\n" + rest[rest.index("    logging:") :])


def _mended(case: Case) -> None:
    """Take the stand-in's fault out of the compose file again."""
    path = case.installation.root / "tools/compose/docker-compose.tools.yml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "STANDIN_" not in line))


@row(
    "F23",
    "out of memory",
    "a limit of 64 MB and a service that takes 200",
    state="failed",
    code=1,
    prepared=False,
    slow=True,
)
def out_of_memory(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_MEMORY_MB="200")
    yield case.start(says="out of memory", KESTRA_MEMORY_LIMIT="64m")
    _mended(case)


@row("F23", "kestra out of memory", "a limit of 160 MB for the real Kestra", state="failed", code=1, kestra=True)
def kestra_out_of_memory(case: Case) -> Iterator[Seen]:
    yield case.start(says="out of memory", KESTRA_MEMORY_LIMIT="160m")


@row("F24", "crash loop", "exit 3 at once, with a health check", state="failed", code=1, prepared=False, slow=True)
def crash_loop(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_EXIT="3")
    yield case.start(says="exit code 3")
    assert case.status("kestra-postgres")["state"] == "ready"
    told = case.installation.launcher("explain", "kestra", "--json").json()
    assert told["exit_code"] == 3, told
    assert told["restart_count"] >= 3, told
    assert told["next_command"], told
    _mended(case)


@row(
    "F24",
    "crash loop unchecked",
    "exit 3 at once, without a health check",
    state="failed",
    code=1,
    prepared=False,
    slow=True,
)
def crash_loop_unchecked(case: Case) -> Iterator[Seen]:
    without_health_check(case)
    case.stand_in(STANDIN_EXIT="3")
    yield case.start(says="exit code 3")
    _mended(case)


@row(
    "F24",
    "slow crash loop",
    "exit 3 after 2 s of running, without a health check",
    state="failed",
    slow=True,
    prepared=False,
)
def slow_crash_loop(case: Case) -> Iterator[Seen]:
    without_health_check(case)
    case.stand_in(STANDIN_EXIT="3:2")
    start = case.start()
    # Its API answers for two seconds, so a start may say that it is ready; status has to find out.
    assert start.code in (0, 1)
    case.injected()
    yield case.until("failed", 60, words="crash loop: it ended with exit code 3")
    _mended(case)


@row("F24", "exits 0 at once", "exit 0 at once, restarted for ever", state="failed", code=1, prepared=False, slow=True)
def exits_with_0(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_EXIT="0")
    yield case.start(says="exit code 0")
    _mended(case)


@row("F24", "exits 0 for good", "exit 0 at once, restart: no", state="failed", code=1, prepared=False)
def exits_with_0_for_good(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_EXIT="0")
    case.edit("    restart: unless-stopped", '    restart: "no"')
    yield case.start(says="exit code 0")
    _mended(case)
    case.edit('    restart: "no"', "    restart: unless-stopped")


def _ill(name: str, value: str) -> Story:
    def story(case: Case) -> Iterator[Seen]:
        quick_checks(case)
        case.up()
        case.tell(name, value)
        case.injected()
        seen = case.until("degraded", 40)
        assert case.engine.inspect(KESTRA, "{{.State.Running}}") == "true"
        yield seen
        case.tell(name, "ok" if name == "STANDIN_API" else "up")

    return story


for _name, _value, _what, _slow in (
    ("STANDIN_HEALTH", "down", "health says DOWN", False),
    ("STANDIN_HEALTH", "hang", "health check hangs", True),
    ("STANDIN_API", "hang", "API hangs", False),
    ("STANDIN_API", "500", "API answers 500", False),
    ("STANDIN_API", "garbage", "API answers garbage", False),
):
    row("F25", _what, f"{_name}={_value} while it runs", state="degraded", slow=_slow, prepared=False)(
        _ill(_name, _value)
    )


@row("F25", "becomes ready late", "503 for 4 s after the start", state="ready", prepared=False)
def ready_late(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_READY_AFTER="4")
    case.injected()
    assert case.installation.launcher("start").code == 0
    yield case.read()
    assert case.since > 4


@row("F24", "stop ignored", "the service does not end on SIGTERM", state="stopped", slow=True)
def stop_ignored(case: Case) -> Iterator[Seen]:
    case.edit("stop_grace_period: 6m", "stop_grace_period: 3s")
    case.stand_in(STANDIN_STOP="ignore")
    assert case.installation.launcher("start").code == 0
    case.injected()
    assert case.installation.launcher("stop", "kestra").code == 0
    yield case.read()
    assert case.since < 20
    _mended(case)


@row(
    "F25",
    "end not told",
    "SIGSTOP of containerd's shim, then SIGKILL of the service under it",
    state="stopping",
    code=130,
)
def end_not_told(case: Case) -> Iterator[Seen]:
    pid = int(case.engine.inspect(KESTRA, "{{.State.Pid}}"))
    shim = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    with case.installation.popen("status", "kestra", "--watch", "--json") as watching:
        states = (json.loads(line)["services"][0]["state"] for line in watching.stdout or ())
        assert next(states) == "ready"
        os.kill(shim, signal.SIGSTOP)
        try:
            case.injected()
            os.kill(pid, signal.SIGKILL)
            seen = next(state for state in states if state != "ready")
            seconds = case.since
            assert case.engine.inspect(KESTRA, "{{.State.Status}}") == "running", "the Engine knows it already"
            assert case.status()["state"] != "ready"
        finally:
            os.kill(shim, signal.SIGCONT)
        watching.send_signal(signal.SIGINT)
        yield Seen(seen, watching.wait(10), seconds)
    assert case.until("ready", 60).state == "ready"
