"""Bulletin: a process of this machine, in the hands of start-stop-daemon, that answers on a port."""

from __future__ import annotations

import sys
from pathlib import Path

from service_launcher import (
    Evidence,
    Host,
    LauncherError,
    Link,
    ManifestEntry,
    Problem,
    ServiceState,
    ServiceStatus,
    Variable,
    Verdict,
    hookimpl,
)

PORT = "BULLETIN_PORT"
PID_FILE = Path(".launcher/bulletin.pid")
LOG_FILE = Path(".launcher/bulletin.log")
ENTRY = ManifestEntry(
    id="bulletin",
    title="Bulletin",
    type="tools",
    stack="bulletin",
    path=".",
    start="launcher start bulletin",
    managed="process",
    port=8095,
    start_seconds=30,
    stop_seconds=15,
)


def command(host: Host) -> list[str]:
    """Python's own web server, for the folder `bulletin` of the installation."""
    folder = str(host.root / "bulletin")
    return [sys.executable, "-m", "http.server", port(host), "--bind", "127.0.0.1", "--directory", folder]


def port(host: Host) -> str:
    """The port that it answers on."""
    return host.environment.get(PORT) or "8095"


def unit(host: Host, *action: str) -> list[str]:
    """A command for the process of the pid file; the program is compared, so that a reused pid harms nobody."""
    program = command(host)[0]
    return ["start-stop-daemon", "--quiet", "--pidfile", str(host.root / PID_FILE), "--exec", program, *action]


@hookimpl
def launcher_manifest_entries() -> list[ManifestEntry]:
    """The one service."""
    return [ENTRY]


@hookimpl
def launcher_variables() -> list[Variable]:
    """Its port."""
    return [Variable(name=PORT, default="8095", meaning="port of Bulletin")]


@hookimpl
def launcher_preflight(entry: ManifestEntry, action: str, host: Host) -> list[Problem]:
    """The port must be free, unless it is already ours."""
    if entry.id != ENTRY.id or action == "stop" or _runs(host):
        return []
    if host.probe_tcp("127.0.0.1", int(port(host))).ok:
        taken = f"port {port(host)} ({PORT}) is taken by somebody else"
        return [Problem(severity="error", summary=taken, fix=f"ss -ltnp 'sport = {port(host)}', or set {PORT}")]
    return []


@hookimpl
def launcher_start(entry: ManifestEntry, host: Host) -> None:
    """Hand it to start-stop-daemon, which leaves alone what runs already."""
    (host.root / "bulletin").mkdir(exist_ok=True)
    start = unit(host, "--start", "--oknodo", "--background", "--make-pidfile", "--output", str(host.root / LOG_FILE))
    done = host.run([*start, "--", *command(host)[1:]], seconds=10)
    if done.exit_code:
        raise LauncherError(f"{entry.id} did not start: {host.redact(done.output.strip())}", f"less {LOG_FILE}")


@hookimpl
def launcher_stop(entry: ManifestEntry, host: Host) -> None:
    """TERM, and after 10 s KILL; nothing to stop is well."""
    done = host.run(unit(host, "--stop", "--oknodo", "--remove-pidfile", "--retry", "TERM/10/KILL/3"), seconds=15)
    if done.exit_code:
        raise LauncherError(f"{entry.id} did not stop: {host.redact(done.output.strip())}", f"less {LOG_FILE}")


@hookimpl
def launcher_status(entry: ManifestEntry, host: Host) -> ServiceStatus:
    """Ready when the process is there and its port answers."""
    if not _runs(host):
        return ServiceStatus(id=entry.id, state=ServiceState.STOPPED, message="stopped; it has no process")
    answer = host.probe_http(f"http://127.0.0.1:{port(host)}/", seconds=1.0)
    state, verdict = (ServiceState.STARTING, Verdict.PENDING) if answer.failure else (ServiceState.READY, Verdict.OK)
    words = f"running, but no answer yet: {answer.failure}" if answer.failure else "running, and its port answers"
    return ServiceStatus(
        id=entry.id,
        state=state,
        message=words,
        evidence=(Evidence(layer="application", verdict=verdict, detail=words),),
        links=(Link(title="Bulletin", url=f"http://localhost:{port(host)}"),),
        stack=entry.stack,
    )


def _runs(host: Host) -> bool:
    return host.run(unit(host, "--status"), seconds=2).exit_code == 0
