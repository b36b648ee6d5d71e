"""Shows a waiting person what is happening: live lines on a terminal, one line per phase elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from service_launcher.models import Progress

WORDS = {
    "checking": "checking",
    "pulling": "pulling",
    "creating": "creating",
    "starting": "starting",
    "health": "waiting for its health check",
    "probe": "waiting for the application to answer",
    "unknown": "its state is unknown",
    "stopping": "stopping",
    "ready": "ready",
    "failed": "failed",
}


@contextlib.contextmanager
def shown(quiet: bool = False) -> Iterator[Callable[[Progress], None]]:
    """A listener for an operation's progress; writes to stderr, so that stdout stays for results."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _live() as listener:
            yield listener
    else:
        yield _Lines()


class _Lines:
    """One line each time a service enters another phase."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def __call__(self, progress: Progress) -> None:
        if self._last.get(progress.service) != progress.phase:
            self._last[progress.service] = progress.phase
            why = f": {progress.message}" if progress.phase == "unknown" else ""
            print(f"  ↳ {progress.service}: {WORDS[progress.phase]}{why}", file=sys.stderr, flush=True)  # noqa: T201


@contextlib.contextmanager
def _live() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    bars = Bars(
        SpinnerColumn(),
        TextColumn("{task.fields[service]}"),
        TextColumn("{task.description}", markup=False),  # what is shown may hold brackets of its own
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=5,  # more would cost more of a core than all the waiting
        get_time=time.monotonic,
    )
    tasks = {}

    def listener(progress: Progress) -> None:
        words = WORDS[progress.phase]
        if progress.total_bytes:
            words += f" {(progress.done_bytes or 0) / 1e6:.0f} of {progress.total_bytes / 1e6:.0f} MB"
        if progress.phase == "unknown":
            words += f": {progress.message}"
        if progress.service not in tasks:
            tasks[progress.service] = bars.add_task(words, service=progress.service, total=None)
        bars.update(tasks[progress.service], description=words)
        if progress.phase in ("ready", "failed"):
            bars.stop_task(tasks[progress.service])

    with bars:
        yield listener
