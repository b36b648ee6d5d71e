"""Reads from the Docker Engine: one list of all containers, details of one, the event stream, logs, image pulls.

The only module that imports the docker SDK. Its one write is pulling an image, because only this stream has the bytes.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from service_launcher.errors import EngineUnavailable, EventStreamEnded, LauncherError
from service_launcher.models import Port

if TYPE_CHECKING:
    from docker.api.client import APIClient

READ_SECONDS = 2.0  # every reading command has to end within 3 s, also with a frozen engine
INSPECTION_SECONDS = 12.0  # evidence counts for 15 s
CHECK_SECONDS = 30.0  # the engine's own interval and timeout of a health check, where a container names none
STALL_SECONDS = 60.0  # a pull without a single byte for this long has failed

PROJECT = "com.docker.compose.project"  # the label by which compose finds a project's containers

_HEALTH = re.compile(r"\((healthy|unhealthy|health: starting)\)")
_WATCHED = ("create", "start", "die", "stop", "oom", "destroy", "pause", "unpause", "health_status", "rename")

T = TypeVar("T")


@dataclass(frozen=True)
class Container:
    """A container as the list shows it; `state` and `health` are the engine's own words."""

    id: str
    name: str
    image: str
    image_id: str
    state: str
    health: str | None
    labels: Mapping[str, str]
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class HealthCheck:
    """One run of a container's health check."""

    exit_code: int
    output: str
    ended_at: datetime | None


@dataclass(frozen=True)
class Mount:
    """Where a container keeps something: `source` is a folder of the engine's machine, or a volume's name."""

    kind: str
    source: str
    target: str


@dataclass(frozen=True)
class Volume:
    """A named volume, and its folder on the engine's machine."""

    name: str
    mountpoint: str


@dataclass(frozen=True)
class ContainerEvent:
    """Something that happened to a container; `what` is the engine's own word, `exit_code` comes with `die`."""

    time: datetime
    what: str
    container_id: str
    name: str
    labels: Mapping[str, str]
    exit_code: int | None = None


@dataclass(frozen=True)
class Detail:
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
    health_log: tuple[HealthCheck, ...] = field(default=())
    health_interval: float = CHECK_SECONDS
    health_timeout: float = CHECK_SECONDS
    mounts: tuple[Mount, ...] = field(default=())
    image_id: str = ""
    memory_limit: int = 0
    restart_policy: str = "no"
    log_driver: str = ""
    log_options: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[int, ...] = ()


@dataclass(frozen=True)
class EngineFacts:
    """The engine itself and its machine; `seconds` is how long it took to answer a ping."""

    version: str
    api_version: str
    seconds: float
    memory_bytes: int
    cpus: int
    data_root: str
    live_restore: bool


@dataclass(frozen=True)
class Sample:
    """What a container has used of the processors since its start, and of the memory now (without the file cache)."""

    taken_at: datetime
    cpu_seconds: float
    memory_bytes: int
    memory_limit_bytes: int


