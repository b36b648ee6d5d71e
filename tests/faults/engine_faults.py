"""The Engine goes away, hangs, talks nonsense or is slow (F1 to F6, F43)."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator

from tests.engines import wait_for
from tests.faults.campaign import KESTRA, Case, Seen, row
from tests.faults.proxy import Proxy


def _through(case: Case, **spoilt: object) -> Proxy:
    return Proxy(case.folder / "proxy.sock", case.engine.socket, **spoilt)  # type: ignore[arg-type]


@row("F1", "engine down", "dockerd ended with SIGTERM", state="unknown", code=5)
def engine_down(case: Case) -> Iterator[Seen]:
    case.engine.end()
    case.injected()
    yield case.read()
    assert case.status()["last_known"]["state"] == "ready"
    for command in ("start", "stop"):
        done = case.installation.launcher(command)
        assert done.code == 5, done.text
        assert done.seconds < 5
        assert str(case.engine.socket) in done.err
    case.engine.begin()


@row(
    "F2",
    "engine restarted in mid-start",
    "SIGTERM while the start waits for a health check",
    state="unknown",
    code=5,
    prepared=False,
    slow=True,
)
def engine_restarted(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_READY_AFTER="4")
    with case.starting() as start:
        wait_for(lambda: case.status()["container"] == "running", 60, "the start is under way")
        ids = case.ids()
        case.engine.end()
        case.injected()
        seen = case.read()
        case.engine.begin()
        said = start.communicate(timeout=60)
        assert start.returncode == 0, said
    yield seen
    assert case.ids() == ids, "nothing was made anew"


@row("F3", "engine crashed", "dockerd killed with SIGKILL and begun again", state="stopped", slow=True)
def engine_crashed(case: Case) -> Iterator[Seen]:
    case.engine.crash()
    case.injected()
    assert case.read().state == "unknown"
    case.engine.begin()
    seen = case.until("stopped", 30, words="nobody is on record to have stopped it")
    told = case.installation.launcher("explain", "kestra", "--json").json()
    assert told["cause_id"] == "stopped-elsewhere", told
    assert "the Docker Engine crashed" in told["cause"], told
    yield seen


@row("F3", "engine crashed under kestra", "dockerd killed with SIGKILL and begun again", state="stopped", kestra=True)
def engine_crashed_under_kestra(case: Case) -> Iterator[Seen]:
    yield from engine_crashed(case)


@row("F3", "engine crashed under a watch", "the same, while launcher watch runs", state="ready", slow=True)
def engine_crashed_under_a_watch(case: Case) -> Iterator[Seen]:
    with case.installation.popen("watch") as watch:
        wait_for((case.installation.root / ".launcher/locks/recorder.lock").exists, 10, "it has begun")
        said: list[str] = []
        assert watch.stdout is not None
        threading.Thread(target=said.extend, args=(watch.stdout,), daemon=True).start()
        case.engine.crash()
        case.injected()
        case.engine.begin()
        seen = case.until("ready", 60)
        wait_for(lambda: any("operation.finished - by watch" in line for line in said), 30, "it says what it did")
        watch.terminate()
        watch.wait(10)
    yield seen


@row("F4", "engine frozen", "dockerd stopped with SIGSTOP", state="unknown", code=5)
def engine_frozen(case: Case) -> Iterator[Seen]:
    with case.engine.frozen():
        seen = case.read()
        assert case.status()["last_known"]["state"] == "ready"
        for command in ("start", "stop"):
            done = case.installation.launcher(command)
            assert done.code == 5, done.text
            assert done.seconds < 6
        yield seen


@row(
    "F4",
    "engine frozen in mid-start",
    "SIGSTOP for 8 s while the start waits",
    state="ready",
    prepared=False,
    slow=True,
)
def engine_frozen_in_mid_start(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_READY_AFTER="3")
    with case.starting() as start:
        wait_for(lambda: case.status()["container"] == "running", 60, "the start is under way")
        with case.engine.frozen():
            case.injected()
            assert case.read().state == "unknown"
            wait_for(lambda: case.since > 8, 20, "8 s of silence")
        case.injected()
        assert start.wait(60) == 0
    yield case.read()


@row("F4", "engine slow", "0.3 s before each piece of each answer", state="ready", slow=True)
def engine_slow(case: Case) -> Iterator[Seen]:
    with _through(case, delay=0.3).serving() as proxy:
        case.installation.shell["DOCKER_HOST"] = proxy.address
        yield case.read()
        assert case.installation.launcher("restart", "kestra").code == 0
    del case.installation.shell["DOCKER_HOST"]


@row("F4", "engine too slow", "3 s before each piece of each answer", state="unknown", code=5)
def engine_too_slow(case: Case) -> Iterator[Seen]:
    with _through(case, delay=3.0).serving() as proxy:
        case.installation.shell["DOCKER_HOST"] = proxy.address
        yield case.read()
    del case.installation.shell["DOCKER_HOST"]


@row("F5", "engine answers garbage", "a proxy that answers noise", state="unknown", code=5)
def engine_garbage(case: Case) -> Iterator[Seen]:
    with _through(case, garbage=b"\x00\xff\x1b[2J not HTTP\r\n\r\n{").serving() as proxy:
        case.installation.shell["DOCKER_HOST"] = proxy.address
        yield case.read()
        assert case.installation.launcher("start").code == 5
    del case.installation.shell["DOCKER_HOST"]


@row("F5", "engine cut off", "a proxy that closes after 300 bytes", state="unknown", code=5)
def engine_cut_off(case: Case) -> Iterator[Seen]:
    with _through(case, cut_after=300).serving() as proxy:
        case.installation.shell["DOCKER_HOST"] = proxy.address
        yield case.read()
        assert case.installation.launcher("start").code == 5
    del case.installation.shell["DOCKER_HOST"]


@row("F6", "engine of another API", "a proxy that tells a version that the Engine refuses", state="unknown", code=5)
def engine_of_another_api(case: Case) -> Iterator[Seen]:
    def alter(piece: bytes) -> bytes:
        return re.sub(rb'("ApiVersion":"|Api-Version: )\d\.\d\d', rb"\g<1>9.99", piece)

    with _through(case, alter=alter).serving() as proxy:
        case.installation.shell["DOCKER_HOST"] = proxy.address
        yield case.read()
        assert case.installation.launcher("start").code == 5
    del case.installation.shell["DOCKER_HOST"]


@row(
    "F43",
    "event stream dropped",
    "a proxy that closes all connections while a start waits",
    state="ready",
    slow=True,
    prepared=False,
)
def event_stream_dropped(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_READY_AFTER="3")
    with _through(case).serving() as proxy, case.starting("start", DOCKER_HOST=proxy.address) as start:
        wait_for(lambda: case.status()["container"] == "running", 60, "the start is under way")
        proxy.drop()
        case.injected()
        assert start.wait(60) == 0
    yield case.read()


@row("F32", "launcher interrupted", "SIGINT while the start waits", state="starting", prepared=False)
def interrupted(case: Case) -> Iterator[Seen]:
    case.stand_in(STANDIN_READY_AFTER="3")
    with case.starting() as start:
        wait_for(lambda: case.status()["container"] == "running", 60, "the start is under way")
        start.send_signal(signal.SIGINT)
        case.injected()
        said = start.communicate(timeout=10)[1]
        assert start.returncode == 130
        assert case.since < 2.5
        assert "left as it is: " in said, said
        assert "kestra-orchestrator is starting" in said, said
        assert not case.busy(), "the lock is free"
    yield case.read()
    assert case.engine.inspect(KESTRA, "{{.State.Running}}") == "true"
