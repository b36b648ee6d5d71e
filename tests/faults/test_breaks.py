"""Every row of the campaign has a break that stands for it, and every break still fits the code."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.break_trial import CHECKOUT
from tests.faults.breaks import BREAKS, Break
from tests.faults.test_faults import ROWS


def test_every_row_has_one_break() -> None:
    assert Counter(row for case in BREAKS for row in case.rows) == Counter(row.name for row in ROWS)


@pytest.mark.parametrize("case", BREAKS, ids=lambda case: case.what)
def test_the_break_fits_the_code(case: Break) -> None:
    for change in case.changes:
        assert change.old in (CHECKOUT / change.file).read_text(), "the code has moved on: mend the break"
        assert change.new != change.old
