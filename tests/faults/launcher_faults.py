"""Several launchers at once, launchers that are killed, a clock that jumps, a power cut (F30 to F35, F44, F45)."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from service_launcher import envfile
from service_launcher.events import EventLog
from service_launcher.redaction import Redactor

from tests.engines import wait_for
from tests.faults.campaign import KESTRA, Case, Command, Seen, row
from tests.faults.own_engine import small_disk
from tests.faults.place_faults import stand_in_registry
from tests.installations import Done, Installation

SEED = 4
MOMENTS = 20
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"  # the launcher has threads

#: With the monotonic clock left alone, libfaketime 0.9.10 answers each clock_nanosleep with EINVAL, and that is how
#: Python sleeps while it waits for a child. A select that waits for nothing is the same sleep by another call.
SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds)[0] and None\n"


def _at_once(case: Case, *commands: Sequence[str]) -> list[Done]:
    """Run launcher commands side by side, and remember how each ended."""
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        running = [stack.enter_context(case.installation.popen(*command)) for command in commands]
        ended = []
        for process, command in zip(running, commands, strict=True):
            out, err = process.communicate(timeout=300)
            done = Done(process.returncode, out, err, time.monotonic() - began)
            case.installation.commands.append(Command(tuple(command), done))
            ended.append(done)
    return ended


def _one_wins(case: Case, number: int) -> Iterator[Seen]:
    case.injected()
    ended = _at_once(case, *[["start"]] * number)
    codes = sorted(done.code for done in ended)
    assert set(codes) <= {0, 4}, [done.text for done in ended]
    assert codes[0] == 0
    for done in ended:
        assert done.code == 0 or "is held by" in done.err
    seen = case.read()
    yield Seen(seen.state, codes[-1], seen.seconds)


@row("F30", "two starts at once", "two launchers begin together", state="ready", code=4, prepared=False)
def two_starts(case: Case) -> Iterator[Seen]:
    yield from _one_wins(case, 2)


@row("F30", "ten starts at once", "ten launchers begin together", state="ready", code=4, slow=True, prepared=False)
def ten_starts(case: Case) -> Iterator[Seen]:
    yield from _one_wins(case, 10)


@row(
    "F31", "stop during start", "a start waits, stop is asked for", state="starting", code=4, prepared=False, slow=True
)
def stop_during_start(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_READY_AFTER="3")
    with case.starting() as start:
        wait_for(lambda: case.status()["container"] == "running", 60, "the start is under way")
        case.injected()
        done = case.installation.launcher("stop")
        assert f"(pid {start.pid})" in done.err
        assert done.seconds < 1.5
        yield Seen(case.read().state, done.code, done.seconds)
        assert start.wait(60) == 0


@row("F31", "start and stop at once", "both begin together", state="as the winner says", code=4, slow=True)
def start_and_stop(case: Case) -> Iterator[Seen]:
    """Whoever gets the lock decides; nobody says 0 for what is not so."""
    codes = set()
    for _ in range(5):
        case.injected()
        start, stop = _at_once(case, ["start"], ["stop"])
        codes |= {start.code, stop.code}
        assert sorted((start.code, stop.code)) in ([0, 0], [0, 4]), (start.text, stop.text)
        state = case.read().state
        if (start.code, stop.code) == (0, 4):
            assert state == "ready"
        if (start.code, stop.code) == (4, 0):
            assert state == "stopped"
        assert case.installation.launcher("start").code == 0
    yield Seen("as the winner says", max(codes), case.since)


@row(
    "F31",
    "down by hand during start",
    "docker compose down while the start waits",
    state="stopped",
    code=1,
    prepared=False,
    slow=True,
)
def down_by_hand(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_READY_AFTER="600")
    case.edit("stop_grace_period: 6m", "stop_grace_period: 3s")
    with case.starting() as start:
        wait_for(lambda: case.status()["container"] == "running", 60, "the start is under way")
        assert case.installation.compose("down").code == 0
        case.injected()
        code = start.wait(30)
    assert code != 0, "start must not claim what a down by hand has undone"
    yield Seen(case.read().state, code, case.since)
    case.edit('      STANDIN_READY_AFTER: "600"\n', "")


def _killed_at(case: Case, command: str, seconds: float) -> bool:
    """Whether it was still at work then."""
    with case.installation.popen(command) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        hit = process.poll() is None
        process.kill()
    return hit


def _until_ready(case: Case) -> Seen:
    """Start again and again while the killed launcher's child still holds the lock; no docker command by hand."""
    wait_for(lambda: case.installation.launcher("start").code == 0, 120, "a start works again", every=0.2)
    seen = case.read()
    assert seen.state == "ready"
    return seen


