"""NO_COLOR takes the colours away also on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize(("value", "coloured"), [("", True), ("1", False)])
def test_no_color_is_obeyed(value: str, coloured: bool) -> None:
    ours, theirs = pty.openpty()
    subprocess.run(
        ["launcher", "--root", str(CHECKOUT), "status"],
        env={**os.environ, "NO_COLOR": value},
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    shown = os.read(ours, 65536)
    os.close(ours)
    os.close(theirs)
    assert b"kestra-orchestrator" in shown
    assert (b"\x1b[" in shown) is coloured
