"""The freeze guard looks at the value of the notice's status line and at nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from service_launcher import freeze
from service_launcher.errors import PreflightRefused

FROZEN = [
    "Status: ACTIVE",
    "**Status:** ACTIVE",
    "**Status**: ACTIVE",
    "**Status: ACTIVE**",
    "Status: **ACTIVE**",
    "Status: IN PROGRESS",
    "**Status:** ONGOING",
    "- Status: Ongoing.",
    "> status : active",
    "  Status:ACTIVE  ",
    "# Freeze\n\nNo active freeze last month.\n\nStatus: ACTIVE\n\nThanks",
]

FREE = [
    "",
    "No active freeze",
    "Status: INACTIVE",
    "**Status:** INACTIVE",
    "Status: NOT ACTIVE",
    "Status: ENDED\n\nThe freeze was ACTIVE and IN PROGRESS until Monday.",
    "Status: none",
    "Status:",
    "The status: ACTIVE is set in this line when a freeze begins.",
    "Statuses: ACTIVE",
    "ACTIVE",
]


@pytest.mark.parametrize("notice", FROZEN)
def test_a_freeze_that_is_on_refuses_and_names_the_way_round(tmp_path: Path, notice: str) -> None:
    (tmp_path / "FREEZE-NOTICE.md").write_text(notice)
    with pytest.raises(PreflightRefused) as refused:
        freeze.check(tmp_path, {})
    assert refused.value.exit_code == 3
    assert "FREEZE-NOTICE.md says: Status: " in refused.value.summary
    assert refused.value.fix == "ALLOW_FREEZE_BYPASS=1 overrides the freeze"


@pytest.mark.parametrize("notice", FREE)
def test_words_about_a_freeze_are_no_freeze(tmp_path: Path, notice: str) -> None:
    (tmp_path / "FREEZE-NOTICE.md").write_text(notice)
    freeze.check(tmp_path, {})


def test_without_a_notice_nothing_is_frozen(tmp_path: Path) -> None:
    freeze.check(tmp_path, {})


def test_a_notice_in_another_encoding_still_counts(tmp_path: Path) -> None:
    (tmp_path / "FREEZE-NOTICE.md").write_bytes(b"\xe9t\xe9\r\nStatus: ACTIVE\r\n")
    with pytest.raises(PreflightRefused):
        freeze.check(tmp_path, {})


@pytest.mark.parametrize(("value", "passes"), [("1", True), ("0", False), ("", False), ("no", False)])
def test_only_one_overrides_the_freeze(tmp_path: Path, value: str, passes: bool) -> None:
    (tmp_path / "FREEZE-NOTICE.md").write_text("Status: ACTIVE")
    if passes:
        freeze.check(tmp_path, {"ALLOW_FREEZE_BYPASS": value})
    else:
        with pytest.raises(PreflightRefused):
            freeze.check(tmp_path, {"ALLOW_FREEZE_BYPASS": value})
