"""Calls into foreign code: on a thread of its own with a deadline, its words redacted."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from service_launcher.errors import Interrupted, LauncherError, PluginFailed
from service_launcher.redaction import printable

T = TypeVar("T")

#: How long each hook may take, in seconds; start and stop get the entry's own limits on top of these.
DEADLINES: Mapping[str, float] = {
    "load": 10.0,  # of every command: more is an import that hangs
    "launcher_manifest_entries": 5.0,
    "launcher_variables": 5.0,
    "launcher_auto_start": 2.0,
    "launcher_preflight": 10.0,
    "launcher_drift": 25.0,
    "launcher_findings": 10.0,
    "launcher_prepare": 1800.0,  # images may have to be pulled
    "launcher_start": 1800.0,  # likewise
    "launcher_stop": 60.0,
    "launcher_status": 2.8,
    "launcher_causes": 2.0,
    "launcher_commands": 5.0,
    "launcher_event": 1.0,
}

#: Those that are given the host, and so may pass on what its own parts have to say.
GIVEN_HOST = frozenset(
    f"launcher_{name}" for name in ("preflight", "drift", "findings", "prepare", "start", "stop", "status")
)


def guarded(
    plugin: str,
    hook: str,
    call: Callable[[], T],
    extra_seconds: float = 0.0,
    redact: Callable[[str], str] = printable,
    service: str | None = None,
) -> T:
    """Run foreign code on a daemon thread with the hook's deadline.

    Raises PluginFailed for what the plugin does wrong, in words that `redact` has gone over. A LauncherError out of a
    hook that is given the host passes through: it comes from the host's parts, and says better what happened.

    A call that was given up is not made again, for the same service, before it has returned: whoever reads the status
    for days would gather a thread at each reading.
    """
    if (earlier := _given_up.get((plugin, hook, service))) and earlier.thread.alive:
        raise PluginFailed(earlier.summary, earlier.fix)
    began = time.monotonic()
    fix = f"launcher plugins list; mend or disable {plugin} (config/plugins.toml)"
    try:
        with _thread() as thread:
            answer, failure = thread.run(call, DEADLINES[hook] + extra_seconds)
    except Empty:
        seconds = time.monotonic() - began
        summary = f"plugin {plugin} did not return from {hook} within {seconds:.1f} s"
        _given_up[plugin, hook, service] = _GivenUp(thread, summary, fix)
        raise PluginFailed(summary, fix) from None
    if failure is not None:
        if isinstance(failure, Interrupted) or (isinstance(failure, LauncherError) and hook in GIVEN_HOST):
            raise failure
        raise PluginFailed(
            f"plugin {plugin} failed in {hook}: {type(failure).__name__}: {redact(_words(failure))}", fix
        ) from failure
    return answer  # type: ignore[no-any-return]


class _Thread:
    """A daemon thread that runs one call after another: making one takes longer than most hooks."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True, name="plugins")
        self._thread.start()

    def run(self, call: Callable[[], Any], seconds: float) -> tuple[Any, BaseException | None]:
        """What the call returned, or what it raised. Raises queue.Empty when it takes longer."""
        self._calls.put(call)
        return self._results.get(timeout=seconds)

    @property
    def alive(self) -> bool:
        """Whether a call is still being made, or another may be."""
        return self._thread.is_alive()

    def end(self) -> None:
        """End once the present call returns, if it ever does."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._results.put((call(), None))
            except BaseException as error:  # noqa: BLE001 - SystemExit from a plugin must not end the launcher
                self._results.put((None, error))
            del call  # and what it holds on to


@dataclass(frozen=True)
class _GivenUp:
    """A call that did not return in time: where it is, and what was said of it."""

    thread: _Thread
    summary: str
    fix: str


_idle: deque[_Thread] = deque()
_given_up: dict[tuple[str, str, str | None], _GivenUp] = {}
os.register_at_fork(after_in_child=_idle.clear)  # a child has none of its parent's threads


@contextlib.contextmanager
def _thread() -> Iterator[_Thread]:
    """A thread for one call; one whose call has not come back is never used again."""
    try:
        thread = _idle.pop()
    except IndexError:
        thread = _Thread()
    try:
        yield thread
    except BaseException:
        thread.end()
        raise
    _idle.append(thread)


def _words(failure: BaseException) -> str:
    try:
        return str(failure)
    except Exception:  # noqa: BLE001 - foreign code again
        return "it cannot be shown"
