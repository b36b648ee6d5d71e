"""Options and arguments that several commands share, and the types of those that are no plain words."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click

from service_launcher.models import now


class Moment(click.ParamType[datetime]):
    """A time, or how long ago it was."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """An aware time; one without a zone is this machine's."""
        if ago := re.fullmatch(r"(\d+)([smhd])", value):
            unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[ago[2]]
            return now() - timedelta(**{unit: int(ago[1])})
        try:
            return datetime.fromisoformat(value).astimezone()
        except ValueError:
            self.fail(f"{value!r} is neither a time nor something like 10m", param, ctx)


class Expression(click.ParamType[re.Pattern[str]]):
    """A regular expression."""

    name = "regex"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> re.Pattern[str]:
        """The compiled expression."""
        try:
            return re.compile(value)
        except re.error as error:
            self.fail(f"{value!r} is no regular expression: {error}", param, ctx)


MOMENT, EXPRESSION = Moment(), Expression()
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
phase_option = click.option(
    "--phase", "phases", multiple=True, metavar="NAME", help="All services of a stack; repeatable; `all`."
)
names_argument = click.argument("names", nargs=-1, metavar="[SERVICE]...")