class Engine:
    """A connection that is made at the first read. Every method raises EngineUnavailable when nobody answers."""

    def __init__(self, read_seconds: float = READ_SECONDS) -> None:
        self._read_seconds = read_seconds

    @cached_property
    def _client(self) -> APIClient:
        from docker.api.client import APIClient
        from docker.constants import MINIMUM_DOCKER_API_VERSION

        address = endpoint()

        def connected(version: str | None) -> APIClient:
            client = APIClient(base_url=address, version=version, timeout=self._read_seconds)  # type: ignore[arg-type]
            if address is None or address.startswith("unix:"):
                client.trust_env = False  # a socket has no proxy, and looking for one takes a third of each question
            return client

        # The version stands in the answer to a ping, too; asked for all its versions, an engine runs other programs.
        with contextlib.closing(connected(MINIMUM_DOCKER_API_VERSION)) as first:
            pong = first.get(f"{first.base_url}/_ping", timeout=self._read_seconds)
        return connected(pong.headers.get("Api-Version"))

    def _ask(self, question: Callable[[APIClient], T]) -> T:
        from docker.errors import APIError, DockerException, NotFound
        from requests.exceptions import RequestException

        try:
            return question(self._client)
        except NotFound:
            raise
        except APIError as error:
            raise EngineUnavailable(
                f"the Docker Engine at {endpoint() or 'its usual socket'} refuses to answer ({error.explanation})",
                "docker version; a newer launcher may be needed for this Engine",
            ) from error
        except (DockerException, RequestException, OSError, ValueError) as error:
            where = endpoint() or "its usual socket"
            raise EngineUnavailable(
                f"the Docker Engine at {where} does not answer ({_reason(error)})",
                "start it (systemctl start docker, or scripts/up), then: launcher status",
            ) from error

    def close(self) -> None:
        """Close the connections to the engine; the next question opens new ones."""
        if client := self.__dict__.pop("_client", None):
            client.close()

    def containers(self, label: str | None = None) -> tuple[Container, ...]:
        """Every container of the engine, running or not, or those with a label (`name=value`), in one call."""
        filters = {"label": label} if label else {}
        return tuple(_container(raw) for raw in self._ask(lambda c: c.containers(all=True, filters=filters)))

    def detail(self, container_id: str) -> Detail | None:
        """The inspection of one container, None when it is gone."""
        raw = self._found(lambda c: c.inspect_container(container_id))
        return _detail(raw) if raw is not None else None

    def image(self, name: str) -> ImageFacts | None:
        """What a local image is, None when there is none of that name."""
        raw: Mapping[str, Any] | None = self._found(lambda c: c.inspect_image(name))  # type: ignore[no-untyped-call]  # stub
        if raw is None:
            return None
        config = raw.get("Config") or {}
        environment = dict(line.partition("=")[::2] for line in config.get("Env") or ())
        return ImageFacts(raw["Id"], config.get("Labels") or {}, moment(raw.get("Created")), environment)

    def network_exists(self, name: str) -> bool:
        """Whether there is a network of exactly this name."""
        return any(n["Name"] == name for n in self._ask(lambda c: c.networks(names=[name])))

    def project_networks(self, project: str) -> tuple[str, ...]:
        """The names of the networks that compose made for a project."""
        label = f"{PROJECT}={project}"
        return tuple(n["Name"] for n in self._ask(lambda c: c.networks(filters={"label": label})))

    def facts(self) -> EngineFacts:
        """The engine's version, its machine, and how fast it answers."""
        info = self._ask(lambda c: c.info())
        began = time.monotonic()
        self._ask(lambda c: c.ping())
        return EngineFacts(
            version=info["ServerVersion"],
            seconds=time.monotonic() - began,
            api_version=self._client.api_version,
            memory_bytes=info["MemTotal"],
            cpus=info["NCPU"],
            data_root=info["DockerRootDir"],
            live_restore=info.get("LiveRestoreEnabled", False),
        )

    def sample(self, container_id: str) -> Sample | None:
        """What a container uses, without the second that the engine else waits for; None when it does not run."""
        raw = self._found(lambda c: c.stats(container_id, stream=False, one_shot=True))
        return _sample(raw) if raw else None

    def volumes(self) -> dict[str, Volume]:
        """Every volume by its name."""
        answer = self._ask(lambda c: c.volumes())
        return {v["Name"]: Volume(v["Name"], v.get("Mountpoint", "")) for v in answer.get("Volumes") or ()}

    def deaths(self, container_id: str, seconds: float) -> tuple[ContainerEvent, ...]:
        """How a container ended in the last seconds (`die`) and ran out of memory (`oom`), oldest first.

        The inspection of one that was restarted knows nothing of its last end. The engine remembers 256 events.
        """
        now = time.time()
        filters = {"container": container_id, "event": ["die", "oom"]}
        asked = {"since": f"{now - seconds:.6f}", "until": f"{now:.6f}", "filters": filters, "decode": True}
        # Whole seconds, which are all that the stub allows, would leave out the present one.
        return tuple(map(_container_event, self._ask(lambda c: list(cast(Any, c).events(**asked)))))

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._ask(lambda c: c.ping())

    def logs(
        self, container_id: str, tail: int | None, since: datetime | None = None, follow: bool = False
    ) -> Iterator[bytes]:
        """The last lines of a container's output and, when following, what comes until it ends.

        Pieces of lines, each line beginning with the time at which the engine received it (RFC 3339, nanoseconds).
        `since` counts in whole seconds.
        """
        from docker.errors import DockerException
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        stream = self._found(
            lambda c: c.logs(
                container_id,
                stream=True,
                timestamps=True,
                follow=follow,
                tail="all" if tail is None else tail,
                since=int(since.timestamp()) if since else None,
            )
        )
        try:
            yield from stream or ()
        except (DockerException, RequestException, HTTPError, OSError) as error:
            raise EngineUnavailable(
                f"the Docker Engine broke off the logs ({_reason(error)})", "launcher status"
            ) from error

    def pull(self, image: str, report: Callable[[int, int], None]) -> None:
        """Pull an image, reporting (bytes done, bytes known) over all layers. Raises LauncherError when it fails."""
        from docker.errors import APIError, DockerException

        repository, _, tag = image.rpartition(":") if ":" in image.rsplit("/", 1)[-1] else (image, "", "latest")
        layers: dict[str, tuple[int, int]] = {}
        fix = f"docker pull {image}, or name an image that is here (tools/images/build makes local ones)"
        try:
            self.ping()
            stream = self._client.pull(repository, tag=tag, stream=True, decode=True)
            for line in _with_deadline(stream, STALL_SECONDS):
                if line is None:
                    raise LauncherError(f"pulling {image} stalled: no data for {STALL_SECONDS:.0f} s", fix)
                if "error" in line:
                    raise LauncherError(f"pulling {image} failed: {line['error']}", fix)
                amount = line.get("progressDetail") or {}
                if line.get("status") == "Downloading" and "total" in amount:
                    layers[line["id"]] = (amount.get("current", 0), amount["total"])
                    report(sum(done for done, _ in layers.values()), sum(total for _, total in layers.values()))
        except APIError as error:
            raise LauncherError(f"pulling {image} failed: {error.explanation}", fix) from error
        except DockerException as error:
            raise LauncherError(f"pulling {image} failed: {_reason(error)}", fix) from error

    @contextlib.contextmanager
    def watch(self) -> Iterator[Changes]:
        """Subscribe to container events; the subscription stands when the block is entered."""
        changes = Changes(self)
        try:
            yield changes
        finally:
            changes.close()

    def _found(self, question: Callable[[APIClient], T]) -> T | None:
        from docker.errors import NotFound

        try:
            return self._ask(question)
        except NotFound:
            return None


