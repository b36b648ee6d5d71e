"""Makes the changes of `breaks.py` and looks which rows of the campaign turn red.

`scripts/test breaks [WORD ...]` makes the changes one after another, in two clones of the last commit side by side,
runs the rows and prints how each ended and by which words. The exit code is 1 when a row stayed green: then that row
proves nothing. WORDs choose the rows whose names hold one of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table

from tests.faults.breaks import BREAKS, Break, Change
from tests.faults.test_faults import ROWS

CHECKOUT = Path(__file__).resolve().parents[2]
SIDE_BY_SIDE = 2
ROW_SECONDS = 400  # some rows turn red because something waits in vain


@dataclass(frozen=True)
class Verdict:
    """How a row ended with a break in the code: `red` with what its test said, `green`, or `not run`."""

    what: str
    row: str
    colour: str
    said: str = ""


@contextmanager
def broken(clone: Path, changes: tuple[Change, ...]) -> Iterator[None]:
    """The clone with the changes in it, until the block ends."""
    whole = {change.file: (clone / change.file).read_text() for change in changes}
    try:
        for change in changes:
            path = clone / change.file
            path.write_text(path.read_text().replace(change.old, change.new))
        yield
    finally:
        for file, text in whole.items():
            (clone / file).write_text(text)


def cloned(folder: Path) -> Path:
    """The last commit in a folder of its own, with an environment whose launcher is that of the folder."""
    subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(folder)], check=True)
    install = "CONSENT=yes; . scripts/python-environment.sh; install_python_environment"
    done = subprocess.run(
        ["bash", "-euc", install], cwd=folder, env={**os.environ, "ROOT": str(folder)}, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"the environment of the clone could not be made:\n{done.stderr}")
    return folder


def tried(clone: Path, case: Break, rows: tuple[str, ...]) -> list[Verdict]:
    """What the rows say with the break in the clone's code."""
    report = clone.with_suffix(".xml")
    report.unlink(missing_ok=True)
    ids = {row.name: row.id for row in ROWS}
    tests = [f"tests/faults/test_faults.py::test_fault[{ids[row]}]" for row in rows]
    command = ("pytest", "-q", "-p", "no:cacheprovider", "--timeout", str(ROW_SECONDS), "-m", "slow or not slow")
    with broken(clone, case.changes):
        subprocess.run(
            [*command, "-o", "junit_family=legacy", "--junit-xml", str(report), *tests],
            cwd=clone,
            env={
                **os.environ,
                "PATH": f"{clone}/.venv/bin:{os.environ['PATH']}",
                "LAUNCHER_TEST_NETWORK": "own",
                "LAUNCHER_TEST_ENGINE": f"breaks-{clone.name}",
            },
            capture_output=True,
            check=False,
        )
    found = {}
    for test in ElementTree.parse(report).iter("testcase") if report.exists() else ():
        row = next((row for row in rows if test.get("name") == f"test_fault[{ids[row]}]"), "")
        failure, error = test.find("failure"), test.find("error")
        if failure is not None:
            found[row] = Verdict(case.what, row, "red", " ".join(failure.get("message", "").split())[:110])
        elif error is not None:
            found[row] = Verdict(case.what, row, "not run", " ".join(error.get("message", "").split())[:110])
        else:
            found[row] = Verdict(case.what, row, "green")
    return [found.get(row, Verdict(case.what, row, "not run")) for row in rows]


def main(words: list[str]) -> int:
    """Try every break whose rows are wanted, and print what came of it."""
    wanted = [(case, tuple(r for r in case.rows if not words or any(w in r for w in words))) for case in BREAKS]
    wanted = [(case, rows) for case, rows in wanted if rows]
    table = Table("break", "row", "", "its test says", box=None)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        clones: SimpleQueue[Path] = SimpleQueue()
        for clone in pool.map(cloned, [Path(folder) / name for name in ("a", "b")]):
            clones.put(clone)

        def one(case: Break, rows: tuple[str, ...]) -> list[Verdict]:
            clone = clones.get()
            try:
                found = tried(clone, case, rows)
                print(f"{case.what}: {', '.join(f'{v.row} {v.colour}' for v in found)}", file=sys.stderr, flush=True)
                return found
            finally:
                clones.put(clone)

        verdicts = [v for found in pool.map(lambda pair: one(*pair), wanted) for v in found]
    for verdict in verdicts:
        table.add_row(verdict.what, verdict.row, verdict.colour, verdict.said)
    Console(width=240).print(table)
    red = sum(verdict.colour == "red" for verdict in verdicts)
    print(f"{red} of {len(verdicts)} rows turned red")
    return 0 if red == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
