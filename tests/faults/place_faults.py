"""Images, registries, ports, networks and names that are not as they should be (F7 to F14)."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.engines import wait_for
from tests.faults.campaign import KESTRA, Case, Seen, row
from tests.installations import STAND_IN
from tests.registry import Registry

GONE = "127.0.0.1:9/nobody/there:1"

#: A plugin that lets a stranger take Kestra's port after all checks have passed.
THIEF = """\
import pathlib, subprocess, sys
from service_launcher import hookimpl

NOTE = pathlib.Path("{pid}")

@hookimpl
def launcher_preflight(entry):
    if entry.id == "kestra-orchestrator" and not NOTE.exists():
        thief = subprocess.Popen([sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "8080"],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        thief.stdout.readline()  # it says so when it listens
        NOTE.write_text(str(thief.pid))
    return []
"""


def install(folder: Path, name: str, source: str) -> dict[str, str]:
    """A plugin as pip would have installed it, and what makes the launcher find it."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[service_launcher]\n{name} = {name}\n")
    return {"PYTHONPATH": str(folder)}


@row("F7", "registry unreachable", "an image whose registry refuses connections", state="failed", code=1)
def registry_unreachable(case: Case) -> Iterator[Seen]:
    before = case.ids()
    yield case.start("kestra", says=f"pulling {GONE} failed", KESTRA_IMAGE=GONE)
    assert case.ids() == before
    assert case.engine.inspect(KESTRA, "{{.State.Running}}") == "true", "the version that was running runs on"


@row("F7", "image missing", "a local image that was never built", state="refused", code=3)
def image_missing(case: Case) -> Iterator[Seen]:
    before = case.ids()
    yield case.start("kestra", says="local/kestra:none is not here", KESTRA_IMAGE="local/kestra:none")
    assert case.ids() == before


@row("F8", "registry lies", "a layer with one bit flipped", state="failed", code=1, prepared=False)
def registry_lies(case: Case) -> Iterator[Seen]:
    with stand_in_registry(case, "flipped") as image:
        yield case.start("kestra", says=f"pulling {image} failed", KESTRA_IMAGE=image)


@row("F8", "registry cuts off", "a layer that ends half-way", state="failed", code=1, slow=True, prepared=False)
def registry_cuts_off(case: Case) -> Iterator[Seen]:
    with stand_in_registry(case, "cut") as image:
        yield case.start("kestra", says=f"pulling {image}", KESTRA_IMAGE=image)


@row(
    "F8",
    "registry stalls",
    "a layer of which no second half ever comes",
    state="failed",
    code=1,
    slow=True,
    prepared=False,
)
def registry_stalls(case: Case) -> Iterator[Seen]:
    with stand_in_registry(case, "stalled") as image:
        yield case.start("kestra", says=f"pulling {image} stalled", KESTRA_IMAGE=image)


@contextlib.contextmanager
def stand_in_registry(case: Case, fault: str) -> Iterator[str]:
    """A registry that serves the stand-in badly; the image itself is taken away, or nothing would be pulled."""
    with Registry.serving(case.engine, STAND_IN, case.folder, bytes_per_second=10**9, fault=fault) as registry:
        case.engine.docker("image", "rm", "--force", STAND_IN)
        try:
            yield registry.image
        finally:
            case.engine.docker("load", "--input", str(case.folder / "image.tar"))


@row("F9", "port taken", "a process listens on 8080 before the start", state="refused", code=1, prepared=False)
def port_taken(case: Case) -> Iterator[Seen]:
    with socket.create_server(("127.0.0.1", 8080)):
        case.injected()
        yield case.start(says="port 8080 (KESTRA_HTTP_PORT) is taken by the process")
        assert KESTRA not in case.ids()


@row("F10", "port stolen", "a process takes 8080 between preflight and start", state="failed", code=1, prepared=False)
def port_stolen(case: Case) -> Iterator[Seen]:
    note = case.folder / "thief.pid"
    plugin = install(case.folder / "installed", "thief", THIEF.format(pid=note))
    try:
        yield case.start(says="8080 (KESTRA_HTTP_PORT) is taken by the process", cause="preflight", **plugin)
        assert case.status("kestra-postgres")["state"] == "ready"
        assert case.read().state == "failed"
        told = case.installation.launcher("explain", "kestra", "--json").json()
        assert "port 8080" in told["cause"], told
        assert "by the process" in told["cause"], told
    finally:
        subprocess.run(["kill", note.read_text()], check=True)
        wait_for(lambda: not _listening(8080), 10, "the port is free")


def _listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@row("F11", "network deleted", "both networks removed while everything is stopped", state="ready", slow=True)
def network_deleted(case: Case) -> Iterator[Seen]:
    assert case.installation.launcher("stop").code == 0
    for name in ("tradingsystem_backend", "tools-kestra-private"):
        case.engine.docker("network", "rm", name)
    case.injected()
    assert case.installation.launcher("start").code == 0
    yield case.read()


@row(
    "F11",
    "no addresses left",
    "a foreign network takes all subnets of the Engine",
    state="failed",
    code=1,
    prepared=False,
)
def no_addresses_left(case: Case) -> Iterator[Seen]:
    case.engine.docker("network", "create", "--subnet", "10.213.0.0/16", "greedy")
    yield case.start(service="kestra-postgres", says="address pool")
    case.engine.docker("network", "rm", "greedy")


@row("F12", "half-created project", "compose create by hand, one container removed", state="ready", prepared=False)
def half_created(case: Case) -> Iterator[Seen]:
    case.engine.docker("network", "create", "tradingsystem_backend")
    assert case.installation.compose("create").code == 0
    case.engine.docker("rm", KESTRA)
    case.injected()
    assert case.installation.launcher("start").code == 0
    yield case.read()


@row("F13", "name taken", "a container of another project has Kestra's name", state="refused", code=1, prepared=False)
def name_taken(case: Case) -> Iterator[Seen]:
    stranger = case.engine.docker(
        "run", "-d", "--name", KESTRA, "--label", "com.docker.compose.project=other", STAND_IN
    )
    yield case.start(says=KESTRA)
    assert case.engine.inspect(KESTRA, "{{.Id}} {{.State.Running}}") == f"{stranger} true"
    case.engine.docker("rm", "-f", KESTRA)


@row("F14", "firewall flushed", "iptables -F and -t nat -F, as a firewall's reload does", state="ready")
def firewall_flushed(case: Case) -> Iterator[Seen]:
    for table in ("filter", "nat"):
        subprocess.run(["iptables", "-t", table, "-F"], check=True)
    case.injected()
    seen = case.read()
    # The Engine's own proxy still carries loopback: what the launcher says has to be what a browser finds.
    answers = case.installation.api("GET", "/api/v1/main/flows/search?size=1")[0] == 200
    assert (seen.state == "ready") == answers
    yield seen
