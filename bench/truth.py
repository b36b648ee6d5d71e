"""Measures how soon and at what cost the launcher tells the truth; prints a table and JSON.

    scripts/bench truth [FIGURE ...]        figures: killed frozen crowd memory (all of them when none is named)

On the stand-in, on a private Docker Engine, in a network namespace of its own. Good for this machine only.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path

import docker
from service_launcher.events import EventLog
from service_launcher.models import Event
from service_launcher.redaction import Redactor

from bench.measure import Figure, Measured, main, must, ratio, timed
from tests.engines import wait_for
from tests.installations import Installation

STAND_IN = "local/kestra-rehearsal:1"
KESTRA = "tools-kestra"
OURS, ALL = 50, 500
OURS_FILE = "tools/compose/docker-compose.ours.yml"
OTHERS_FILE = "tools/compose/docker-compose.others.yml"
EVENTS = 10_000
READING = (
    ("status",), ("status", "--json"), ("plan",), ("list",), ("config",), ("events",), ("explain", "kestra"),
    ("logs", "kestra"), ("plugins", "list"), ("manifest", "check"), ("doctor",), ("health",),
)  # fmt: skip


def up(installation: Installation) -> None:
    """Everything ready, with the stand-in."""
    installation.shell["KESTRA_IMAGE"] = STAND_IN
    done = installation.launcher("start")
    must(done.code, done.text)


def killed(installation: Installation, rounds: int) -> list[Figure]:
    """From SIGKILL of the container's process to the line of a watching status that says so."""
    up(installation)
    ours, theirs = [], []
    for _ in range(rounds):
        installation.await_state("kestra", "ready", 60)
        # Begun anew: one that the Engine has restarted several times is a crash loop, and that is no ready state.
        done = installation.launcher("restart", "kestra")
        must(done.code, done.text)
        with installation.popen("status", "kestra", "--watch", "--json") as watching:
            lines = ((time.time(), json.loads(line)) for line in watching.stdout or ())
            next(lines)
            pid = int(installation.engine.inspect(KESTRA, "{{.State.Pid}}"))
            began = time.time()
            os.kill(pid, signal.SIGKILL)
            told = next(moment for moment, said in lines if said["services"][0]["state"] != "ready")
            watching.send_signal(signal.SIGINT)
        ours.append(told - began)
        wait_for(lambda began=began: _died(installation, began), 10, "the Engine tells it, too")
        theirs.append(_died(installation, began)[0] - began)
    return [
        Figure("container killed → status --watch shows it", statistics.median(ours), "s", 0.1, ours, theirs),
        ratio("the same against the Engine's own event", 1.0, ours, theirs),
    ]


def _died(installation: Installation, since: float) -> list[float]:
    """When containers ended, by the Engine's events, in seconds since the epoch."""
    events = installation.engine.events(since)
    return [float(str(event["timeNano"])) / 1e9 for event in events if event["Action"] == "die"]


def frozen(installation: Installation, rounds: int) -> list[Figure]:
    """The longest of all reading commands while the Engine is stopped by SIGSTOP."""
    up(installation)
    longest = []
    installation.engine.signal(signal.SIGSTOP)
    try:
        for _ in range(rounds):
            for command in READING:
                done = installation.launcher(*command)
                longest.append(done.seconds)
            states = {s["state"] for s in installation.launcher("status", "--json").json()["services"]}
            must(states != {"unknown"}, f"states with a frozen Engine: {states}")
    finally:
        installation.engine.signal(signal.SIGCONT)
    return [Figure("longest reading command with a frozen Engine", max(longest), "s", 3.0, longest, [])]


