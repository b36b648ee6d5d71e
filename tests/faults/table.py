"""Collects what the campaign has seen, from every worker, and prints it as a table when everything has run."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tests.faults.campaign import Row, Seen

PROPERTY = "fault"


@dataclass(frozen=True)
class Result:
    """How a row ended, in plain values: what was seen, what was lost, and why it is red."""

    fault: str
    name: str
    injected: str
    state: str
    code: str
    truth: str
    lost: str
    seconds: float
    failure: str

    @classmethod
    def of(cls, row: Row, seen: Seen | None, lost: str, seconds: float, failure: str = "") -> Result:
        """The result of a row."""
        saw = (seen.state, str(seen.code), f"{seen.seconds:.2f} s") if seen else ("", "", "")
        return cls(row.fault, row.name, row.injected, *saw, lost, seconds, " ".join(failure.split())[:160])


class Campaign:
    """The plugin that hears of each row's end, whichever process it ran in."""

    def __init__(self, target: str | None) -> None:
        self._results: list[Result] = []
        self._target = target

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take down how a row ended; the file that --faults-table names is always up to date."""
        found = [Result(**value) for name, value in report.user_properties if name == PROPERTY]  # type: ignore[arg-type]
        if report.when == "call" and found:
            self._results += found
            if self._target:
                Path(self._target).write_text(self._table())

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        if self._results:
            terminalreporter.write("\n".join(line.rstrip() for line in self._table().splitlines()) + "\n")

    def _table(self) -> str:
        table = Table("fault", "what", "injected by", "seen", "exit", "time to truth", "lost", "row took", "", box=None)
        for r in sorted(self._results, key=lambda r: (int(r.fault[1:]), r.name)):
            verdict = f"RED: {r.failure}" if r.failure else "green"
            took = f"{r.seconds:.0f} s"
            table.add_row(r.fault, r.name, r.injected, r.state, r.code, r.truth, r.lost, took, verdict)
        survived = sum(not r.failure for r in self._results)
        console = Console(width=320, file=io.StringIO(), record=True)
        console.print(table)
        console.print(f"{survived} of {len(self._results)} faults survived with nothing lost")
        return console.export_text()


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Callable[[Result], None]:
    """Takes down how a row ended."""
    return lambda result: record_property(PROPERTY, asdict(result))
