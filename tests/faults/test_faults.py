"""The campaign: every row of the table on a private Engine of its own, and afterwards the invariants."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.engines import SUITE
from tests.faults import (  # noqa: F401 - importing them fills the table
    database_faults,
    disk_faults,
    engine_faults,
    file_faults,
    invariants,
    launcher_faults,
    load_faults,
    place_faults,
    plugin_faults,
    service_faults,
)
from tests.faults.campaign import ROWS, Case, Recorded, Row
from tests.faults.own_engine import STAND_INS, OwnEngine, small_disk
from tests.faults.table import Result
from tests.installations import REAL_KESTRA, STAND_IN
from tests.network import own_network


def _parameter(row: Row) -> object:
    marks = [pytest.mark.slow] * row.slow + [pytest.mark.kestra] * row.kestra
    return pytest.param(row, id=row.id, marks=marks)


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    """The installation of a row on its own Engine."""
    row: Row = request.getfixturevalue("row")
    images = (*STAND_INS, "kestra-1.3.25") if row.kestra else STAND_INS
    with contextlib.ExitStack() as stack:
        stack.enter_context(own_network())
        disk = stack.enter_context(small_disk(tmp_path / "engine", row.disk)) if row.disk else None
        engine = stack.enter_context(OwnEngine.begun(f"{SUITE}-faults", images, folder=disk))
        image = REAL_KESTRA if row.kestra else STAND_IN
        installation = Recorded.copied(CHECKOUT, tmp_path / "installation", engine, kestra=image)
        yield Case(row, engine, installation, tmp_path)


@pytest.mark.parametrize("row", [_parameter(row) for row in ROWS])
def test_fault(row: Row, case: Case, note: Callable[[Result], None]) -> None:
    began, seen, lost, of = time.monotonic(), None, "not looked at", ""
    try:
        if row.prepared:
            case.up()
        before = invariants.Before.taken(case)
        story = row.story(case)
        try:
            seen = next(story)
            assert (seen.state, seen.code) == (row.state, row.code)
            assert next(story, None) is None
        finally:
            story.close()
        lost, of = invariants.hold(case, before)
        assert not lost
    except BaseException as error:
        note(
            Result.of(
                row, seen, lost or f"nothing of {of}", time.monotonic() - began, f"{type(error).__name__}: {error}"
            )
        )
        raise
    note(Result.of(row, seen, lost or f"nothing of {of}", time.monotonic() - began))
