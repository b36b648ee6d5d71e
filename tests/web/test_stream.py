"""Server-sent events: a snapshot, then what changes; nothing is missed, and nobody's slowness is paid for by others."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time

from tests.engines import PrivateEngine, wait_for
from tests.installations import Installation
from tests.web.served import LAUNCHER, Served


def _tells(state: str, service: str = "kestra-orchestrator") -> object:
    def told(message: dict) -> bool:
        return message["event"] == "change" and any(
            s["id"] == service and s["state"] == state for s in message["data"].get("services", ())
        )

    return told


def test_a_death_is_told_at_once_and_nothing_is_missed_over_a_reconnect(running: Served, engine: PrivateEngine) -> None:
    with running.stream() as first:
        snapshot = first.snapshot()
        assert {s["id"] for s in snapshot["data"]["services"]} == {"kestra-orchestrator", "kestra-postgres"}
        assert snapshot["data"]["engine"]["answers"] is True
        assert snapshot["data"]["resync"] is False
        wait_for(lambda: running.state() == "ready", 20, "it is ready")
    last = next(m["id"] for m in reversed(first.messages) if "id" in m)

    # While nobody listens: a death, seen by the server for the seconds in which a client may come back.
    engine.docker("kill", "tools-kestra")
    wait_for(lambda: running.state() != "ready", 10, "the server has seen it")
    with running.stream(last=last) as second:
        died = second.wait(lambda m: m["event"] == "event" and m["data"]["what"] == "container.died")
        assert died["data"]["detail"]["exit_code"] == 137
        assert all(m["event"] != "snapshot" for m in second.messages), "what was missed is told, not everything anew"
        numbers = [int(m["id"].partition("-")[2]) for m in second.messages if "id" in m]
        assert numbers == sorted(set(numbers))
        assert numbers[0] == int(last.partition("-")[2]) + 1

    with running.stream(last="deadbeef-1") as third:
        assert third.snapshot()["data"]["resync"] is True
    with running.stream(last="nonsense") as fourth:
        assert fourth.snapshot()["data"]["resync"] is True


def test_a_frozen_engine_makes_everything_unknown_and_is_named(running: Served, engine: PrivateEngine) -> None:
    with running.stream() as stream:
        stream.snapshot()
        wait_for(lambda: running.state() == "ready", 20, "it is ready")
        engine.signal(signal.SIGSTOP)
        try:
            told = stream.wait(_tells("unknown"), 6)
            assert told["data"]["engine"]["answers"] is False
            assert told["data"]["services"][0]["current"]["last_known"]["state"] == "ready"
            answer = running.call("POST", "/api/services/kestra/stop", "operator", {})
            assert (answer.status, answer.json()["category"]) == (503, "docker-down")
            assert running.call("GET", "/api/status").json()["overallStatus"] == "down"
        finally:
            engine.signal(signal.SIGCONT)
        stream.wait(_tells("ready"), 20)


def test_operations_of_this_server_and_events_of_any_process_are_told(stopped: Served) -> None:
    with stopped.stream() as stream:
        stream.snapshot()
        operation = stopped.begin("start", "kestra-postgres")

        def step(message: dict) -> bool:
            told = message["data"].get("operations", ()) if message["event"] == "change" else ()
            return any(o["id"] == operation["id"] and o["state"] == "succeeded" for o in told)

        stream.wait(step, 60)
        phases = {
            p["phase"] for m in stream.messages if m["event"] == "change"
            for o in m["data"].get("operations", ()) for p in o["progress"]
        }  # fmt: skip
        assert {"checking", "starting", "ready"} <= phases
        assert stopped.installation.launcher("stop").code == 0
        stream.wait(
            lambda m: (
                m["event"] == "event" and m["data"]["what"] == "operation.finished" and "(cli)" in m["data"]["actor"]
            )
        )


def test_use_is_measured_only_while_somebody_looks(running: Served) -> None:
    with running.stream() as stream:
        told = stream.wait(lambda m: "usage" in m["data"], 20)
        assert {u["service"] for u in told["data"]["usage"]} <= {"kestra-orchestrator", "kestra-postgres"}
        assert all(u["memory_bytes"] > 0 for u in told["data"]["usage"])
        assert "id" not in told, "what is measured all the time is not told again"
    closed = time.monotonic()
    wait_for(lambda: time.monotonic() - closed > 5, 10, "the server has noticed", every=0.5)
    with running.stream() as again:
        # Begun anew, so the short first stretch; else the next one would be told 15 s after the last.
        again.wait(lambda m: "usage" in m["data"], 7)


def test_a_reader_that_does_not_read_is_cut_off_and_others_go_on(running: Served) -> None:
    head = (
        f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:3500\r\nAuthorization: Bearer {running.token('viewer')}\r\n\r\n"
    )
    with contextlib.ExitStack() as open_:
        slow = []
        for _ in range(10):
            connection = open_.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", running.port))
            connection.sendall(head.encode())
            slow.append(connection)
        stream = open_.enter_context(running.stream())
        stream.snapshot()
        before = running.memory
        stop = threading.Event()

        def press() -> None:
            while not stop.is_set():  # every refusal and every cancelled operation is told to all who listen
                running.call("POST", "/api/services/kestra/start", "operator", {})

        for _ in range(4):
            pressing = threading.Thread(target=press)
            pressing.start()
            open_.callback(pressing.join)
        open_.callback(stop.set)
        import psutil

        def still_open() -> int:
            found = psutil.Process(running.process.pid).net_connections("tcp")
            ports = {c.getsockname()[1] for c in slow}
            return sum(c.raddr != () and c.raddr.port in ports and c.status == "ESTABLISHED" for c in found)

        wait_for(lambda: still_open() == 0, 90, "the slow readers are cut off", every=0.5)
        stop.set()
        assert running.memory - before < 40_000_000
        seen = len(stream.messages)
        wait_for(lambda: len(stream.messages) > seen, 10, "the quick reader still hears")


def test_answers_on_one_connection_follow_each_other_at_once(served: Served) -> None:
    """With Nagle's delay left on, each of them would wait 40 ms for the client to acknowledge its head."""
    served.call("GET", "/api/status")
    taken = []
    for _ in range(20):
        began = time.perf_counter()
        assert served.call("GET", "/api/status").status == 200
        taken.append(time.perf_counter() - began)
    assert sorted(taken)[10] < 0.03, taken


