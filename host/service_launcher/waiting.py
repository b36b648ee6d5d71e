"""When a service that was told to start has come up, or looks failed for long enough to be called so."""

from __future__ import annotations

import time

from service_launcher.models import Phase, ServiceState, ServiceStatus, Verdict

SETTLE_SECONDS = 3.0  # a failure seen for so long is one, and so is success of which only running speaks


class Wait:
    """The waiting for one service that was told to start; `seconds` is how long it may take."""

    def __init__(self, seconds: int, has_events: bool) -> None:
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.shown: Phase | None = None
        self._has_events = has_events
        self._failing_since: float | None = None
        self._running_since: float | None = None

    def over(self, status: ServiceStatus) -> bool:
        """Whether there is nothing more to wait for."""
        if not _down(status):
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = time.monotonic()
        return self._ready(status) or self.settled(status) or time.monotonic() > self.deadline

    def _ready(self, status: ServiceStatus) -> bool:
        """Whether it is ready, and has been for a while where neither a health check nor a probe speaks for it."""
        if status.state is not ServiceState.READY:
            self._running_since = None
            return False
        self._running_since = self._running_since or time.monotonic()
        return not _only_runs(status) or time.monotonic() - self._running_since >= SETTLE_SECONDS

    def settled(self, status: ServiceStatus) -> bool:
        """Whether the service has looked failed for long enough to believe it."""
        since = self._failing_since
        return _down(status) and since is not None and time.monotonic() - since >= SETTLE_SECONDS

    def must_poll(self, status: ServiceStatus, phase: Phase) -> bool:
        """Whether the next change may come without an event from the engine."""
        return phase == "probe" or _down(status) or not self._has_events


def phase_of(status: ServiceStatus) -> Phase:
    """How far a service is on its way up."""
    if status.state is ServiceState.UNKNOWN:
        return "unknown"
    if status.layer("container") not in (Verdict.OK, Verdict.NOT_APPLICABLE):
        return "starting"
    if status.layer("health") not in (Verdict.OK, Verdict.NOT_APPLICABLE):
        return "health"
    return "probe"


def _down(status: ServiceStatus) -> bool:
    """Whether it will not come up by itself: failed, or ended after it was started, with whatever exit code."""
    ended = status.state is ServiceState.STOPPED and status.layer("container") is Verdict.BAD
    return ended or status.state is ServiceState.FAILED


def _only_runs(status: ServiceStatus) -> bool:
    """Whether that its container runs is all that makes it ready."""
    return [e.layer for e in status.evidence if e.verdict is Verdict.OK] == ["container"]
