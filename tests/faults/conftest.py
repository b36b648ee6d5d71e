"""Collects what the campaign has seen and prints it as a table when everything has run."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tests.faults.campaign import Row, Seen


@dataclass(frozen=True)
class Result:
    """How a row ended: what was seen, what was lost (nothing when empty), and why it is red."""

    row: Row
    seen: Seen | None
    lost: str
    seconds: float
    failure: str = ""


_results: list[Result] = []


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[Result], None]:
    """Takes down how a row ended; the file that --faults-table names is always up to date."""

    def taken(result: Result) -> None:
        _results.append(result)
        if target := request.config.getoption("--faults-table"):
            Path(str(target)).write_text(_table())

    return taken


def _table() -> str:
    table = Table("fault", "what", "injected by", "seen", "exit", "time to truth", "lost", "row took", "", box=None)
    for result in sorted(_results, key=lambda r: (int(r.row.fault[1:]), r.row.name)):
        row, seen = result.row, result.seen
        saw = (seen.state, str(seen.code), f"{seen.seconds:.1f} s") if seen else ("", "", "")
        verdict = f"RED: {' '.join(result.failure.split())[:160]}" if result.failure else "green"
        took = f"{result.seconds:.0f} s"
        table.add_row(row.fault, row.name, row.injected, *saw, result.lost or "nothing", took, verdict)
    survived = sum(not result.failure for result in _results)
    console = Console(width=320, file=io.StringIO(), record=True)
    console.print(table)
    console.print(f"{survived} of {len(_results)} faults survived with nothing lost")
    return console.export_text()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if _results:
        terminalreporter.write("\n".join(line.rstrip() for line in _table().splitlines()) + "\n")