def test_more_streams_than_there_may_be_are_refused_and_come_back_later(served: Served) -> None:
    head = f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:3500\r\nAuthorization: Bearer {served.token('viewer')}\r\n\r\n"
    with contextlib.ExitStack() as open_:
        accepted = 0
        for _ in range(205):
            connection = open_.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=10))
            connection.sendall(head.encode())
            accepted += b" 200 " in connection.recv(200)
        assert accepted == 200
        refusal = served.call("GET", "/api/events", "viewer")
        assert (refusal.status, refusal.json()["category"]) == (503, "busy")
        assert refusal.headers["retry-after"]
        assert served.call("GET", "/api/status").status == 200

    def again() -> bool:
        with contextlib.suppress(AssertionError), served.stream() as stream:
            return bool(stream.snapshot())
        return False

    wait_for(again, 20, "there is room again", every=0.2)


def test_a_signal_to_end_closes_streams_and_ends_with_success(home: Installation) -> None:
    with Served.started(home, "--port", "3514", port=3514) as served, served.stream() as stream:
        stream.snapshot()
        began = time.monotonic()
        served.process.terminate()
        assert served.process.wait(5) == 0
        assert time.monotonic() - began < 3
        assert stream.ended.wait(2)


def test_a_second_server_says_who_has_the_port(served: Served) -> None:
    done = served.installation.launcher("serve", seconds=20)
    assert done.code == 1
    assert f"port 3500 is taken by the process launcher (pid {served.process.pid})" in done.err, done.err
    assert "launcher open" in done.err


def test_detached_it_goes_on_with_its_log_in_a_file(home: Installation) -> None:
    done = home.launcher("serve", "--detach", seconds=20, SERVICE_LAUNCHER_PORT="3515", PORT="1")
    assert done.code == 0, done.text
    pid = int(done.out.split("process ")[1].split(";")[0])
    try:
        curl = ["curl", "-s", "http://127.0.0.1:3515/health"]
        wait_for(lambda: b"ok" in subprocess.run(curl, capture_output=True, check=False).stdout, 10, "it answers")
        assert (home.root / ".launcher/serve.log").stat().st_mode & 0o777 == 0o600
        opened = home.launcher("open", STATUS_PORT="3515")
        assert opened.out.startswith("http://127.0.0.1:3515/#code="), opened.text
    finally:
        subprocess.run(["kill", str(pid)], check=True)
    wait_for(lambda: subprocess.run(curl, capture_output=True, check=False).returncode, 10, "it has ended")


def test_opening_says_when_nobody_serves(home: Installation) -> None:
    done = home.launcher("open", "--port", "3599", seconds=20)
    assert done.code == 1
    assert "nobody answers at http://127.0.0.1:3599" in done.err
    done = home.launcher("open", SERVICE_LAUNCHER_PORT="many")
    assert (done.code, "SERVICE_LAUNCHER_PORT=many is no port" in done.err) == (2, True)
    assert LAUNCHER.exists()


def test_opening_tells_the_token_to_nobody_else(served: Served) -> None:
    """On a machine of several users whoever comes first has a port."""
    waits = """
import os, socket
own = socket.create_server(("127.0.0.1", 3598))
os.setuid(65534)
print("listening", flush=True)
own.settimeout(20)
print(own.accept()[0].recv(65536), flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", waits], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "listening\n"
        done = served.installation.launcher("open", "--port", "3598")
        other.kill()
        assert other.stdout.read() == "", "nothing was sent"
    assert done.code == 1
    assert f"(pid {other.pid}), which is not yours: it is not told the token" in done.err
    assert "launcher open --port PORT" in done.err


def test_the_code_is_on_no_browsers_command_line(served: Served) -> None:
    """Everybody on the machine can read those, and may be quicker than the browser."""
    browser = served.installation.root / "browser"
    browser.write_text('#!/bin/sh\necho "$@" > "$0.argv"\n')
    browser.chmod(0o755)
    done = served.installation.launcher("open", DISPLAY=":0", BROWSER=str(browser))
    assert done.code == 0, done.text
    page = served.installation.root / ".launcher/open.html"
    assert browser.with_name("browser.argv").read_text() == f"{page.as_uri()}\n"
    assert f"url={done.out.strip()}" in page.read_text()
    assert page.stat().st_mode & 0o777 == 0o600
