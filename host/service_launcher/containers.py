"""What the Docker Engine tells of containers, images and volumes: records, and how they are read from its answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from service_launcher.models import Port

CHECK_SECONDS = 30.0  # the engine's own interval and timeout of a health check, where a container names none

PROJECT = "com.docker.compose.project"  # the label by which compose finds a project's containers

SERVICE_NAME = "com.docker.compose.service"

LOCAL_IMAGES = "local/"  # images under this name are built on this machine; no registry is ever asked for one
GET_IMAGE = "tools/images/build or docker load, or name another image in .env"

NONE: Mapping[str, str] = MappingProxyType({})

_HEALTH = re.compile(r"\((healthy|unhealthy|health: starting)\)")


def can_be_pulled(image: str, policy: str | None) -> bool:
    """Whether a start may ask a registry for an image; `policy` is its service's pull_policy."""
    return policy != "never" and not image.startswith(LOCAL_IMAGES)


class Container(NamedTuple):
    """A container as the list shows it; `state` and `health` are the engine's own words."""

    id: str
    name: str
    image: str
    image_id: str
    state: str
    health: str | None
    labels: Mapping[str, str]
    ports: tuple[Port, ...]

    def made_for(self, project: str, service: str) -> bool:
        """Whether compose made it for a service; a one-off `compose run` does not count."""
        label = self.labels.get
        wanted = (project, service)
        return (label(PROJECT), label(SERVICE_NAME)) == wanted and label("com.docker.compose.oneoff") != "True"

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Container:
        """From an item of the list."""
        health = _HEALTH.search(raw.get("Status", ""))
        return cls(
            id=raw["Id"],
            name=(raw.get("Names") or ["/" + raw["Id"][:12]])[0].lstrip("/"),
            image=raw["Image"],
            image_id=raw["ImageID"],
            state=raw["State"],
            health=health[1].removeprefix("health: ") if health else None,
            labels=raw.get("Labels") or {},
            ports=tuple(
                Port(address=p["IP"], port=p["PublicPort"], container_port=p["PrivatePort"])
                for p in raw.get("Ports") or ()
                if p.get("PublicPort")
            ),
        )


class HealthCheck(NamedTuple):
    """One run of a container's health check."""

    exit_code: int
    output: str
    ended_at: datetime | None


class Mount(NamedTuple):
    """Where a container keeps something: `source` is a folder of the engine's machine, or a volume's name."""

    kind: str
    source: str
    target: str


class Volume(NamedTuple):
    """A named volume, and its folder on the engine's machine."""

    name: str
    mountpoint: str


PROCESS_ENDED = "process ended"  # the launcher's own word for what the kernel tells of a container's main process


class ContainerEvent(NamedTuple):
    """Something that happened to a container; `what` is the engine's own word, or `PROCESS_ENDED`.

    Exit code and life come with `die`, the pid with `PROCESS_ENDED`.
    """

    time: datetime
    what: str
    container_id: str
    name: str
    labels: Mapping[str, str]
    exit_code: int | None = None
    life_seconds: float | None = None
    pid: int = 0

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> ContainerEvent:
        """From an item of the event stream."""
        attributes = raw["Actor"]["Attributes"]
        code, life = attributes.get("exitCode"), attributes.get("execDuration")
        return cls(
            time=datetime.fromtimestamp(raw["timeNano"] / 1e9, UTC),
            what=raw["Action"],
            container_id=raw["Actor"]["ID"],
            name=attributes.get("name", ""),
            labels=attributes,
            exit_code=int(code) if code is not None else None,
            life_seconds=float(life) if life is not None else None,
        )


class End(NamedTuple):
    """How one life of a container ended, and how long it was where the engine tells."""

    exit_code: int
    oom_killed: bool
    seconds: float | None = None


