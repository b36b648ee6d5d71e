"""An Engine is read in two ways, by its socket and by the docker SDK, and both tell the same."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from service_launcher import engine as reading
from service_launcher.containers import Container
from service_launcher.engine import Engine
from service_launcher.engine_view import EngineView
from service_launcher.errors import EngineRefused, EngineUnavailable

from tests.engines import PrivateEngine, wait_for
from tests.faults.proxy import Proxy
from tests.installations import STAND_IN, Installation

KESTRA = "tools-kestra"
PORT = 23750


@pytest.fixture
def elsewhere(engine: PrivateEngine, tmp_path: Path) -> Iterator[Proxy]:
    """The Engine behind a TCP port, as one on another machine."""
    with Proxy(tmp_path / "unused", engine.socket, port=PORT).serving() as proxy:
        yield proxy


def _in_order(container: Container) -> Container:
    return container._replace(ports=tuple(sorted(container.ports, key=str)))


def _told(engine: Engine, container: str) -> dict[str, Any]:
    facts = engine.facts()
    sample, detail = engine.sample(container), engine.detail(container)
    assert facts.seconds < 2
    assert detail is not None
    assert detail.health_log[-1].exit_code == 0
    assert sample is not None
    assert sample.memory_bytes > 1_000_000
    return {
        # Ports and mounts come in any order, and the health check goes on meanwhile.
        "all": [_in_order(c) for c in engine.containers()],
        "labelled": [_in_order(c) for c in engine.containers("com.docker.compose.service=kestra")],
        "detail": detail._replace(health_log=(), mounts=tuple(sorted(detail.mounts))),
        "image": engine.image(STAND_IN),
        "network": [engine.network_exists(name) for name in ("bridge", "bridg", "none")],
        "project's networks": engine.project_networks("tools"),
        "volumes": engine.volumes(),
        "facts": facts._replace(seconds=0),
        "deaths": engine.deaths(container, 600),
        "nobody": (engine.detail("nobody"), engine.image("no/such:image"), engine.sample("nobody")),
    }


def test_an_engine_elsewhere_tells_what_the_one_behind_the_socket_tells(
    installation: Installation, engine: PrivateEngine, elsewhere: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installation.launcher("start").code == 0
    os.kill(int(engine.inspect(KESTRA, "{{.State.Pid}}")), signal.SIGKILL)
    wait_for(lambda: engine.inspect(KESTRA, "{{.State.Health.Status}}") == "healthy", 60, "the Engine restarted it")
    container = engine.inspect(KESTRA, "{{.Id}}")
    monkeypatch.setenv("DOCKER_HOST", engine.address)
    near = _told(Engine(), container)
    monkeypatch.setenv("DOCKER_HOST", elsewhere.address)
    assert _told(Engine(), container) == near
    assert len(near["all"]) == 2
    assert [c.name for c in near["labelled"]] == [KESTRA]
    assert near["network"] == [True, False, True]
    assert [d.exit_code for d in near["deaths"]] == [137]
    assert near["nobody"] == (None, None, None)
    installation.shell["DOCKER_HOST"] = elsewhere.address
    assert installation.state("kestra") == "ready"


def test_a_status_does_without_the_docker_sdk(installation: Installation) -> None:
    """Its import took a quarter of the command's time."""
    assert installation.launcher("start").code == 0
    done = installation.launcher("status", "--json", PYTHONPROFILEIMPORTTIME="1")
    assert {s["id"]: s["state"] for s in done.json()["services"]}["kestra-orchestrator"] == "ready"
    imported = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "service_launcher.engine_socket" in imported
    assert not imported & {"docker", "requests"}


def test_a_frozen_engine_leaves_no_thread_behind(engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.address)
    asked = Engine()
    with asked.watch():
        pass  # the client is there before
    engine.signal(signal.SIGSTOP)
    try:
        for _ in range(3):
            with pytest.raises(EngineUnavailable), asked.watch():
                pass
        wait_for(
            lambda: not [t for t in threading.enumerate() if t.name == "engine events"],
            3,
            "each of its threads has ended",
        )
    finally:
        engine.signal(signal.SIGCONT)
        asked.close()


@pytest.mark.parametrize("address", ["unix://{folder}/nothing.sock", "tcp://127.0.0.1:9"])
def test_where_nothing_listens_the_reason_is_named(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address.format(folder=tmp_path))
    with pytest.raises(EngineUnavailable, match=r"does not answer \((no such socket|connection refused)\)"):
        Engine().containers()


def test_a_stranger_on_the_socket_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stranger.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        with pytest.raises(EngineUnavailable, match="connection refused"):
            Engine().ping()
        listening.listen(0)
        began = time.monotonic()
        with pytest.raises(EngineUnavailable, match="timed out"):  # nobody accepts
            Engine(read_seconds=0.3).ping()
        assert time.monotonic() - began < 1