@dataclass(frozen=True)
class ImageFacts:
    """Id, labels, age and own environment of a local image."""

    id: str
    labels: Mapping[str, str]
    created_at: datetime | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


class Inspections:
    """What inspecting containers told, for as long as it holds while the engine's events are followed.

    It holds until an event about the container, until its line in the list is another one, or until there may be a
    later run of its health check, of which no event tells.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Container, Detail, float]] = {}
        self.contradicted = False  # by the list, which lags behind a change for a moment: it is worth another look soon

    def forget(self, events: Iterable[ContainerEvent]) -> None:
        """Something has happened to these containers."""
        for event in events:
            self._known.pop(event.container_id, None)

    def keep(self, container: Container, detail: Detail) -> None:
        """Remember an inspection, unless the list tells another story, or the container is on its way up."""
        # Of a container that does not run, the list tells no health.
        agree = container.state == detail.state and (container.state != "running" or container.health == detail.health)
        self.contradicted = self.contradicted or not agree
        if agree and detail.health != "starting":
            self._known[container.id] = container, detail, time.monotonic()

    def of(self, container: Container) -> Detail | None:
        """The inspection of a container whose line in the list was read just now; None where it has to be made."""
        before, detail, at = self._known.get(container.id, (None, None, 0.0))
        if before != container or detail is None or time.monotonic() - at > INSPECTION_SECONDS:
            return None
        checked = detail.health_log[-1].ended_at if detail.health_log and detail.state == "running" else None
        if checked is not None and (datetime.now(UTC) - checked).total_seconds() > detail.health_interval:
            return None
        return detail


class EngineView:
    """The engine as it stood at one moment: each list is read once, so that all services are judged alike.

    `inspections` are those of earlier views, for who follows the engine's events.
    """

    def __init__(
        self, engine: Engine, failure: EngineUnavailable | None = None, inspections: Inspections | None = None
    ) -> None:
        self.engine = engine
        self._inspections = inspections
        self._lock = threading.Lock()
        self._containers: tuple[Container, ...] | None = None
        self._lists: dict[tuple[str, str], tuple[Container, ...]] = {}
        self._facts: EngineFacts | None = None
        self._failure = failure

    def containers(self) -> tuple[Container, ...]:
        """Every container."""
        with self._lock:
            if self._containers is None:
                self._containers = self._asked(self.engine.containers)
            return self._containers

    def with_label(self, label: str, value: str) -> tuple[Container, ...]:
        """The containers with a label. The engine takes its time for each one that it lists, so others are not."""
        with self._lock:
            if self._containers is not None:
                return tuple(c for c in self._containers if c.labels.get(label) == value)
            if (label, value) not in self._lists:
                self._lists[label, value] = self._asked(lambda: self.engine.containers(f"{label}={value}"))
            return self._lists[label, value]

    def facts(self) -> EngineFacts:
        """The engine itself, asked once."""
        with self._lock:
            if self._facts is None:
                self._facts = self._asked(self.engine.facts)
            return self._facts

    def compose_service(self, project: str, service: str) -> Container | None:
        """The container of a compose service, or None; a one-off `compose run` does not count."""
        for container in self.with_label(PROJECT, project):
            label = container.labels.get
            if label("com.docker.compose.service") == service and label("com.docker.compose.oneoff") != "True":
                return container
        return None

    def publishing(self, port: int) -> tuple[Container, ...]:
        """The containers that publish a port of the host."""
        return tuple(c for c in self.containers() if any(p.port == port for p in c.ports))

    def detail(self, container_id: str) -> Detail | None:
        """The inspection of one container, None when it is gone."""
        if self._inspections is None:
            return self._asked(lambda: self.engine.detail(container_id))
        with self._lock:
            lists = [self._containers or (), *self._lists.values()]
        listed = next((c for containers in lists for c in containers if c.id == container_id), None)
        detail = self._inspections.of(listed) if listed else None
        if detail is None:
            detail = self._asked(lambda: self.engine.detail(container_id))
            if listed and detail:
                self._inspections.keep(listed, detail)
        return detail

    def image(self, name: str) -> ImageFacts | None:
        """What a local image is, None when there is none of that name."""
        return self._asked(lambda: self.engine.image(name))

    def volumes(self) -> dict[str, Volume]:
        """Every volume by its name."""
        return self._asked(self.engine.volumes)

    def network_exists(self, name: str) -> bool:
        """Whether there is a network of exactly this name."""
        return self._asked(lambda: self.engine.network_exists(name))

    def project_networks(self, project: str) -> tuple[str, ...]:
        """The names of the networks that compose made for a project."""
        return self._asked(lambda: self.engine.project_networks(project))

    def data_root(self) -> str:
        """The folder in which the engine keeps images and volumes (on the engine's machine)."""
        return self.facts().data_root

    def _asked(self, question: Callable[[], T]) -> T:
        """The answer; an engine that was silent once is not asked again."""
        if self._failure is not None:
            raise self._failure
        try:
            return question()
        except EngineUnavailable as error:
            self._failure = error
            raise


class Changes:
    """The container events since the subscription; read through `wait`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._events: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self._subscribed = threading.Event()
        self._failure: BaseException | None = None
        self._stream: Any = None
        self._closed = False
        threading.Thread(target=self._read, daemon=True, name="engine events").start()
        # A frozen engine accepts the connection and never answers: without this the caller would hang too.
        if not self._subscribed.wait(READ_SECONDS + 1):
            raise EngineUnavailable("the Docker Engine accepts connections and does not answer", "restart the engine")
        if self._failure is not None:
            raise self._failure

    def _read(self) -> None:
        filters = {"type": "container", "event": list(_WATCHED)}
        try:
            self._stream = self._engine._ask(lambda c: c.events(decode=True, filters=filters))
            self._subscribed.set()
            for event in self._stream:
                self._events.put(event)
        except Exception as error:  # noqa: BLE001 - whatever ends the stream is reported to who waits on it
            self._failure = error
        self._subscribed.set()
        self._events.put(None)

    def wait(self, seconds: float) -> tuple[ContainerEvent, ...]:
        """Wait for an event, at most so long; those that came. Raises EngineUnavailable when the stream ended."""
        found = []
        try:
            event = self._events.get(timeout=max(seconds, 0.001))
            while event is not None:
                found.append(_container_event(event))
                event = self._events.get_nowait()
        except queue.Empty:
            return tuple(found)
        if found:
            self._events.put(None)  # these first; the end is told by the next call
        elif not self._closed:
            raise EventStreamEnded("the Docker Engine ended its event stream", "launcher status")
        return tuple(found)

    def close(self) -> None:
        """End the subscription."""
        self._closed = True
        if self._stream is not None:
            with contextlib.suppress(Exception):
                self._stream.close()


def endpoint() -> str | None:
    """The engine's address as the docker command would choose it; None for the usual socket."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    from docker.context import ContextAPI

    name = os.environ.get("DOCKER_CONTEXT")
    context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    if context is None or context.Name == "default":
        return None
    return str(context.Host)


def _with_deadline(stream: Iterator[Any], seconds: float) -> Iterator[Any]:
    """The items of a stream; None once when no item came for so long."""
    items: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        try:
            for item in stream:
                items.put(("item", item))
            items.put(("end", None))
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            items.put(("error", error))

    threading.Thread(target=read, daemon=True, name="engine pull").start()
    while True:
        try:
            kind, item = items.get(timeout=seconds)
        except queue.Empty:
            yield None
            return
        if kind == "error":
            raise item
        if kind == "end":
            return
        yield item


def _reason(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    for word, plain in (
        ("FileNotFoundError", "no such socket"),
        ("ConnectionRefused", "connection refused"),
        ("PermissionError", "permission denied"),
        ("timed out", "timed out"),
    ):
        if word in text or word in repr(error.__cause__):
            return plain
    return text.splitlines()[0][:160]


def _container(raw: Mapping[str, Any]) -> Container:
    health = _HEALTH.search(raw.get("Status", ""))
    return Container(
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


def _container_event(raw: Mapping[str, Any]) -> ContainerEvent:
    attributes = raw["Actor"]["Attributes"]
    code = attributes.get("exitCode")
    return ContainerEvent(
        time=datetime.fromtimestamp(raw["timeNano"] / 1e9, UTC),
        what=raw["Action"],
        container_id=raw["Actor"]["ID"],
        name=attributes.get("name", ""),
        labels=attributes,
        exit_code=int(code) if code is not None else None,
    )


def _detail(raw: Mapping[str, Any]) -> Detail:
    state = raw["State"]
    health = state.get("Health") or {}
    config = raw.get("Config") or {}
    check = config.get("Healthcheck") or {}
    logging = (raw.get("HostConfig") or {}).get("LogConfig") or {}
    return Detail(
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
        mounts=tuple(
            Mount(m["Type"], m.get("Name") or m.get("Source", ""), m["Destination"]) for m in raw.get("Mounts") or ()
        ),
        image_id=raw.get("Image", ""),
        memory_limit=(raw.get("HostConfig") or {}).get("Memory", 0),
    )


def _sample(raw: Mapping[str, Any]) -> Sample | None:
    memory = raw.get("memory_stats") or {}
    taken_at = moment(raw.get("read"))
    if taken_at is None or "usage" not in memory:
        return None
    # File pages that nobody uses are given back on demand. They are named so by cgroup v1 and v2.
    kinds = memory.get("stats") or {}
    cache = kinds.get("total_inactive_file", kinds.get("inactive_file", 0))
    return Sample(
        taken_at=taken_at,
        cpu_seconds=raw["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        memory_bytes=max(memory["usage"] - cache, 0),
        memory_limit_bytes=memory.get("limit", 0),
    )


def moment(text: str | None) -> datetime | None:
    """A time stamp of the engine's; None where it means never (year 1) or is none.

    It has nanoseconds, which datetime does not read.
    """
    if not text or text.startswith("0001-"):
        return None
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        return None
