"""The state of a container from what the Engine says of it: running, its health check, crash loops, how it ended."""

from __future__ import annotations

from collections.abc import Callable

from service_launcher.containers import Detail, End
from service_launcher.models import FRESH_SECONDS, Evidence, ServiceState, Verdict, now

OVERDUE_SECONDS = 5.0  # a health check that runs rarely may begin so late
CRASHES = 3  # restarts of one container, without getting healthy, after which it counts as a crash loop

LastEnd = Callable[[], End | None]


def judge(detail: Detail, last_end: LastEnd) -> tuple[ServiceState, str, tuple[Evidence, ...]]:
    """State, sentence and evidence; how its last life ended is asked for only in a crash loop.

    Raises what `last_end` raises.
    """
    verdict, state, words = _judge_container(detail, last_end)
    evidence = [Evidence(layer="container", verdict=verdict, detail=words)]
    if verdict is not Verdict.OK:
        return state, words, tuple(evidence)
    last = detail.health_log[-1] if detail.health_log else None
    said = f": {last.output[:200]}" if last and last.output else ""
    # The engine says so also of a container that lives on, when the kernel took one of its processes.
    killed = "; a process of it was killed for lack of memory" if detail.oom_killed else ""

    def health(verdict: Verdict, words: str) -> Evidence:
        seen, counts = (last and last.ended_at) or now(), FRESH_SECONDS
        if detail.health_interval >= FRESH_SECONDS:  # the engine's own default is 30 s
            counts = detail.health_interval + detail.health_timeout + OVERDUE_SECONDS
        return Evidence(layer="health", verdict=verdict, detail=words, observed_at=seen, counts_seconds=counts)

    match detail.health:
        case None | "none":
            evidence.append(health(Verdict.NOT_APPLICABLE, "no health check"))
            return ServiceState.READY, f"running; it has no health check{killed}", tuple(evidence)
        case "healthy":
            evidence.append(health(Verdict.OK, f"healthy{said}"))
            return ServiceState.READY, f"running and healthy{killed}", tuple(evidence)
        case "starting":
            evidence.append(health(Verdict.PENDING, f"starting{said}"))
            if detail.restart_count >= CRASHES:
                return (
                    ServiceState.FAILED,
                    _crash_loop(detail, last_end(), f" without getting healthy{said}"),
                    tuple(evidence),
                )
            return ServiceState.STARTING, f"running, its health check has not passed yet{said}", tuple(evidence)
        case other:
            evidence.append(health(Verdict.BAD, f"{other}{said}"))
            return ServiceState.DEGRADED, f"running, but its health check fails{said}", tuple(evidence)


def _crash_loop(detail: Detail, end: End | None, else_known: str = "") -> str:
    if end is None:
        return f"crash loop: restarted {detail.restart_count} times{else_known}"
    return f"crash loop: it ended with {_words(end)}, restarted {detail.restart_count} times"


def _words(end: End) -> str:
    return f"exit code {end.exit_code}" + (", out of memory" if end.oom_killed else "")


def _judge_container(detail: Detail, last_end: LastEnd) -> tuple[Verdict, ServiceState, str]:
    its_end = End(detail.exit_code, detail.oom_killed)
    ended = _words(its_end)
    match detail.state:
        case "running" if detail.health in (None, "none") and detail.restart_count >= CRASHES:
            return Verdict.BAD, ServiceState.FAILED, _crash_loop(detail, last_end())
        case "running":
            return Verdict.OK, ServiceState.READY, "running"
        case "created":
            if detail.error:
                return Verdict.BAD, ServiceState.FAILED, f"created, but it did not start: {detail.error}"
            return Verdict.PENDING, ServiceState.STOPPED, "created, not started"
        case "restarting":
            if detail.restart_count >= CRASHES:
                return Verdict.BAD, ServiceState.FAILED, _crash_loop(detail, its_end)
            words = f"restarting: it ended with {ended}, restarted {detail.restart_count} times"
            return Verdict.BAD, ServiceState.STARTING, words
        case "paused":
            return Verdict.BAD, ServiceState.DEGRADED, "paused: its processes are frozen"
        case "removing":
            return Verdict.PENDING, ServiceState.STOPPING, "being removed"
        # 130, 137 and 143 are what a stop leaves behind; with OOM or another code it did not end by request.
        case "exited" if not detail.oom_killed and detail.exit_code in (0, 130, 137, 143):
            return Verdict.BAD, ServiceState.STOPPED, f"stopped ({ended})"
        case other:
            return Verdict.BAD, ServiceState.FAILED, f"{other}: it ended with {ended} {detail.error}".rstrip()
