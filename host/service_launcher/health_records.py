"""What `launcher health` and `GET /api/health/full` answer, under the keys that old readers know."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from service_launcher.models import Record, ServiceId, ServiceState, now

OverallHealth = Literal["healthy", "degraded", "critical"]


class HealthRecord(Record):
    """What these records share: their keys are those of the old health script, which programs read."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True)


class LocalService(HealthRecord):
    """A service: `status` is the container's word and the state, `health` what programs compare.

    `latency_seconds` is how long its check took. What is not `counted` has no part in the overall health.
    """

    name: ServiceId
    title: str
    status: str
    state: ServiceState
    health: Literal["ok", "degraded", "down", "skipped", "unmanaged"]
    counted: bool
    port: int | None
    latency_seconds: float
    message: str


class DockerContainer(HealthRecord):
    """The container of a service, in the engine's own words; what it uses is there while it runs."""

    name: str
    status: str
    health: Literal["healthy", "unhealthy", "starting", "none", "unknown"]
    group: str | None
    service_name: ServiceId
    counted: bool
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None


class Database(HealthRecord):
    """A service of the tier `database`: where the other services reach it, and its status as above."""

    name: ServiceId
    status: str
    host: str
    port: int | None
    latency_seconds: float


class HealthSummary(HealthRecord):
    """How much was checked, without what is not counted."""

    all_ok: bool
    services_checked: int
    containers_checked: int
    databases_checked: int


class Remediation(HealthRecord):
    """Commands that help with one target."""

    target: str
    actions: tuple[str, ...]


class HealthReport(HealthRecord):
    """What `launcher health` and `GET /api/health/full` answer."""

    success: bool
    overall_health: OverallHealth
    timestamp: datetime = Field(default_factory=now)
    local_services: tuple[LocalService, ...]
    docker_containers: tuple[DockerContainer, ...]
    databases: tuple[Database, ...]
    summary: HealthSummary
    remediation: tuple[Remediation, ...]

    @property
    def exit_code(self) -> int:
        """0 healthy, 1 degraded, 2 critical."""
        return {"healthy": 0, "degraded": 1, "critical": 2}[self.overall_health]