@row("F33", "launcher killed", "SIGKILL at 3 moments of start and 3 of stop (seeded)", state="ready", slow=True)
def killed(case: Case, moments: int = 3) -> Iterator[Seen]:
    moment = random.Random(SEED)
    case.stand_in(STANDIN_READY_AFTER="1")
    longest, hits = 0.0, 0
    for command, most in (("stop", 1.0), ("start", 3.0)) * moments:
        if command == "start":
            assert case.installation.launcher("stop").code == 0
        hits += _killed_at(case, command, moment.uniform(0.05, most))
        case.injected()
        seen = _until_ready(case)
        longest = max(longest, seen.seconds)
    assert hits >= moments, f"only {hits} of {2 * moments} were still at work"
    yield Seen(seen.state, seen.code, longest)
    operations = [e for e in case.records() if e["what"].startswith("operation.")]
    begun = [e["operation"] for e in operations if e["what"] == "operation.started"]
    ended = [e["operation"] for e in operations if e["what"] == "operation.finished"]
    assert sorted(begun) == sorted(ended), "two records for each operation, also for those that were killed"
    cut_off = sum("was cut off" in str(event["detail"].get("message")) for event in operations)
    assert cut_off >= moments // 2, f"only {cut_off} of {len(begun)} operations were cut off"


@row(
    "F33",
    "launcher killed at 20 moments",
    "SIGKILL at 20 random moments of start and of stop (seeded)",
    state="ready",
    slow=True,
)
def killed_at_many_moments(case: Case) -> Iterator[Seen]:
    yield from killed(case, MOMENTS)


@row("F33", "launcher killed under kestra", "SIGKILL at 3 moments of start and 3 of stop", state="ready", kestra=True)
def killed_under_kestra(case: Case) -> Iterator[Seen]:
    moment = random.Random(SEED)
    longest = 0.0
    for command, most in (("stop", 4.0), ("start", 12.0)) * 2:
        if command == "start":
            wait_for(lambda: case.installation.launcher("stop").code == 0, 60, "a stop works again", every=0.5)
        _killed_at(case, command, moment.uniform(0.05, most))
        case.injected()
        seen = _until_ready(case)
        longest = max(longest, seen.seconds)
    yield Seen(seen.state, seen.code, longest)


@row(
    "F34",
    "killed in mid-write",
    "SIGKILL at each system call that writes .env",
    state="old or new",
    prepared=False,
    slow=True,
)
def killed_in_mid_write(case: Case) -> Iterator[Seen]:
    env = case.installation.root / ".env"
    old = env.read_bytes()
    program = str(Path(sys.executable).with_name("launcher"))
    points, killed = 0, 0
    for call in ("write", "fsync", "rename", "fchown"):
        for number in {"write": (1, 2, 3, 4), "fsync": (1, 2)}.get(call, (1,)):
            condition = f"inject={call}:signal=KILL:when={number}"
            only = ["-P", str(case.installation.root)] if call == "fsync" and number == 2 else []
            argv = ["strace", "-f", "-o", "/dev/null", "-e", condition, *only, program]
            argv += ["--root", str(case.installation.root), "init", "--default", "ADDED=1"]
            ended = case.installation.run(*argv)
            points += 1
            killed += ended.code != 0
            text = env.read_bytes()
            # Of the two writes of init neither, the first, or both have happened; each wholly.
            assert text == old or (text.startswith(old) and b"\nADDED=1\n" in text), (call, number, text)
            assert envfile.read(env, ".env"), "every line can be read"
            assert env.stat().st_mode & 0o777 == 0o600
            env.write_bytes(old)
    assert killed >= 3, f"only {killed} of {points} injections hit"
    strays = list(case.installation.root.glob(".env.*.new"))
    assert strays, "some were killed between the file's first byte and its name"
    for stray in strays:  # a copy of all passwords, which the next run takes away; this one was long ago
        os.utime(stray, (0, 0))
    done = case.installation.launcher("init", "--default", "ADDED=1")
    assert done.code == 0, done.text
    assert not list(case.installation.root.glob(".env.*.new"))
    yield Seen("old or new", done.code, done.seconds)
    env.write_bytes(old)


