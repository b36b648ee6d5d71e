"""Statuses, explanations, events and log lines as lines of text for people: decides nothing, only words it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from service_launcher.models import Event, Explanation, LogLine, ServiceState, ServiceStatus

#: Shape and colour beside the word: the state must be readable without either.
LOOKS = {
    ServiceState.READY: ("●", "green"),
    ServiceState.STARTING: ("◐", "yellow"),
    ServiceState.STOPPING: ("◐", "yellow"),
    ServiceState.DEGRADED: ("▲", "yellow"),
    ServiceState.FAILED: ("✖", "red"),
    ServiceState.UNKNOWN: ("?", "magenta"),
    ServiceState.STOPPED: ("○", "white"),
    ServiceState.SKIPPED: ("-", "white"),
    ServiceState.UNMANAGED: ("·", "white"),
}


def status_lines(statuses: Sequence[ServiceStatus]) -> list[str]:
    """The statuses as people read them, one service after another."""
    lines = []
    for s in statuses:
        shape, colour = LOOKS[s.state]
        words = f"{s.container}, {s.state}" if s.container else str(s.state)
        mode = " (started by hand)" if s.mode == "manual" else ""
        lines.append(f"{click.style(f'{shape} {words}', fg=colour)}  {click.style(s.id, bold=True)}{mode}: {s.message}")
        if s.since:
            lines.append(f"    since {s.since:%Y-%m-%d %H:%M:%S} UTC" + (f", version {s.version}" if s.version else ""))
        if s.image:
            lines.append(f"    image {s.image}" + (f" ({s.origin})" if s.origin else ""))
        if s.last_known:
            lines.append(f"    last known: {_last_known(s)}")
        lines += [f"    {e.layer}: {e.verdict}, {e.detail} ({e.age_seconds:g} s ago)" for e in s.evidence]
        lines += [f"    {link.title}: {link.url}" for link in s.links]
    return lines


def explanation_lines(told: Explanation) -> list[str]:
    """One screen: the cause, what shows it, what depends on the service, and the next command."""
    shape, colour = LOOKS[told.state]
    lines = [f"{click.style(f'{shape} {told.state}', fg=colour)}  {click.style(told.service, bold=True)}"]
    lines.append(f"  cause: {told.cause}")
    if told.status.message != told.cause:
        lines.append(f"  status: {told.status.message}")
    if told.status.last_known:
        lines.append(f"  last known: {_last_known(told.status)}")
    if told.exit_code is not None:
        memory = ", killed for lack of memory" if told.oom_killed else ""
        lines.append(f"  exit code: {told.exit_code}{memory}; restarted {told.restart_count} times")
    if told.probes:
        lines.append("  health check, the last runs:")
    lines += [
        f"    {f'{p.ended_at:%H:%M:%S}' if p.ended_at else '--:--:--'} exit code {p.exit_code}: {first_line(p.output)}"
        for p in told.probes
    ]
    if told.log_lines:
        lines.append(f"  the last {len(told.log_lines)} lines of its log:")
    lines += [f"    {line}" for line in told.log_lines]
    lines += [
        f"  also: {p.summary}" + (f" (try: {p.fix})" if p.fix else "") for p in told.problems if p.summary != told.cause
    ]
    if told.dependants:
        lines.append(f"  needed by: {', '.join(told.dependants)}")
    lines.append(f"  try: {told.next_command}")
    return lines


def event_line(event: Event) -> str:
    """Who, what, when, why, outcome: one event on one line."""
    detail = ", ".join(f"{key}={_plain(value)}" for key, value in event.detail.items() if value not in (None, ""))
    what = f"{event.time:%Y-%m-%d %H:%M:%S} {event.what}"
    return f"{what} {event.service or '-'} by {event.actor}" + (f": {detail}" if detail else "")


def log_line(line: LogLine, several: bool) -> str:
    """A line of a log, with its service when several are shown."""
    return f"{click.style(line.service, bold=True)} | {line.text}" if several else line.text


def first_line(text: str) -> str:
    """The first line of something that may have many, cut to fit on a screen."""
    return (text.strip().splitlines() or ["(no output)"])[0][:160]


def _last_known(status: ServiceStatus) -> str:
    last = status.last_known
    return f"{last.state}, {last.age_seconds:.0f} s ago" if last else "nothing"


def _plain(value: object) -> str:
    match value:
        case dict():
            return "; ".join(f"{key} {item}" for key, item in value.items())
        case list() | tuple():
            return " ".join(map(str, value))
    return str(value)
