"""Lines of a container's output: bounded, and without any part of a secret, wherever they are cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import pytest
from service_launcher.logs import LINE_BYTES, Logs, Selection
from service_launcher.redaction import Redactor

SECRET = "Correct$Horse9BatteryStaple"
STAMP = "2026-01-31T12:00:00.000000000Z "


@dataclass
class Output:
    """The output of one container, in pieces as the Engine sends it."""

    data: bytes
    piece: int = 16_384
    id: str = "container"

    def logs(self, container: str, tail: int | None, since: datetime | None, follow: bool) -> Iterator[bytes]:
        """The pieces."""
        return (self.data[at : at + self.piece] for at in range(0, len(self.data), self.piece))


def lines(output: Output, *secrets: str) -> list[str]:
    """The texts of its lines."""
    logs = Logs(cast(Any, output), lambda service: cast(Any, output), Redactor(secrets))
    return [line.text for line in logs.read(["one"], Selection())]


def test_a_long_line_shows_its_beginning_and_how_much_is_left_out() -> None:
    text = "x" * (2 * LINE_BYTES)
    first, second = lines(Output(f"{STAMP}{text}\n{STAMP}short\n".encode()))
    assert first == "x" * (LINE_BYTES - len(STAMP)) + f" … ({LINE_BYTES + len(STAMP)} more bytes)"
    assert second == "short"


def test_a_line_without_an_end_is_shown_once() -> None:
    assert lines(Output(f"{STAMP}no end".encode())) == ["no end"]


def test_a_line_that_is_masks_and_colours_shows_no_part_of_a_secret_either() -> None:
    for data in (f"{SECRET}" * 3000, "\x1b[0m" * 7990 + SECRET * 9):
        for piece in range(9):
            (text,) = lines(Output(f"{STAMP}{'x' * piece}{data}\n".encode()), SECRET)
            assert SECRET[:6] not in text


@pytest.mark.parametrize("end", ["\n", "", "and so on" * 5000 + "\n"], ids=["just so", "no end", "longer"])
def test_no_part_of_a_secret_is_left_where_a_line_is_cut(end: str) -> None:
    for before in range(LINE_BYTES - 200, LINE_BYTES + 200):
        data = f"{STAMP}{'x' * (before - len(STAMP))}{SECRET}{end}".encode()
        (text,) = lines(Output(data, piece=len(data)), SECRET)
        assert SECRET[:6] not in text, before
        assert len(text) < LINE_BYTES + 200