def crowd(installation: Installation, rounds: int) -> list[Figure]:
    """status of our 50 services with 500 containers on the Engine, against compose ps of the same 50."""
    with tempfile.TemporaryDirectory() as folder:
        exported = _crowd(Path(folder), installation.root)
        for file in (OURS_FILE, OTHERS_FILE):
            done = installation.compose_file(file, "up", "-d")
            must(done.code, done.text)
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(timed(lambda: installation.launcher("status", "--phase", "many", "--json", **exported)))
            theirs.append(
                timed(
                    lambda: installation.compose_file("tools/compose/docker-compose.ours.yml", "ps", "--format", "json")
                )
            )
        said = installation.launcher("status", "--phase", "many", "--json", **exported).json()["services"]
        must({s["state"] for s in said} != {"ready"} or len(said) != OURS, str(said)[:500])
        installation.engine.remove("container", "ls", "-aq", ["rm", "-f"])
    return [ratio(f"status, {OURS} of {ALL} containers ours, against compose ps", 2.5, ours, theirs)]


def _crowd(folder: Path, root: Path) -> dict[str, str]:
    service = {"image": STAND_IN, "entrypoint": ["sleep", "infinity"], "network_mode": "none"}
    names = [f"many-{number:03}" for number in range(ALL)]
    for project, file, chosen in (("ours", OURS_FILE, names[:OURS]), ("others", OTHERS_FILE, names[OURS:])):
        (root / file).write_text(json.dumps({"name": project, "services": dict.fromkeys(chosen, service)}))
    (folder / "many.py").write_text(
        "from service_launcher import ComposePlugin, ComposeService\n"
        "def service(n):\n"
        "    return ComposeService(id=n, service=n, project='ours', title=n, stack='many', package='many',\n"
        f"                          path='tools', file='{OURS_FILE}')\n"
        f"plugin = ComposePlugin(*map(service, {names[:OURS]!r}))\n"
    )
    metadata = folder / "many-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: many\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[service_launcher]\nmany = many:plugin\n")
    return {"PYTHONPATH": str(folder)}


def memory(installation: Installation, rounds: int) -> list[Figure]:
    """Resident memory of processes that follow events while ten thousand come from the Engine and into the record.

    For `watch` a service is down that an operator has stopped, so that it looks into the record again and again.
    """
    up(installation)
    client = docker.DockerClient(base_url=installation.engine.address)
    container = client.containers.get(KESTRA)
    container.stop()
    record = EventLog(installation.root / ".launcher/events.jsonl", Redactor())
    flip = [
        Event(
            what="health.changed",
            service="kestra-orchestrator",
            actor="engine",
            detail={"health": h, "container": KESTRA},
        )
        for h in ("healthy", "unhealthy")
    ]
    followers = {("events", "--follow", "--json"): [], ("watch",): []}  # fmt: skip
    with tempfile.TemporaryFile("w") as out, contextlib.ExitStack() as stack:
        running = [
            (stack.enter_context(installation.popen(*command, into=out)), series)
            for command, series in followers.items()
        ]
        for process, _ in running:
            wait_for(lambda process=process: _resident(process.pid) > 30, 20, "it follows")
        for number in range(EVENTS):
            container.rename(f"{KESTRA}-{number}" if number % 2 == 0 else KESTRA)
            record.record(flip[number % 2])
            if number % (EVENTS // 10) == 0:
                for process, series in running:
                    series.append(_resident(process.pid))
        for process, series in running:
            series.append(_resident(process.pid))
            process.send_signal(signal.SIGINT)
            process.wait(10)
    client.close()
    return [
        figure
        for (name, *_), series in followers.items()
        for figure in (
            Figure(f"memory of {name} after {EVENTS} events", series[-1], "MB", 100.0, series, []),
            # Reading the record takes as much as it holds, at most 10 MB; whatever leaks goes on growing.
            Figure(f"memory that {name} gained in the second half", series[-1] - series[5], "MB", 2.0, series, []),
        )
    ]


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


TRUTH: dict[str, Measured] = {
    "killed": (killed, 8),
    "frozen": (frozen, 2),
    "crowd": (crowd, 15),
    "memory": (memory, 1),
}

if __name__ == "__main__":
    main(TRUTH, __doc__, "truth")
