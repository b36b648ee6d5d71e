"""Why a service is not ready: the cause in one sentence, what shows it, what depends on it, and the next command."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from service_launcher import ports
from service_launcher.container_state import ON_REQUEST
from service_launcher.containers import Container, Detail
from service_launcher.engine import Engine
from service_launcher.engine_view import EngineView
from service_launcher.errors import EngineUnavailable, LauncherError
from service_launcher.logs import Logs, Selection
from service_launcher.models import Cause, Explanation, HealthProbe, Problem, ServiceState, ServiceStatus, now
from service_launcher.observation import Observer

SEARCHED_LINES = 300  # a stack trace of the JVM has about 100
SEARCHED_BEFORE = 1000  # of two lives; who is asked for its health all the time writes a line for each answer
SEARCHED_LENGTH = 2000  # of a line; some write whole documents into one
BEFORE = timedelta(minutes=4)  # some take three to end, and the Engine waits one at most between two lives
YOUNG = timedelta(minutes=2)
LINE_BEFORE, LINE_AFTER = 160, 80  # characters of a line around what was recognised in it
SHOWN_LINES = 20
SHOWN_PROBES = 5

#: What any container can suffer from; a plugin's own causes stand before these. The words are those of the Docker
#: Engine 26, of runc, of glibc and musl, and of common programs.
CAUSES = (
    Cause(
        id="host-port-taken",  # in the words of the Engine from 28.0 on
        pattern=r"failed to bind host port (?:for )?(?:\[[\da-f:]*\]|[\d.]+):(?P<port>\d+)"
        r"(?::(?:\[[\da-f:]*\]|[\d.]+):\d+)?/\w+: address already in use",
        sentence="port {port} was taken while {service} was being started",
        fix="free the port or choose another one in .env, then: launcher start {service}",
    ),
    Cause(
        id="port-taken",
        pattern=r"(?s)(?:programming external connectivity|failed to bind|Bind for).{0,300}?"
        r":(?P<port>\d+)(?: failed)?: (?:bind: )?(?:address already in use|port is already allocated)",
        sentence="port {port} was taken while {service} was being started",
        fix="free the port or choose another one in .env, then: launcher start {service}",
    ),
    Cause(
        id="image-missing",
        pattern=r"(?:pulling (?P<image>\S+) (?:failed|stalled)[^\n]{0,160}|the image (?P<local>\S+) is not here|"
        r"No such image: (?P<gone>\S+))",
        sentence="the image cannot be had: {0}",
        fix="name an image that is here, load one (docker load), or build one (tools/images/build)",
    ),
    Cause(
        id="network-missing",
        pattern=r"network (?P<network>\S+) (?:not found|declared as external, but could not be found)",
        sentence="the network {network} is gone",
        fix="launcher start {service}",
    ),
    Cause(
        id="health-command-missing",
        pattern=r"(?:health|OCI runtime exec).{0,200}?(?:executable file not found|no such file or directory)|"
        r"health: (?:\S+: )?(?:(?:line )?\d+: )?\S+: (?:command )?not found",
        sentence="the health check names a command that is not in the image",
        fix="correct the healthcheck in the compose file, then: launcher start {service}",
    ),
    Cause(
        id="command-missing",
        pattern=r"(?:exec|starting container process).{0,200}?(?:executable file not found|no such file or directory)",
        sentence="the command that the container should run is not in its image",
        fix="correct image or command in the compose file, then: launcher start {service}",
    ),
    Cause(
        id="socket-permission",
        pattern=r"permission denied.{0,80}?docker\.sock|docker\.sock.{0,80}?permission denied",
        sentence="the container may not use the Docker socket",
        fix="run it as a user of the socket's group, or without the socket",
    ),
    Cause(
        id="no-space",
        pattern=r"[Nn]o space left on device|ENOSPC|[Dd]isk quota exceeded",
        sentence="there is no space left where the container writes",
        fix="df -h; docker system df; free some space, then: launcher start {service}",
    ),
    Cause(
        id="out-of-memory",
        pattern=r"java\.lang\.OutOfMemoryError[^\n]*|[Cc]annot allocate memory|Out of memory",
        sentence="the process ran out of memory ({0})",
        fix="raise its memory limit, then: launcher start {service}",
    ),
    Cause(
        id="read-only",
        pattern=r"[Rr]ead-only file system",
        sentence="the process has to write to a place that is read-only",
        fix="launcher logs {service}; make that folder writable",
    ),
    Cause(
        id="permission-denied",
        pattern=r"[Pp]ermission denied|AccessDeniedException|EACCES",
        sentence="the process may not read or write something it needs: {line}",
        fix="ls -ln the folder; give it to the container's user, then: launcher start {service}",
    ),
    Cause(
        id="port-taken-inside",
        pattern=r"[Aa]ddress already in use|EADDRINUSE",
        sentence="a port inside the container is taken by another of its processes ({line})",
        fix="launcher logs {service}",
    ),
    Cause(
        id="host-unknown",
        pattern=r"UnknownHostException: (?P<host>[\w.-]+)|could not translate host name \"(?P<name>[^\"]+)\"|"
        r"getaddrinfo \w+ (?P<node>\S+)|Name or service not known|bad address|"
        r"Temporary failure in name resolution|lookup \S+(?: on \S+)?: no such host",
        sentence="a host name that it needs is unknown on its networks: {line}",
        fix="launcher status; start what it needs, then: launcher start {service}",
    ),
    Cause(
        id="clocks-differ",
        pattern=r"the engine's clock is \d+ s ahead of the launcher's",
        sentence="{0}: nothing can be said to be fresh",
        fix="timedatectl here and on the Engine's machine; set both clocks by the network",
    ),
    Cause(
        id="evidence-old",
        pattern=r"its (?P<layer>\w+) evidence is (?P<age>\d+) s old",
        sentence="its {layer} check has not run for {age} s, or this machine's clock is ahead of the engine's",
        fix="timedatectl here and on the Engine's machine; launcher doctor; launcher restart {service}",
    ),
    Cause(
        id="plugin-broken",
        pattern=r"(?:its )?plugin (?P<plugin>\S+) (?:is (?:not installed|failed|incompatible|disabled)|failed in|"
        r"did not return from|answered nonsense|gave no status)[^\n]*",
        sentence="{0}",
        fix="launcher plugins list; mend or disable {plugin} (config/plugins.toml)",
    ),
)


@dataclass(frozen=True)
class Explainer:
    """Explains services from what the engine, the logs, the plugins and the record say; changes nothing."""

    observer: Observer
    engine: Engine

    def explain(self, service: str, failure: str | None = None) -> Explanation:
        """Why a service is as it is; `failure` is what a start of it has just ended with. Raises nothing."""
        view = EngineView(self.engine)
        status = self.observer.statuses((service,), view)[0]
        dependants = tuple(s for s in self.observer.graph.with_dependants((service,)) if s != service)
        told = Explanation(
            service=service,
            state=status.state,
            cause=failure or status.message,
            next_command=_next_command(status),
            dependants=dependants,
            status=status,
        )
        if status.state in (ServiceState.READY, ServiceState.UNMANAGED) and not failure:
            return told
        try:
            container = self.observer.container(self.observer.graph.entries[service], view)
            detail = self._detail(container, view) if container is not None else None
        except EngineUnavailable as error:
            return told.model_copy(
                update={"cause": error.summary, "cause_id": "engine-silent", "next_command": error.fix}
            )
        lines: list[str] = []
        if container is not None and detail is not None:
            # What has just begun again is told by how it ended, and a crash loop by the ends of its lives.
            young = detail.started_at is not None and now() - detail.started_at < YOUNG
            looks_back = detail.restart_count > 0 and (young or status.state is ServiceState.FAILED)
            before, number = (BEFORE, SEARCHED_BEFORE) if looks_back else (timedelta(), SEARCHED_LINES)
            since = detail.started_at - before if detail.started_at else None
            lines = self._log_lines(service, container, Selection(number, since))
            told = told.model_copy(update=_facts(detail, lines, self.observer.redact))
        problems = self._preflight(service, view) if status.state is not ServiceState.STARTING else ()
        cause = self._cause(service, status, detail, lines, problems, failure)
        # The owner may have failed while it was asked about causes.
        more = tuple(p for p in self.observer.plugins.problems if p.service == service)
        return told.model_copy(update={"problems": tuple(dict.fromkeys((*problems, *more))), **cause})

    def _detail(self, container: Container, view: EngineView) -> Detail | None:
        """The inspection; of a container that was restarted with how it ended before. Raises EngineUnavailable."""
        detail = view.detail(container.id)
        if detail is None or detail.state != "running" or not detail.restart_count:
            return detail
        end = view.last_end(container.id)
        return detail._replace(exit_code=end.exit_code, oom_killed=end.oom_killed) if end else detail

    def _cause(
        self,
        service: str,
        status: ServiceStatus,
        detail: Detail | None,
        lines: Sequence[str],
        problems: Sequence[Problem],
        failure: str | None,
    ) -> dict[str, object]:
        """The first that holds: what blocks it, lack of memory, an operator's wish, another stop, a known cause."""
        down = detail is None or detail.state in ("exited", "created", "dead")
        if down and (blocking := next((p for p in problems if p.severity == "error"), None)):
            return {"cause": blocking.summary, "cause_id": "preflight", "next_command": blocking.fix or "launcher plan"}
        if (
            detail is not None
            and detail.oom_killed
            and (detail.state == "running" or detail.exit_code not in ON_REQUEST)
        ):
            what = "it" if detail.exit_code else "a process of it"  # the rest of it lives on
            limit = f" at its limit of {detail.memory_limit // 1_000_000} MB" if detail.memory_limit else ""
            fix = f"raise its memory limit, then: launcher start {service}"
            return {
                "cause": f"the kernel ended {what} for lack of memory{limit}",
                "cause_id": "out-of-memory",
                "next_command": fix,
            }
        if status.state is ServiceState.STOPPED and failure is None and (by := self._who_stopped(service, detail)):
            return {
                "cause": f"it was stopped by {by}",
                "cause_id": "stopped",
                "next_command": f"launcher start {service}",
            }
        if status.state is ServiceState.STOPPED and failure is None and detail is not None and _brought_down(detail):
            return {
                "cause": f"it ended (exit code {detail.exit_code}), and nobody is on record to have stopped it: docker "
                "was asked by hand, or the Docker Engine crashed, after which "
                f"`{detail.restart_policy}` does not bring it back",
                "cause_id": "stopped-elsewhere",
                "next_command": f"launcher start {service}; launcher watch brings back by itself",
            }
        said = [failure or "", *self._engine_words(detail), status.message, *(e.detail for e in status.evidence)]
        causes = (*self.observer.plugins.causes(self.observer.graph.entries[service]), *CAUSES)
        # What was seen comes before what stands in a log, which may be about anything that the service works on.
        # Redacted first: what a pattern takes out of it may begin or end in the middle of a secret.
        recognised = recognise(self.observer.redact("\n".join(said)), causes)
        asked_to_end = status.state is ServiceState.STOPPED and detail is not None and detail.exit_code != 0
        if recognised is None and not asked_to_end:
            recognised = recognise("\n".join(line[:SEARCHED_LENGTH] for line in lines), causes)
        return self._known(service, *recognised) if recognised else {}

    def _known(self, service: str, cause: Cause, match: re.Match[str]) -> dict[str, object]:
        names = {name: value for name, value in match.groupdict().items() if value}
        values = {"service": service, "line": _line(match), **names}

        def filled(text: str) -> str:
            with contextlib.suppress(KeyError, IndexError, ValueError):
                text = text.format(match[0].strip(), **values)
            return text

        sentence = filled(cause.sentence)
        if port := names.get("port"):
            culprit = self._holder(int(port))
            sentence += f" by {culprit}" if culprit else "; it is free again now"
        return {"cause": sentence, "cause_id": cause.id, "next_command": filled(cause.fix)}

    def _holder(self, port: int) -> object:
        """Who has a port, in words; None when nobody has it."""
        with contextlib.suppress(EngineUnavailable):
            for container in EngineView(self.engine).publishing(port):
                return f"the container {container.name}"
        return ports.holder(port)

    def _who_stopped(self, service: str, detail: Detail | None) -> str | None:
        """Who has ended the container's last life on purpose; None where nobody is known to have."""
        last = None
        for event in self.observer.events.read():
            if event.what == "state.changed" and event.service == service:
                last = event
        if last is None or not last.detail.get("requested"):
            return None
        if detail is not None and detail.started_at is not None and last.time < detail.started_at:
            return None  # an earlier life
        return f"{last.actor} at {last.time:%Y-%m-%d %H:%M:%S} UTC"

    @staticmethod
    def _engine_words(detail: Detail | None) -> Iterator[str]:
        if detail is not None:
            yield detail.error
            if detail.health != "healthy":
                yield from (f"health: {check.output}" for check in detail.health_log[-1:])

    def _log_lines(self, service: str, container: Container, selection: Selection) -> list[str]:
        """The last lines of the container's present or last life; older ones tell of troubles long gone."""
        logs = Logs(self.engine, lambda _: container, self.observer.redact)
        lines: list[str] = []
        with contextlib.suppress(LauncherError):
            lines = [line.text for line in logs.read((service,), selection)]
        return lines

    def _preflight(self, service: str, view: EngineView) -> tuple[Problem, ...]:
        entry = self.observer.graph.entries[service]
        if service not in self.observer.plugins.owners:
            return ()
        try:
            found = self.observer.plugins.preflight(entry, "start", lambda: self.observer.context(service, view))
        except LauncherError as error:
            return (
                Problem(severity="error", summary=self.observer.redact(error.summary), fix=error.fix, service=service),
            )
        return tuple(p for p in found if p.severity != "info")


