"""The records that cross seams: what plugins answer, `--json` prints and the HTTP API returns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, computed_field, field_validator

ServiceId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Action = Literal["start", "stop", "restart"]
Severity = Literal["info", "warn", "error"]
FindingVerdict = Literal["pass", "warn", "fail"]
Phase = Literal[
    "checking", "pulling", "creating", "starting", "health", "probe", "unknown", "ready", "stopping", "failed"
]


def now() -> datetime:
    """The present moment, UTC: the only clock that ends up in records."""
    return datetime.now(UTC)


class Record(BaseModel):
    """Frozen, and strict about names, so that a typing error in an answer is found at once.

    A record within an answer is validated even though it is one already: `model_copy` validates nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, revalidate_instances="always")


class ServiceState(StrEnum):
    """What a service is, in one word; the order is from worst to best for people who sort."""

    FAILED = "failed"  # it should run and does not, or it runs and cannot work
    UNKNOWN = "unknown"  # nobody could find out: engine silent, or the owner's plugin broken
    DEGRADED = "degraded"  # it runs, and something that it needs does not answer
    STARTING = "starting"  # on its way up, nothing wrong so far
    STOPPING = "stopping"  # on its way down
    STOPPED = "stopped"  # not running, and nobody expects it to
    SKIPPED = "skipped"  # stopped, and its owner says that phase starts pass it by
    UNMANAGED = "unmanaged"  # listed for people; no plugin starts or stops it
    READY = "ready"  # container, health check and application all agree


class Verdict(StrEnum):
    """What one layer of evidence says."""

    OK = "ok"
    PENDING = "pending"  # not yet, and still within its time
    BAD = "bad"
    UNKNOWN = "unknown"  # could not be asked
    NOT_APPLICABLE = "not_applicable"  # this kind of service has no such layer


FRESH_SECONDS = 15.0  # evidence that is older makes no service ready (design.md, section 9)


class Evidence(Record):
    """One observation: which layer, what it says, the words it used, when it was made, and for how long it counts.

    What is older than `counts_seconds` makes no service ready. That is 15 s; a health check that runs more rarely
    counts until its next run is overdue.
    """

    layer: Literal["container", "health", "application"]
    verdict: Verdict
    detail: str
    observed_at: AwareDatetime = Field(default_factory=now)
    counts_seconds: float = FRESH_SECONDS

    @computed_field  # type: ignore[prop-decorator]  # pydantic documents this use; mypy cannot see it
    @property
    def age_seconds(self) -> float:
        """Seconds between the observation and now."""
        return round((now() - self.observed_at).total_seconds(), 1)


class Port(Record):
    """A published port: address and port on the host, port in the container."""

    address: str
    port: int
    container_port: int


class Link(Record):
    """Where a person finds the service."""

    title: str
    url: str


class LastKnown(Record):
    """What a service was when somebody last could tell, and when that was seen or recorded."""

    state: ServiceState
    at: datetime

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def age_seconds(self) -> float:
        """Seconds since then."""
        return round((now() - self.at).total_seconds(), 1)


class ServiceStatus(Record):
    """The state of a service with the evidence for it.

    `since` is the start of the present container (UTC), `container` the engine's own word for it, `version`
    what the application says of itself, `origin` what the image's label says it was built from. `last_known` is
    there when the state is unknown and was known before.
    """

    id: ServiceId
    state: ServiceState
    message: str = Field(min_length=1)
    since: AwareDatetime | None = None
    container: str | None = None
    container_name: str | None = None
    evidence: tuple[Evidence, ...] = ()
    ports: tuple[Port, ...] = ()
    links: tuple[Link, ...] = ()
    version: str | None = None
    image: str | None = None
    origin: str | None = None
    mode: Literal["compose", "manual"] | None = None
    rehearsal: bool = False
    stack: str | None = None
    counted: bool = True
    last_known: LastKnown | None = None

    def layer(self, name: Literal["container", "health", "application"]) -> Verdict:
        """What the named layer says; a layer nobody reported does not apply."""
        return next((e.verdict for e in self.evidence if e.layer == name), Verdict.NOT_APPLICABLE)


class Problem(Record):
    """Something a start would trip over, found before anything changes."""

    severity: Severity
    summary: str = Field(min_length=1)
    fix: str = ""
    raised_by: str = ""
    service: str | None = None


class AutoStart(Record):
    """Whether a start by phase includes a service, and the reason that is shown."""

    start: bool
    reason: str = ""
    warning: str = ""


class Variable(Record):
    """A variable that a plugin reads: its meaning, its default, and what `launcher init` does about it.

    A `password` or `identifier` without a value is generated, a `network` that is missing is created, and `initial`
    is written into `.env` so that people see it there.
    """

    name: str
    meaning: str
    kind: Literal["text", "password", "identifier", "network"] = "text"
    default: str | None = None
    initial: str | None = None
    required: bool = False


class ComposeReference(Record):
    """Where a service lives in Compose; enough to find, stop and show it without its plugin."""

    project: str
    file: str
    service: str


