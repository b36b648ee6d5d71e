"""Prints what several commands print: tables, problems, JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click
from pydantic_core import to_json

if TYPE_CHECKING:
    from service_launcher.models import Problem

_MARKS = {"info": "•", "warn": "⚠️ ", "error": "❌"}


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows below their heads, folded on a terminal only."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    # Piped output is for programs: it must not be folded at 80 columns.
    Console(width=None if sys.stdout.isatty() else 1000, markup=False, highlight=False).print(table)


def print_problems(problems: Iterable[Problem]) -> None:
    """Each problem once, with what to try, on standard error."""
    for p in dict.fromkeys(problems):
        click.echo(f"{_MARKS[p.severity]} {p.summary}" + (f"\n  ↳ try: {p.fix}" if p.fix else ""), err=True)


def print_json(data: Any, indent: int | None = 2) -> None:
    """A document for programs; on one line without an indent."""
    click.echo(to_json(data, indent=indent).decode())