def _brought_down(detail: Detail) -> bool:
    """Whether a container is down that its restart policy would have brought back from any end of its own."""
    return detail.state == "exited" and detail.restart_policy in ("always", "unless-stopped")


def recognise(said: str, causes: Iterable[Cause]) -> tuple[Cause, re.Match[str]] | None:
    """The first of the causes whose pattern is found in what was said, and the place."""
    return next(((cause, match) for cause in causes if (match := re.search(cause.pattern, said))), None)


def _line(match: re.Match[str]) -> str:
    """The line that a match begins in, or the part of it around the match."""
    said, (first, last) = match.string, match.span()
    begin = max(said.rfind("\n", 0, first) + 1, first - LINE_BEFORE)
    end = said.find("\n", last)
    return said[begin : min(len(said) if end < 0 else end, last + LINE_AFTER)].strip()


def _facts(detail: Detail, lines: Sequence[str], redact: Callable[[str], str]) -> dict[str, object]:
    ended = detail.state not in ("running", "paused", "created") or detail.restart_count > 0
    return {
        "exit_code": detail.exit_code if ended else None,
        "oom_killed": detail.oom_killed,
        "restart_count": detail.restart_count,
        "probes": tuple(
            HealthProbe(ended_at=check.ended_at, exit_code=check.exit_code, output=redact(check.output))
            for check in detail.health_log[-SHOWN_PROBES:]
        ),
        "log_lines": tuple(lines[-SHOWN_LINES:]),
    }


def _next_command(status: ServiceStatus) -> str:
    match status.state:
        case ServiceState.READY:
            return "launcher status"
        case ServiceState.STOPPED | ServiceState.SKIPPED | ServiceState.STOPPING:
            return f"launcher start {status.id}"
        case ServiceState.STARTING:
            return f"launcher logs --follow {status.id}"
        case ServiceState.UNKNOWN:
            return "launcher plugins list; launcher doctor"
    return f"launcher logs {status.id}; launcher restart {status.id}"
