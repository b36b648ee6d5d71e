"""Collects what the campaign has seen and prints it as a table when everything has run."""

from __future__ import annotations

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


TABLE: list[Result] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table; also into the file that --faults-table names."""
    if not TABLE:
        return
    table = Table("fault", "what", "injected by", "seen", "exit", "time to truth", "lost", "row took", "", box=None)
    for result in sorted(TABLE, key=lambda r: (int(r.row.fault[1:]), r.row.name)):
        row, seen = result.row, result.seen
        saw = (seen.state, str(seen.code), f"{seen.seconds:.1f} s") if seen else ("", "", "")
        verdict = f"RED: {result.failure.splitlines()[0][:80]}" if result.failure else "green"
        table.add_row(
            row.fault, row.name, row.injected, *saw, result.lost or "nothing", f"{result.seconds:.0f} s", verdict
        )
    green = sum(not result.failure for result in TABLE)
    console = Console(width=220, record=True, file=terminalreporter._tw._file)
    console.print(table)
    console.print(f"{green} of {len(TABLE)} faults survived with nothing lost")
    if target := config.getoption("--faults-table", None):
        Path(str(target)).write_text(console.export_text())
