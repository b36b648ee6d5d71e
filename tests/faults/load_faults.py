"""More than usual: two hundred services, a flood of log lines, two hundred readers of the page (F40 to F42)."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from service_launcher.logs import LINE_BYTES

from tests.engines import wait_for
from tests.faults.campaign import KESTRA, POSTGRES, Case, Command, Seen, row
from tests.faults.place_faults import install
from tests.installations import STAND_IN, Done
from tests.web.served import Served

MANY = 200
MEMORY_MB = 200


def many(case: Case, number: int) -> dict[str, str]:
    """A plugin with so many compose services; what makes the launcher find it."""
    names = [f"many-{n:03}" for n in range(number)]
    service = {
        "image": STAND_IN,
        "entrypoint": ["sleep", "infinity"],
        "init": True,
        "network_mode": "none",
        "stop_grace_period": "1s",
    }
    file = case.installation.root / "tools/compose/docker-compose.many.yml"
    file.write_text(json.dumps({"name": "many", "services": dict.fromkeys(names, service)}))
    source = (
        "from service_launcher import ComposePlugin, ComposeService\n"
        "def service(n):\n"
        "    return ComposeService(id=n, service=n, project='many', title=n, stack='many', package='many_plugin',\n"
        "                          path='tools', file='tools/compose/docker-compose.many.yml', grace_seconds=1)\n"
        f"many = ComposePlugin(*map(service, {names!r}))\n"
    )
    folder = case.folder / "installed"
    exported = install(folder, "many_plugin", source)
    (folder / "many_plugin-1.0.dist-info/entry_points.txt").write_text("[service_launcher]\nmany = many_plugin:many\n")
    return exported


@row("F40", "200 services", "a plugin with 200 compose services, none of them running", state="stopped")
def two_hundred_services(case: Case) -> Iterator[Seen]:
    case.installation.shell.update(many(case, MANY))
    assert case.installation.launcher("manifest", "sync").code == 0
    listed = case.installation.launcher("list", "--json")
    assert len(listed.json()["services"]) == MANY + 2
    case.injected()
    done = case.installation.launcher("status", "--phase", "many", "--json")
    states = {s["state"] for s in done.json()["services"]}
    assert len(done.json()["services"]) == MANY
    yield Seen("/".join(states), done.code, done.seconds)
    del case.installation.shell["PYTHONPATH"]
    subprocess.run(
        [
            "cp",
            Path(__file__).resolve().parents[2] / "config/services-manifest.json",
            case.installation.root / "config/",
        ],
        check=True,
    )


@row("F40", "200 services started", "a plugin with 200 compose services, started and stopped", state="ready", slow=True)
def two_hundred_services_started(case: Case) -> Iterator[Seen]:
    case.installation.shell.update(many(case, MANY))
    case.injected()
    done = case.installation.launcher("start", "--phase", "many", "--json", seconds=1500)
    assert done.code == 0, done.text
    seconds = case.since
    status = case.installation.launcher("status", "--phase", "many", "--json")
    states = {s["state"] for s in status.json()["services"]}
    yield Seen("/".join(states), done.code, seconds)
    assert case.installation.launcher("stop", "--phase", "many", seconds=1500).code == 0
    del case.installation.shell["PYTHONPATH"]


def _with_memory(case: Case, *arguments: str) -> tuple[Done, float]:
    """Run a launcher command with a limit of time; its output and its own greatest memory in MB."""
    began = time.monotonic()
    with (
        (case.folder / "out").open("w+", errors="replace") as out,
        case.installation.popen(*arguments, into=out) as process,
    ):
        deadline = threading.Timer(60, process.kill)
        deadline.start()
        _, status, usage = os.wait4(process.pid, 0)  # unlike RUSAGE_CHILDREN, of this one alone
        deadline.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        ended = Done(process.returncode, out.read(), process.communicate()[1], time.monotonic() - began)
    case.installation.commands.append(Command(arguments, ended))
    return ended, usage.ru_maxrss / 1e3


@row("F41", "log flood", "100 MB of lines, one of 5 MB, 100 KB of escapes", state="ready", slow=True)
def log_flood(case: Case) -> Iterator[Seen]:
    # The first process' own output, so that the Engine keeps it as the container's log.
    script = (
        "yes flood | head -c 60000000; head -c 5000000 /dev/zero | tr '\\0' x; echo; yes '\033[2J' | head -c 100000"
    )
    case.engine.docker("exec", KESTRA, "sh", "-c", f"({script}) > /proc/1/fd/1")
    case.injected()
    done, memory = _with_memory(case, "logs", "kestra", "--tail", "100")
    assert done.code == 0
    assert "\033[2J" not in done.out
    assert len(done.out.splitlines()) <= 110
    assert memory < MEMORY_MB, f"{memory} MB"
    everything, memory = _with_memory(case, "logs", "kestra", "--tail", "100000")
    assert memory < MEMORY_MB, f"{memory} MB"
    assert max(map(len, everything.out.splitlines())) < 2 * LINE_BYTES, "a line without an end comes in pieces"
    yield case.read()


@row("F42", "200 readers of the page", "200 event streams, half of which never read again", state="degraded", slow=True)
def two_hundred_readers(case: Case) -> Iterator[Seen]:
    """The others are told at once, one more is refused, and whoever asks otherwise is answered."""
    with contextlib.ExitStack() as open_:
        served = open_.enter_context(Served.started(case.installation))
        head = f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
        head += f"Authorization: Bearer {served.token('viewer')}\r\n\r\n"
        readers = [open_.enter_context(socket.create_connection(("127.0.0.1", served.port), 10)) for _ in range(200)]
        for reader in readers:
            reader.sendall(head.encode())
            assert reader.recv(12) == b"HTTP/1.1 200", "each of them is served"
        assert served.call("GET", "/api/events", "viewer").status == 503
        for reader in readers[::2]:
            snapshot = b""
            while b"\n\n" not in snapshot.partition(b"event: snapshot")[2]:
                piece = reader.recv(65536)
                assert piece, "the stream stays open"
                snapshot += piece
        case.engine.docker("pause", POSTGRES)
        case.injected()
        for reader in readers[::2]:
            received = b""
            while b'"paused"' not in received:
                piece = reader.recv(65536)
                assert piece, "the stream stays open"
                assert case.since < 10, "it is told soon; signs of life come all the time"
                received += piece
        seconds = case.since
        assert served.call("GET", "/api/status").status == 200
        assert served.memory < 200_000_000, served.memory
        wait_for(lambda: served.state() == "degraded", 2, "Kestra is degraded for everybody")
        seen = case.read()
        yield Seen(seen.state, seen.code, seconds)
        case.engine.docker("unpause", POSTGRES)
