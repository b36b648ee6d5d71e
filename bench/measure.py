"""Measures the launcher beside docker compose, in turn, on the same files and volumes; prints a table and JSON.

    scripts/bench [FIGURE ...]        figures: cold noop status latency archive waiting (all of them when none is named)

Run on a private Docker Engine, in a network namespace of its own. Times are whole processes on a wall clock; of each
series the median counts, and a ratio is the median of the ratios pair by pair. Good for ratios on this machine only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.engines import PrivateEngine, wait_for
from tests.installations import Installation

CHECKOUT = Path(__file__).resolve().parent.parent
SEARCH = "/api/v1/main/flows/search?size=1"
MANY = 50


@dataclass
class Figure:
    """One line of the result: what was measured, the median, what it was compared with, and the goal."""

    name: str
    value: float
    unit: str
    goal: float
    launcher: list[float]
    other: list[float]

    @property
    def met(self) -> bool:
        """Whether the goal was reached."""
        return self.value <= self.goal


def timed(run: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def ratio(name: str, goal: float, launcher: list[float], other: list[float]) -> Figure:
    """The median of the ratios pair by pair."""
    pairs = [a / b for a, b in zip(launcher, other, strict=True)]
    return Figure(name, statistics.median(pairs), "x", goal, launcher, other)


def must(code: int, text: str) -> None:
    """A measurement of something that failed is none."""
    if code:
        raise SystemExit(f"bench: the measured command failed:\n{text}")


def start(installation: Installation) -> None:
    done = installation.launcher("start", "--phase", "tools")
    must(done.code, done.text)


def compose_until_it_answers(installation: Installation) -> None:
    done = installation.compose("up", "-d", "--wait")
    must(done.code, done.text)
    wait_for(lambda: installation.api("GET", SEARCH)[0] == 200, 120, "Kestra answers", every=0.02)


def cold(installation: Installation, rounds: int) -> list[Figure]:
    """Containers and database made from nothing; both find the class-data archive of an earlier stop."""

    def empty() -> None:
        installation.compose("down")
        installation.engine.docker("volume", "rm", "--force", "tools-kestra-postgres-data")

    start(installation)
    installation.launcher("stop")
    installation.shell["LAUNCHER_ALLOW_DATA_MOVE"] = "kestra-postgres"  # it would miss the volume that is removed here
    ours, theirs = [], []
    for _ in range(rounds):
        empty()
        ours.append(timed(lambda: start(installation)))
        empty()
        theirs.append(timed(lambda: compose_until_it_answers(installation)))
    del installation.shell["LAUNCHER_ALLOW_DATA_MOVE"]
    return [ratio("cold start against compose up --wait and asking until 200", 1.05, ours, theirs)]


def noop(installation: Installation, rounds: int) -> list[Figure]:
    """Everything is up and unchanged."""
    start(installation)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(timed(lambda: start(installation)))
        theirs.append(timed(lambda: installation.compose("up", "-d", "--wait")))
    return [ratio("start with nothing to do against compose up --wait", 0.8, ours, theirs)]


def status(installation: Installation, rounds: int) -> list[Figure]:
    """The whole process, with 2 services and with 50."""
    start(installation)
    figures = [_status(installation, rounds, "2 services", {}, "tools/compose/docker-compose.tools.yml")]
    with tempfile.TemporaryDirectory() as folder:
        exported = many_services(Path(folder), installation.root)
        file = "tools/compose/docker-compose.many.yml"
        must(*(lambda d: (d.code, d.text))(installation.compose_file(file, "up", "-d")))
        figures.append(_status(installation, rounds, f"{MANY} services", exported, file))
        installation.compose_file(file, "down", "--timeout", "0")
    return figures


def _status(installation: Installation, rounds: int, what: str, exported: dict[str, str], file: str) -> Figure:
    names = ["--phase", "many"] if exported else []
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(timed(lambda: installation.launcher("status", *names, "--json", **exported)))
        theirs.append(timed(lambda: installation.compose_file(file, "ps", "--format", "json")))
    return ratio(f"status --json against compose ps, {what}", 2.5, ours, theirs)


def many_services(folder: Path, root: Path, number: int = MANY) -> dict[str, str]:
    """A compose file and a plugin with so many services; what the launcher has to be exported to find it."""
    names = [f"many-{index:02}" for index in range(number)]
    services = {
        name: {
            "image": "local/kestra-rehearsal:1",
            "entrypoint": ["sleep", "infinity"],
            "init": True,
            "healthcheck": {"test": ["CMD", "true"], "interval": "60s", "start_period": "5s", "start_interval": "1s"},
        }
        for name in names
    }
    (root / "tools/compose/docker-compose.many.yml").write_text(json.dumps({"name": "many", "services": services}))
    (folder / "many.py").write_text(
        "from service_launcher import ComposePlugin, ComposeService\n"
        "def service(n):\n"
        "    return ComposeService(id=n, service=n, project='many', title=n, stack='many', package='many',\n"
        "                          path='tools', file='tools/compose/docker-compose.many.yml')\n"
        f"plugin = ComposePlugin(*map(service, {names!r}))\n"
    )
    metadata = folder / "many-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: many\nVersion: 1.0\nRequires-Dist: service-launcher<1\n"
    )
    (metadata / "entry_points.txt").write_text("[service_launcher]\nmany = many:plugin\n")
    return {"PYTHONPATH": str(folder)}


def latency(installation: Installation, rounds: int) -> list[Figure]:
    """From the first answer that Kestra gives to a stranger's question every 20 ms, to the launcher's `ready`."""
    start(installation)
    late = []
    for _ in range(rounds):
        installation.launcher("stop", "kestra")
        first: list[float] = []

        def watch(first: list[float] = first) -> None:
            wait_for(lambda: installation.api("GET", SEARCH)[0] == 200, 120, "Kestra answers", every=0.02)
            first.append(time.monotonic())

        watcher = threading.Thread(target=watch)
        watcher.start()
        with installation.popen("start", "kestra") as process:
            said = next(time.monotonic() for line in process.stderr or () if "kestra-orchestrator: ready" in line)
        watcher.join(30)
        late.append(max(0.0, said - first[0]))
    return [Figure("really ready → the launcher says so", statistics.median(late), "s", 0.3, late, [])]


def archive(installation: Installation, rounds: int) -> list[Figure]:
    """Kestra's second start with the class-data archive and with the JVM's own defaults, from `up` to the first 200."""
    start(installation)
    file = installation.root / "tools/compose/docker-compose.tools.yml"
    text = file.read_text()
    plain = re.sub(r"-XX:\+AutoCreateSharedArchive -XX:SharedArchiveFile=\S+ ", "", text)
    if plain == text:
        raise SystemExit("bench: the compose file has no class-data archive to leave out")
    with_archive, without = [], []
    for _ in range(rounds):
        for series, content in ((with_archive, text), (without, plain)):
            installation.launcher("stop", "kestra")
            installation.engine.docker("rm", "tools-kestra")
            file.write_text(content)
            began = time.perf_counter()
            must(*(lambda d: (d.code, d.text))(installation.compose("up", "-d", "kestra")))
            wait_for(lambda: installation.api("GET", SEARCH)[0] == 200, 120, "Kestra answers", every=0.02)
            series.append(time.perf_counter() - began)
    file.write_text(text)
    return [ratio("Kestra's second start with the class-data archive against without", 0.65, with_archive, without)]


def waiting(installation: Installation, rounds: int) -> list[Figure]:
    """What the launcher itself uses while a service takes its time; on the stand-in."""
    installation.launcher("stop")
    installation.compose("rm", "--force", "kestra")
    file = installation.root / "tools/compose/docker-compose.tools.yml"
    text = file.read_text()
    file.write_text(text.replace("      LANG: C.UTF-8\n", '      LANG: C.UTF-8\n      STANDIN_READY_AFTER: "600"\n', 1))
    with installation.popen("start", KESTRA_IMAGE="local/kestra-rehearsal:1") as process:
        wait_for(lambda: installation.status("kestra")["container"] == "running", 60, "the start waits")
        before, began = _cpu_seconds(process.pid), time.monotonic()
        threading.Event().wait(20)
        share = (_cpu_seconds(process.pid) - before) / (time.monotonic() - began) * 100
        resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        process.terminate()
    file.write_text(text)
    return [
        Figure("share of a core while waiting", share, "%", 2.0, [share], []),
        Figure("memory while waiting", resident, "MB", 100.0, [resident], []),
    ]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


Measured = tuple[Callable[[Installation, int], list[Figure]], int]

FIGURES: dict[str, Measured] = {
    "cold": (cold, 5),
    "noop": (noop, 10),
    "status": (status, 15),
    "latency": (latency, 5),
    "archive": (archive, 5),
    "waiting": (waiting, 1),
}


def main(known: Mapping[str, Measured] = FIGURES, about: str | None = __doc__, result: str = "figures") -> None:
    """Measure the named figures, print the table and write the JSON; the exit code is 1 where a goal was missed."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", choices=[*known, []], help="which figures; all when none is named")
    chosen = parser.parse_args().figures or list(known)
    figures: list[Figure] = []
    with PrivateEngine.started("bench", images=True) as engine, tempfile.TemporaryDirectory() as folder:
        installation = Installation.copied(CHECKOUT, Path(folder) / "root", engine)
        for name in chosen:
            print(f"measuring {name} …", file=sys.stderr)
            measure, rounds = known[name]
            figures += measure(installation, rounds)
    table = Table("figure", "median", "goal", "met", "launcher", "beside it", box=None)
    for figure in figures:
        series = ["  ".join(f"{seconds:.2f}" for seconds in values) for values in (figure.launcher, figure.other)]
        table.add_row(
            figure.name, f"{figure.value:.2f} {figure.unit}", f"{figure.goal:g}", "yes" if figure.met else "NO", *series
        )
    Console(width=200).print(table)
    results = CHECKOUT / "bench/results"
    results.mkdir(exist_ok=True)
    revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    document = {"revision": revision.stdout.strip(), "figures": [asdict(f) | {"met": f.met} for f in figures]}
    (results / f"{result}.json").write_text(json.dumps(document, indent=2) + "\n")
    sys.exit(not all(figure.met for figure in figures))


if __name__ == "__main__":
    main()
