"""Measures what plugins cost: scripts/bench plugins [scaffold|one|many]...

`scaffold` is machine time from `plugins new` to green contract tests, containers included; packages are here already.
`one` and `many` are whole `launcher status` processes, with plugins of the scaffold's simplest kind and no containers.
"""

from __future__ import annotations

import compileall
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from bench.measure import Figure, Measured, main, must, timed
from tests.environments import PYTHON, run, site
from tests.installations import Installation

SIMPLE = """\
from service_launcher import ComposePlugin, ComposeService, Variable

plugin = ComposePlugin(
    ComposeService(
        id="{name}", title="{name}", stack="many", project="{name}", service="{name}", package="{name}",
        file="tools/compose/docker-compose.{name}.yml", path="tools",
        variables=(Variable(name="{upper}_PORT", default="{port}", meaning="port"),),
        published={{{port}: "{upper}_PORT"}}, link_port={port},
    )
)
"""


def scaffold(installation: Installation, rounds: int) -> list[Figure]:
    """As in the tutorial: make it, install it, run its tests."""
    series = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            options = ("--image", "local/kestra-rehearsal:1", "--health", "curl -fsS http://localhost:8081/health")
            done = run(str(PYTHON.with_name("launcher")), "plugins", "new", "shelf", *options, cwd=Path(folder))
            must(done.returncode, done.stderr)
            made = Path(folder) / "launcher-shelf"
            installed = site(Path(folder) / "site", made)
            command = (str(PYTHON), "-m", "pytest", "-q", "--require-docker", "-p", "no:cacheprovider")
            exported = {"PYTHONPATH": str(installed), "DOCKER_HOST": installation.engine.address}
            done = run(*command, cwd=made, **exported)
            must(done.returncode, done.stdout)
            series.append(time.monotonic() - began)
    return [Figure("from plugins new to green contract tests", statistics.median(series), "s", 60.0, series, [])]


def install(folder: Path, count: int, broken: int = 0) -> None:
    """Distributions of the simplest kind; the first ones raise on import."""
    for number in range(count):
        name = f"bench{number:03}"
        source = "raise RuntimeError('broken')\n" if number < broken else ""
        source += SIMPLE.format(name=name, upper=name.upper(), port=9000 + number)
        (folder / f"{name}.py").write_text(source)
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        requires = "Requires-Dist: service-launcher<1,>=0.1\n"
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
        (info / "entry_points.txt").write_text(f"[service_launcher]\n{name} = {name}:plugin\n")


class Sites:
    """Folders with so many plugins, and an empty installation to ask beside them."""

    def __init__(self, folder: Path, engine: str, *mixes: tuple[int, int]) -> None:
        self.root, self.engine = folder / "root", engine
        (self.root / "config").mkdir(parents=True)
        (self.root / "config/plugins.toml").write_text('disabled = ["kestra"]\n')
        self.paths = []
        for number, (count, broken) in enumerate(mixes):
            path = folder / f"site-{number}"
            path.mkdir()
            install(path, count, broken)
            self.paths.append(path)
            compileall.compile_dir(path, quiet=1)  # as pip does
            self.status(path)

    def status(self, path: Path) -> str:
        """What `launcher status --json` prints beside the plugins of a folder."""
        exported = {"PYTHONPATH": str(path), "DOCKER_HOST": self.engine}
        done = run(str(PYTHON.with_name("launcher")), "--root", str(self.root), "status", "--json", **exported)
        must(done.returncode, done.stderr)
        return done.stdout

    def alternating(self, rounds: int) -> list[list[float]]:
        """Seconds of each series, taken in turn."""
        series: list[list[float]] = [[] for _ in self.paths]
        for _ in range(rounds):
            for times, path in zip(series, self.paths, strict=True):
                times.append(timed(lambda path=path: self.status(path)))
        return series


def one(installation: Installation, rounds: int) -> list[Figure]:
    """The slope between 1 and 100 working plugins: one plugin is less than the noise of a process."""
    with tempfile.TemporaryDirectory() as folder:
        few, more = Sites(Path(folder), installation.engine.address, (1, 0), (100, 0)).alternating(rounds)
    cost = statistics.median((b - a) / 99 * 1000 for a, b in zip(few, more, strict=True))
    return [Figure("one more plugin on launcher status", cost, "ms", 2.0, more, few)]


def many(installation: Installation, rounds: int) -> list[Figure]:
    """100 plugins, 10 of them broken, against one."""
    with tempfile.TemporaryDirectory() as folder:
        sites = Sites(Path(folder), installation.engine.address, (100, 10), (1, 0))
        crowd, alone = sites.alternating(rounds)
        exported = {"PYTHONPATH": str(sites.paths[0])}
        listed = run(
            str(PYTHON.with_name("launcher")), "--root", str(sites.root), "plugins", "list", "--json", **exported
        )
    failed = [p["name"] for p in json.loads(listed.stdout)["plugins"] if p["state"] == "failed" and p["reason"]]
    pairs = [a / b for a, b in zip(crowd, alone, strict=True)]
    return [
        Figure("status with 100 plugins, 10 broken, against 1", statistics.median(pairs), "x", 1.3, crowd, alone),
        Figure("failures of 10 that are not named", float(10 - len(failed)), "", 0.0, [], []),
    ]


FIGURES: dict[str, Measured] = {"scaffold": (scaffold, 3), "one": (one, 15), "many": (many, 11)}

if __name__ == "__main__":
    os.environ.setdefault("LAUNCHER_TEST_NETWORK", "own")
    main(FIGURES, __doc__, "plugins")