class Detail(NamedTuple):
    """What only the inspection of a container tells. The list may lag behind it by a moment."""

    state: str
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int
    oom_killed: bool
    restart_count: int
    restarting: bool
    error: str
    health: str | None
    health_log: tuple[HealthCheck, ...] = ()
    health_interval: float = CHECK_SECONDS
    health_timeout: float = CHECK_SECONDS
    mounts: tuple[Mount, ...] = ()
    image_id: str = ""
    memory_limit: int = 0
    restart_policy: str = "no"
    log_driver: str = ""
    log_options: Mapping[str, str] = NONE
    exposed_ports: tuple[int, ...] = ()
    ports: tuple[Port, ...] = ()
    pid: int = 0
    process_ended: bool = False  # as the kernel says, while the engine's own answers are still those from before

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Detail:
        """From the answer to an inspection."""
        state = raw["State"]
        health = state.get("Health") or {}
        config = raw.get("Config") or {}
        check = config.get("Healthcheck") or {}
        logging = (raw.get("HostConfig") or {}).get("LogConfig") or {}
        published = (raw.get("NetworkSettings") or {}).get("Ports") or {}
        return cls(
            state=state["Status"],
            started_at=moment(state.get("StartedAt")),
            finished_at=moment(state.get("FinishedAt")),
            exit_code=state.get("ExitCode", 0),
            oom_killed=state.get("OOMKilled", False),
            restart_count=raw.get("RestartCount", 0),
            restarting=state.get("Restarting", False),
            error=state.get("Error", ""),
            health=health.get("Status"),
            health_log=tuple(
                HealthCheck(check["ExitCode"], check["Output"].strip(), moment(check.get("End")))
                for check in health.get("Log") or ()
            ),
            health_interval=check.get("Interval", 0) / 1e9 or CHECK_SECONDS,
            health_timeout=check.get("Timeout", 0) / 1e9 or CHECK_SECONDS,
            restart_policy=((raw.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name") or "no",
            log_driver=logging.get("Type", ""),
            log_options=logging.get("Config") or {},
            exposed_ports=tuple(int(port.partition("/")[0]) for port in config.get("ExposedPorts") or ()),
            ports=tuple(
                Port(address=place["HostIp"], port=int(place["HostPort"]), container_port=int(port.partition("/")[0]))
                for port, places in published.items()
                for place in places or ()
                if place.get("HostPort")
            ),
            mounts=tuple(
                Mount(m["Type"], m.get("Name") or m.get("Source", ""), m["Destination"])
                for m in raw.get("Mounts") or ()
            ),
            image_id=raw.get("Image", ""),
            memory_limit=(raw.get("HostConfig") or {}).get("Memory", 0),
            pid=state.get("Pid", 0),
        )


class EngineFacts(NamedTuple):
    """The engine itself and its machine; `seconds` is how long it took to answer a ping."""

    version: str
    api_version: str
    seconds: float
    memory_bytes: int
    cpus: int
    data_root: str
    live_restore: bool


class Sample(NamedTuple):
    """What a container has used of the processors since its start, and of the memory now (without the file cache)."""

    taken_at: datetime
    cpu_seconds: float
    memory_bytes: int
    memory_limit_bytes: int

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Sample | None:
        """From the answer to a question for statistics; None where it tells no memory, as of a container that ended."""
        memory = raw.get("memory_stats") or {}
        taken_at = moment(raw.get("read"))
        if taken_at is None or "usage" not in memory:
            return None
        # File pages that nobody uses are given back on demand. They are named so by cgroup v1 and v2.
        kinds = memory.get("stats") or {}
        cache = kinds.get("total_inactive_file", kinds.get("inactive_file", 0))
        return cls(
            taken_at=taken_at,
            cpu_seconds=raw["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
            memory_bytes=max(memory["usage"] - cache, 0),
            memory_limit_bytes=memory.get("limit", 0),
        )


class ImageFacts(NamedTuple):
    """Id, labels, age and own environment of a local image."""

    id: str
    labels: Mapping[str, str]
    created_at: datetime | None = None
    environment: Mapping[str, str] = NONE

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> ImageFacts:
        """From the answer to an inspection."""
        config = raw.get("Config") or {}
        environment = dict(line.partition("=")[::2] for line in config.get("Env") or ())
        return cls(raw["Id"], config.get("Labels") or {}, moment(raw.get("Created")), environment)


def moment(text: str | None) -> datetime | None:
    """A time stamp of the engine's; None where it means never (year 1) or is none; cut to microseconds."""
    if not text or text.startswith("0001-"):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