class ManifestEntry(BaseModel):
    """One service of the installation, as in config/services-manifest.json; unknown fields are kept.

    `start`, `stop`, `status`, `build` and `test` are for people and are never executed. `start_seconds` and
    `stop_seconds` bound how long the launcher waits. `tier` is `database` for one. `plugin` names the owner; the host
    writes it.
    """

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True, revalidate_instances="always")

    id: ServiceId
    type: str
    path: str
    start: str
    aliases: tuple[str, ...] = ()
    stop: str | None = None
    status: str | None = None
    build: str | None = None
    test: str | None = None
    port: int | None = None
    env: str | None = None
    workspace: bool = False
    managed: str = "internal"
    note: str | None = None
    stack: str | None = None
    title: str | None = None
    depends_on: tuple[str, ...] = ()
    compose: ComposeReference | None = None
    tier: str | None = None
    plugin: str | None = None
    start_seconds: int = Field(default=300, gt=0)
    stop_seconds: int = Field(default=60, gt=0)


class Step(Record):
    """What a plan does with one service, and why."""

    service: ServiceId
    do: Literal["start", "keep", "skip", "stop", "refuse"]
    reason: str


class Plan(Record):
    """The steps of an operation in the order in which they are begun."""

    action: Action
    steps: tuple[Step, ...]


class Event(Record):
    """Something that happened and was recorded; `detail` holds plain values only, never a secret."""

    time: datetime = Field(default_factory=now)
    operation: str | None = None
    service: str | None = None
    what: Literal[
        "operation.started",
        "operation.finished",
        "state.changed",
        "container.died",
        "container.oom",
        "health.changed",
        "plugin.failed",
        "preflight.refused",
    ]
    actor: str
    detail: Mapping[str, Any] = Field(default_factory=dict)


class LogLine(Record):
    """One line of a container's output, redacted; `time` is when the engine received it."""

    service: ServiceId
    time: datetime
    text: str


class Cause(Record):
    """A known cause: a regular expression over what containers and the engine say, and what it means.

    `sentence` and `fix` may name the expression's groups in braces; `{service}` is the service's id, `{line}` the line
    around what was found. A group called `port` also gets the culprit named. The first cause that matches counts, so
    the narrower one stands first; what was seen is searched before what stands in a log.
    """

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    pattern: str
    sentence: str = Field(min_length=1)
    fix: str

    @field_validator("pattern")
    @classmethod
    def _is_an_expression(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        return pattern


class HealthProbe(Record):
    """One run of a health check: when it ended, its exit code, and what it printed."""

    ended_at: datetime | None
    exit_code: int
    output: str


class Explanation(Record):
    """Why a service is not ready, on one screen: the cause in a sentence, what shows it, and the next command.

    `cause_id` is None where no known cause fits and `cause` is what the status says. `dependants` are the services
    that need this one; `log_lines` the last 20 of its container.
    """

    service: ServiceId
    state: ServiceState
    cause: str
    cause_id: str | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    restart_count: int = 0
    probes: tuple[HealthProbe, ...] = ()
    log_lines: tuple[str, ...] = ()
    dependants: tuple[str, ...] = ()
    next_command: str
    problems: tuple[Problem, ...] = ()
    status: ServiceStatus

    @property
    def engine_silent(self) -> bool:
        """Whether nothing could be found out, because the Docker Engine does not answer."""
        return self.cause_id == "engine-silent"


class Progress(Record):
    """What a waiting person is shown: the phase one service is in, with bytes while an image is pulled."""

    service: str
    phase: Phase
    message: str = ""
    done_bytes: int | None = None
    total_bytes: int | None = None


class Outcome(Record):
    """How an operation ended for one service."""

    service: ServiceId
    result: Literal["ready", "already_ready", "skipped", "stopped", "already_stopped", "failed", "refused", "not_tried"]
    message: str
    seconds: float = 0.0
    status: ServiceStatus | None = None
    problems: tuple[Problem, ...] = ()
    explanation: Explanation | None = None

    @property
    def good(self) -> bool:
        """Whether it is as was asked for, or was left out on purpose."""
        return self.result not in ("failed", "refused", "not_tried")


class OperationReport(Record):
    """The whole of an operation: each service's outcome, what was warned of, and the exit code."""

    id: str
    action: Action
    outcomes: tuple[Outcome, ...]
    problems: tuple[Problem, ...] = ()
    exit_code: int
    seconds: float


class Finding(Record):
    """One result of `launcher doctor`: what was checked, how it stands, and what to do about it."""

    check: str = Field(min_length=1)
    verdict: FindingVerdict
    summary: str = Field(min_length=1)
    fix: str = ""
    service: str | None = None


class Diagnosis(Record):
    """Everything that `launcher doctor` found."""

    findings: tuple[Finding, ...]

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def verdict(self) -> FindingVerdict:
        """The worst of the findings."""
        found = {finding.verdict for finding in self.findings}
        return "fail" if "fail" in found else "warn" if "warn" in found else "pass"


class Usage(Record):
    """What a running container uses; 100 % is one core, and without a limit the machine's memory is the limit."""

    service: ServiceId
    container: str
    cpu_percent: float
    memory_bytes: int
    memory_limit_bytes: int
