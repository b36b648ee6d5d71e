"""The state of a container from what the Engine says of it: running, its health check, crash loops, how it ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from service_launcher.containers import Detail, End
from service_launcher.models import FRESH_SECONDS, Evidence, ServiceState, Verdict, now

OVERDUE_SECONDS = 5.0  # a health check that runs rarely may begin so late
CRASHES = 3  # restarts of one container after which it counts as a crash loop, if its lives are short
LIFE_SECONDS = 120.0  # five ends within ten minutes; the engine counts restarts for ever
ON_REQUEST = (0, 130, 143)  # exit codes of who was asked to end, or had nothing more to do
KILLED = 137  # the exit code of SIGKILL

LastEnd = Callable[[], End | None]


def judge(
    detail: Detail, last_end: LastEnd, redact: Callable[[str], str]
) -> tuple[ServiceState, str, tuple[Evidence, ...]]:
    """State, sentence and evidence; how its last life ended is asked for only where it may be a crash loop.

    What the health check said is redacted before it is cut. Raises what `last_end` raises.
    """
    verdict, state, words = _judge_container(detail, last_end)
    evidence = [Evidence(layer="container", verdict=verdict, detail=words)]
    if verdict is not Verdict.OK:
        return state, words, tuple(evidence)
    last = detail.health_log[-1] if detail.health_log else None
    said = f": {redact(last.output)[:200]}" if last and last.output else ""
    # The engine says so also of a container that lives on, when the kernel took one of its processes.
    killed = "; a process of it was killed for lack of memory" if detail.oom_killed else ""

    def health(verdict: Verdict, words: str) -> Evidence:
        seen, counts = (last and last.ended_at) or now(), FRESH_SECONDS
        # The engine waits its interval from the end of a run, and its own default is 30 s.
        if detail.health_interval + detail.health_timeout > FRESH_SECONDS:
            counts = detail.health_interval + detail.health_timeout + OVERDUE_SECONDS
        return Evidence(layer="health", verdict=verdict, detail=words, observed_at=seen, counts_seconds=counts)

    match detail.health:
        case None | "none":
            evidence.append(health(Verdict.NOT_APPLICABLE, "no health check"))
            return ServiceState.READY, f"running; it has no health check{killed}", tuple(evidence)
        case "healthy":
            evidence.append(health(Verdict.OK, f"healthy{said}"))
            # Only where its last end is known: it may have been long ago, and now it is well.
            if detail.restart_count >= CRASHES and last_end() and (loop := _crash_loop(detail, last_end)):
                return ServiceState.DEGRADED, f"healthy for the moment, but in a {loop}", tuple(evidence)
            return ServiceState.READY, f"running and healthy{killed}", tuple(evidence)
        case "starting":
            evidence.append(health(Verdict.PENDING, f"starting{said}"))
            if loop := _crash_loop(detail, last_end, f" without getting healthy{said}"):
                return ServiceState.FAILED, loop, tuple(evidence)
            return ServiceState.STARTING, f"running, its health check has not passed yet{said}", tuple(evidence)
        case other:
            evidence.append(health(Verdict.BAD, f"{other}{said}"))
            if loop := _crash_loop(detail, last_end, f", and its health check fails{said}"):
                return ServiceState.FAILED, loop, tuple(evidence)
            return ServiceState.DEGRADED, f"running, but its health check fails{said}", tuple(evidence)


def _crash_loop(detail: Detail, last_end: LastEnd, else_known: str = "") -> str:
    """A crash loop in words; empty where it is none, because it lives long now, or did before."""
    if detail.restart_count < CRASHES or not _short(detail.started_at, now()):
        return ""
    end = last_end()
    if end is None:
        return f"crash loop: restarted {detail.restart_count} times{else_known}"
    if end.seconds is not None and end.seconds > LIFE_SECONDS:
        return ""
    return f"crash loop: it ended with {_words(end)}, restarted {detail.restart_count} times"


def _short(began: datetime | None, ended: datetime | None) -> bool:
    return began is None or ended is None or (ended - began).total_seconds() <= LIFE_SECONDS


def _words(end: End) -> str:
    return f"exit code {end.exit_code}" + (", out of memory" if end.oom_killed else "")


def _judge_container(detail: Detail, last_end: LastEnd) -> tuple[Verdict, ServiceState, str]:
    ended = _words(End(detail.exit_code, detail.oom_killed and detail.exit_code not in ON_REQUEST))
    match detail.state:
        case "running":
            if detail.health in (None, "none") and (loop := _crash_loop(detail, last_end)):
                return Verdict.BAD, ServiceState.FAILED, loop
            if detail.process_ended:
                words = "its main process has ended; the Engine has not told how yet"
                return Verdict.PENDING, ServiceState.STOPPING, words
            return Verdict.OK, ServiceState.READY, "running"
        case "created":
            if detail.error:
                return Verdict.BAD, ServiceState.FAILED, f"created, but it did not start: {detail.error}"
            return Verdict.PENDING, ServiceState.STOPPED, "created, not started"
        case "restarting":
            words = f"it ended with {ended}, restarted {detail.restart_count} times"
            if detail.restart_count >= CRASHES and _short(detail.started_at, detail.finished_at):
                return Verdict.BAD, ServiceState.FAILED, f"crash loop: {words}"
            return Verdict.BAD, ServiceState.STARTING, f"restarting: {words}"
        case "paused":
            return Verdict.BAD, ServiceState.DEGRADED, "paused: its processes are frozen"
        case "removing":
            return Verdict.PENDING, ServiceState.STOPPING, "being removed"
        # 137 is what a stop leaves behind, too, unless the kernel did it; that may have taken a process of it before.
        case "exited" if detail.exit_code in ON_REQUEST or (detail.exit_code == KILLED and not detail.oom_killed):
            return Verdict.BAD, ServiceState.STOPPED, f"stopped ({ended})"
        case other:
            return Verdict.BAD, ServiceState.FAILED, f"{other}: it ended with {ended} {detail.error}".rstrip()