@row("F34", "power cut", "the disk's image as it is when init ends, mounted anew", state="old or new", prepared=False)
def power_cut(case: Case) -> Iterator[Seen]:
    with small_disk(case.folder / "disk", 40) as disk:
        subprocess.run(["mount", "-o", "remount,commit=1,noauto_da_alloc", str(disk)], check=True)
        moved = Installation.copied(Path(__file__).resolve().parents[2], disk / "root", case.engine)
        old = (moved.root / ".env").read_bytes()
        os.sync()
        done = moved.launcher("init", "--default", "ADDED=1")
        assert done.code == 0, done.text
        crash = case.folder / "crash.ext4"
        shutil.copy(disk.with_suffix(".ext4"), crash)
    found = case.folder / "found"
    found.mkdir()
    subprocess.run(["mount", "-o", "loop", str(crash), str(found)], check=True)
    try:
        text = (found / "root/.env").read_bytes()
        read = Installation(found / "root", case.engine).launcher("config")
    finally:
        subprocess.run(["umount", str(found)], check=True)
    # init has said that it is written: then a power cut must not take it back.
    assert text.startswith(old)
    assert b"ADDED=1\n" in text
    assert "KESTRA_POSTGRES_IMAGE" in read.out, read.text
    yield Seen("old or new", read.code, read.seconds)