def _whole(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\nApi-Version: 1.45\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", "what answers is no Docker Engine"),
        (b"HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nContent-Length: 900\r\n\r\n[", "its answer is cut off or no HTTP"),
        (b"HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nContent-Length: 1\r\n\r\n[", "its answer cannot be understood"),
        (b'HTTP/1.1 500 No\r\nApi-Version: 1.45\r\nContent-Length: 17\r\n\r\n{"message":"sad"}', r"refuses.*\(sad\)"),
        (b"HTTP/1.1 500 No\r\nApi-Version: 1.45\r\nContent-Length: 3\r\n\r\n[1]", r"refuses.*\(it does not say why\)"),
        (_whole(b"{}"), "its answer cannot be understood"),
        (_whole(b"null"), "its answer cannot be understood"),
        (_whole(b'[{"Id": "x"}]'), "its answer cannot be understood"),
        (_whole(b"none", 404), "its answer cannot be understood"),
        (b"\x1b[2J\x00 noise\r\n\r\n", "its answer is cut off or no HTTP: BadStatusLine"),
        (b"", "Connection reset by peer|Broken pipe|without response"),
    ],
)  # fmt: skip
def test_whatever_answers_badly_is_silent_and_not_believed(
    answer: bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(tmp_path / "bad.sock", Path("/nonexistent"), garbage=answer).serving() as proxy:
        monkeypatch.setenv("DOCKER_HOST", proxy.address)
        with pytest.raises(EngineUnavailable, match=why) as silent:
            Engine().containers()
        assert silent.value.summary.isprintable()


def test_an_answer_that_comes_byte_by_byte_has_no_more_time_than_another(
    engine: PrivateEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(tmp_path / "slow.sock", engine.socket, delay=0.3, piece=20).serving() as proxy:
        monkeypatch.setenv("DOCKER_HOST", proxy.address)
        began = time.monotonic()
        with pytest.raises(EngineUnavailable, match="timed out"):
            Engine(read_seconds=1).containers()
        assert time.monotonic() - began < 1.5


def test_the_address_is_the_one_that_the_docker_command_would_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert reading.endpoint() == reading.USUAL_ADDRESS
    config = tmp_path / "config.json"
    for text in ("{}", "[]", "no JSON", '{"currentContext": ""}', '{"currentContext": "default"}'):
        config.write_text(text)
        assert reading.endpoint() == reading.USUAL_ADDRESS, text
    config.unlink()
    for command in (["create", "far", "--docker", "host=tcp://10.0.0.7:2375"], ["use", "far"]):
        subprocess.run(["docker", "context", *command], check=True, capture_output=True)
    assert reading.endpoint() == "tcp://10.0.0.7:2375"
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")  # docker refuses it, so what the usual engine says is of no use
    with pytest.raises(EngineUnavailable, match="there is no docker context named gone"):
        Engine().containers()
    assert subprocess.run(["docker", "ps"], check=False, capture_output=True).returncode == 1
    for metadata in (tmp_path / "contexts/meta").glob("*/meta.json"):
        metadata.write_text("no JSON")
    monkeypatch.delenv("DOCKER_CONTEXT")
    with pytest.raises(EngineUnavailable, match="there is no docker context named far"):
        Engine().containers()
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert reading.endpoint() == reading.USUAL_ADDRESS
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/other.sock")
    assert reading.endpoint() == "unix:///run/other.sock"


def test_a_log_is_told_as_it_was_written(engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.wipe()
    monkeypatch.setenv("DOCKER_HOST", engine.address)

    def wrote(*options: str) -> str:
        """The id of a container that has written three lines."""
        script = "printf 'one\\ntwo\\n'; sleep 0.2; printf 'three é\\n' >&2"
        run = ("run", "--detach", *options, "--network", "none", "--entrypoint", "sh", STAND_IN, "-c", script)
        container = engine.docker(*run).strip()
        wait_for(lambda: engine.inspect(container, "{{.State.Status}}") == "exited", 20, "it has ended")
        return container

    plain = wrote()
    assert Engine().log(plain, 10, None) == "one\ntwo\nthree é\n"
    assert Engine().log(plain, 1, None) == "three é\n"
    assert Engine().log(plain, 10, datetime.now(UTC)) == ""
    assert Engine().log("nobody", 10, None) == ""
    assert Engine().log(wrote("--tty"), 10, None) == "one\r\ntwo\r\nthree é\r\n"
    kept_nowhere = wrote("--log-driver", "none")
    with pytest.raises(EngineRefused):
        Engine().log(kept_nowhere, 10, None)
    assert EngineView(Engine()).log(kept_nowhere, 10, None) == ""
    engine.wipe()