def _clock(case: Case, offset: str) -> dict[str, str]:
    """The environment of a launcher whose clock differs; the file can be changed while it runs."""
    note = case.folder / "clock"
    note.write_text(offset)
    (case.folder / "sitecustomize.py").write_text(SLEEP)
    return {
        "PYTHONPATH": str(case.folder),
        "LD_PRELOAD": FAKETIME,
        "FAKETIME_TIMESTAMP_FILE": str(note),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


@row(
    "F35",
    "clock stepped in mid-start",
    "one hour ahead, two back, while a start waits",
    state="ready",
    prepared=False,
    slow=True,
)
def clock_stepped(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_READY_AFTER="3")
    with case.starting("start", **_clock(case, "+0")) as start:
        wait_for(lambda: case.status()["container"] == "running", 60, "the start is under way")
        case.injected()
        for offset in ("+3600", "-3600", "+0"):
            (case.folder / "clock").write_text(offset)
            wait_for(lambda begun=case.since: case.since > begun + 0.7, 10, "the launcher looks again")
        assert start.wait(60) == 0
    yield case.read()
    finished = [event for event in case.records() if event["what"] == "operation.finished"]
    assert 0 < finished[-1]["detail"]["seconds"] < 60


@row("F35", "clock wrong", "the launcher's clock is one hour behind the Engine's, then ahead", state="unknown")
def clock_wrong(case: Case) -> Iterator[Seen]:
    """Whether evidence is fresh cannot be known then; that is said, and never painted green."""
    behind = case.installation.launcher("status", "kestra", "--json", **_clock(case, "-3600"))
    ahead = case.installation.launcher("status", "kestra", "--json", **_clock(case, "+3600"))
    for done in (behind, ahead):
        status = done.json()["services"][0]
        assert status["state"] == "unknown", status
        assert "evidence" in status["message"], status
    yield Seen(status["state"], behind.code, behind.seconds)


# I3 and I12 are read from the record, and the beginning of this operation went with it.
@row(
    "F44",
    "state folder deleted",
    "rm -rf .launcher while a start waits",
    state="ready",
    prepared=False,
    without="I3 I12",
    slow=True,
)
def state_folder_deleted(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_READY_AFTER="3")
    with case.starting() as start:
        wait_for(lambda: case.status()["container"] == "running", 60, "the start is under way")
        shutil.rmtree(case.installation.root / ".launcher")
        case.injected()
        assert start.wait(60) == 0
    yield case.read()
    assert case.installation.launcher("stop").code == 0


@row("F44", "state folder read-only", ".launcher on a file system that is mounted read-only", state="ready", code=2)
def state_folder_read_only(case: Case) -> Iterator[Seen]:
    state = case.installation.root / ".launcher"
    subprocess.run(["mount", "--bind", str(state), str(state)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(state)], check=True)
    try:
        done = case.installation.launcher("restart", "kestra")
        assert ".launcher" in done.err, done.text
        yield Seen(case.read().state, done.code, done.seconds)
    finally:
        subprocess.run(["umount", str(state)], check=True)


@row("F45", "launcher upgraded", "other labels in the compose file while everything runs", state="ready", slow=True)
def launcher_upgraded(case: Case) -> Iterator[Seen]:
    ids = case.ids()
    case.edit("com.tradingsystem.tier: application", "com.tradingsystem.tier: application-2")
    case.injected()
    seen = case.read()
    plan = case.installation.launcher("plan")
    assert "its configuration has changed" in plan.out
    assert case.ids() == ids, "looking changes nothing"
    yield seen
    assert case.installation.launcher("start").code == 0
    assert case.ids()[KESTRA] != ids[KESTRA]
    assert case.ids()["tools-kestra-postgres"] == ids["tools-kestra-postgres"]


@row("F32", "launcher interrupted in stop", "SIGINT while a service takes its time to end", state="stopped", slow=True)
def interrupted_in_stop(case: Case) -> Iterator[Seen]:
    case.edit("stop_grace_period: 6m", "stop_grace_period: 4s")
    assert case.installation.launcher("start").code == 0
    case.tell("STANDIN_STOP", "ignore")
    with case.starting("stop", "kestra") as stop:
        began = time.time()
        wait_for(lambda: any(e["Action"] == "kill" for e in case.engine.events(began)), 20, "it was asked to end")
        stop.send_signal(signal.SIGINT)
        case.injected()
        said = stop.communicate(timeout=10)[1]
        assert stop.returncode == 130
        assert case.since < 2.5
        assert "what docker does to kestra-orchestrator goes on to its end" in said, said
    record = EventLog(case.installation.root / ".launcher/events.jsonl", Redactor([]))
    assert "kestra-orchestrator" not in record.wanted(), "nobody shall bring it back"
    # What docker was asked to do it finishes, and holds the lock for as long.
    assert case.installation.launcher("start", "kestra").code == 4
    wait_for(lambda: not case.busy(), 20, "the lock is free")
    yield case.read()


@row("F32", "Ctrl-C on a terminal in start", "Ctrl-C while the start waits", state="starting", code=0, prepared=False)
def ctrl_c_in_start(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_READY_AFTER="3")
    with case.on_a_terminal("start") as start:
        wait_for(lambda: case.status()["container"] == "running", 60, "the start is under way")
        start.ctrl_c()
        case.injected()
        assert start.wait(10) == 130, start.shown
        assert case.since < 2.5
        assert "kestra-orchestrator is starting" in start.shown, start.shown
        assert not case.busy(), "the lock is free"
    yield case.read()


@row("F32", "Ctrl-C on a terminal in up", "Ctrl-C while docker makes the container", state="ready", prepared=False)
def ctrl_c_in_up(case: Case) -> Iterator[Seen]:
    """Whatever docker was about to do, the next start brings everything up."""
    assert case.installation.launcher("start", "kestra-postgres").code == 0
    with case.on_a_terminal("start") as start:
        wait_for(lambda: "creating" in start.shown, 60, "docker is asked")
        start.ctrl_c()
        case.injected()
        assert start.wait(10) == 130, start.shown
        assert case.since < 2.5
    wait_for(lambda: not case.busy(), 20, "the lock is free")
    seconds = case.since
    done = case.installation.launcher("start")
    assert done.code == 0, done.text
    yield Seen(case.read().state, 0, seconds)


@row("F32", "Ctrl-C on a terminal in stop", "Ctrl-C while a service takes its time to end", state="stopped", slow=True)
def ctrl_c_in_stop(case: Case) -> Iterator[Seen]:
    """The terminal tells docker as well; what was said of it has to come true all the same."""
    case.edit("stop_grace_period: 6m", "stop_grace_period: 4s")
    assert case.installation.launcher("start").code == 0
    case.tell("STANDIN_STOP", "ignore")
    with case.on_a_terminal("stop", "kestra") as stop:
        began = time.time()
        wait_for(lambda: any(e["Action"] == "kill" for e in case.engine.events(began)), 20, "it was asked to end")
        stop.ctrl_c()
        case.injected()
        assert stop.wait(10) == 130, stop.shown
        assert case.since < 2.5
        said = "what docker does to kestra-orchestrator goes on to its end" in stop.shown
        assert said, stop.shown
    assert case.busy(), "others have to wait until then"
    wait_for(lambda: not case.busy(), 20, "the lock is free")
    yield case.read()


@row("F32", "launcher interrupted in a pull", "SIGINT while a layer is awaited", state="stopped", prepared=False)
def interrupted_in_a_pull(case: Case) -> Iterator[Seen]:
    with (
        stand_in_registry(case, "stalled") as image,
        case.starting("start", KESTRA_IMAGE=image) as start,
    ):
        assert start.stderr is not None
        wait_for(lambda: case.status("kestra-postgres")["state"] == "ready", 60, "the database is up")
        wait_for(lambda: "pulling" in (start.stderr.readline() if start.stderr else ""), 60, "the image is pulled")
        start.send_signal(signal.SIGINT)
        case.injected()
        assert start.wait(10) == 130
        assert case.since < 2.5
        assert not case.busy(), "the lock is free"
    yield case.read()


@row("F32", "launcher terminated", "SIGTERM while the start waits", state="starting", prepared=False)
def terminated(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_READY_AFTER="3")
    with case.starting() as start:
        wait_for(lambda: case.status()["container"] == "running", 60, "the start is under way")
        start.send_signal(signal.SIGTERM)
        case.injected()
        assert start.wait(10) == 143
        assert case.since < 2.5
    yield case.read()
