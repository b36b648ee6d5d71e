"""Reads from the Docker Engine: one list of all containers, details of one, the event stream, logs, image pulls.

The only module that imports the docker SDK, for streams and for engines elsewhere; a short question to an engine on
this machine does without. Its one write is pulling an image, because only this stream has the bytes.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from service_launcher.containers import (
    NONE,
    PROJECT,
    Container,
    ContainerEvent,
    Detail,
    EngineFacts,
    ImageFacts,
    Sample,
    Volume,
)
from service_launcher.errors import (
    ConfigurationError,
    EngineRefused,
    EngineUnavailable,
    EventStreamEnded,
    LauncherError,
)

if TYPE_CHECKING:
    from docker.api.client import APIClient

    from service_launcher.engine_socket import EngineSocket

USUAL_ADDRESS = "unix:///var/run/docker.sock"
READ_SECONDS = 2.0  # every reading command has to end within 3 s, also with a frozen engine
READ_AHEAD_BYTES = 64 * 1024  # of logs that are not followed
STALL_SECONDS = 60.0  # a pull without a single byte for this long has failed

_WATCHED = ("create", "start", "die", "stop", "oom", "destroy", "pause", "unpause", "health_status", "rename")

T = TypeVar("T")


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
            if address.startswith("unix:"):
                client.trust_env = False  # a socket has no proxy, and looking for one takes a third of each question
            return client

        # The version stands in the answer to a ping, too; asked for all its versions, an engine runs other programs.
        with contextlib.closing(connected(MINIMUM_DOCKER_API_VERSION)) as first:
            pong = first.get(f"{first.base_url}/_ping", timeout=self._read_seconds)
        return connected(pong.headers.get("Api-Version"))

    @cached_property
    def _socket(self) -> EngineSocket | None:
        """The engine's socket on this machine; None where only the SDK knows the way (TCP, TLS, SSH)."""
        from service_launcher.engine_socket import EngineSocket

        scheme, _, path = endpoint().partition("://")
        return EngineSocket(path, self._read_seconds) if scheme == "unix" else None

    def _ask(self, question: Callable[[APIClient], T]) -> T:
        """The SDK's answer. Raises docker's NotFound, and EngineUnavailable."""
        from docker.errors import APIError, DockerException, NotFound
        from requests.exceptions import RequestException

        try:
            return question(self._client)
        except NotFound:
            raise
        except APIError as error:
            raise _refused(error.explanation) from error
        except (DockerException, RequestException, OSError, ValueError) as error:
            raise _silent(error) from error

    def _body(self, path: str, query: Mapping[str, Any] = NONE) -> bytes | None:
        """The answer to a short question: a resource of the Engine API, None where the engine knows no such thing."""
        from service_launcher.engine_socket import NoAnswer, explanation

        asked = {name: value if isinstance(value, str) else json.dumps(value) for name, value in query.items()}
        try:
            if self._socket is not None:
                status, body = self._socket.get(path, asked)
            else:
                status, body = self._ask(lambda c: _got(c, path, asked, self._read_seconds))
        except NoAnswer as error:
            raise _silent(error) from error
        if status >= 400 and status != 404:
            raise _refused(explanation(body))
        return body if status != 404 else None

    def _one(self, path: str, read: Callable[[Any], T], query: Mapping[str, Any] = NONE) -> T | None:
        """What `read` makes of a JSON document; None where the engine knows no such thing."""
        body = self._body(path, query)
        with _understanding():
            return read(json.loads(body)) if body is not None else None

    def _each(
        self, path: str, read: Callable[[Any], T], query: Mapping[str, Any] = NONE, *, lines: bool = False
    ) -> tuple[T, ...]:
        """What `read` makes of each item of a JSON list, or of one document on each of the `lines`."""
        body = self._body(path, query)
        with _understanding():
            if body is None:
                raise LookupError
            items = [json.loads(line) for line in body.splitlines()] if lines else json.loads(body)
            if not isinstance(items, list):
                raise TypeError
            return tuple(map(read, items))

    def close(self) -> None:
        """Close the connections to the engine; the next question opens new ones."""
        self.__dict__.pop("_socket", None)
        if client := self.__dict__.pop("_client", None):
            client.close()

    def containers(self, label: str | None = None) -> tuple[Container, ...]:
        """Every container of the engine, running or not, or those with a label (`name=value`), in one call."""
        filters = {"label": [label]} if label else {}
        return self._each("/containers/json", Container.read, {"all": True, "filters": filters})

    def detail(self, container_id: str) -> Detail | None:
        """The inspection of one container, None when it is gone."""
        return self._one(f"/containers/{quote(container_id)}/json", Detail.read)

    def image(self, name: str) -> ImageFacts | None:
        """What a local image is, None when there is none of that name. Raises ConfigurationError for no name at all."""
        try:
            return self._one(f"/images/{quote(name, safe='/:@')}/json", ImageFacts.read)
        except EngineRefused as error:
            if "invalid reference" in error.summary:
                raise ConfigurationError(f"{name} is no name of an image", "correct it in .env") from error
            raise

    def network_exists(self, name: str) -> bool:
        """Whether there is a network of exactly this name."""
        return name in self._networks({"name": [name]})

    def project_networks(self, project: str) -> tuple[str, ...]:
        """The names of the networks that compose made for a project."""
        return self._networks({"label": [f"{PROJECT}={project}"]})

    def _networks(self, filters: Mapping[str, list[str]]) -> tuple[str, ...]:
        return self._each("/networks", lambda network: str(network["Name"]), {"filters": filters})

    def facts(self) -> EngineFacts:
        """The engine's version, its machine, and how fast it answers."""
        info = self._one("/info", dict)
        began = time.monotonic()
        self.ping()
        with _understanding():
            if info is None:
                raise LookupError
            return EngineFacts(
                version=info["ServerVersion"],
                seconds=time.monotonic() - began,
                api_version=self._socket.api_version if self._socket else self._client.api_version,
                memory_bytes=info["MemTotal"],
                cpus=info["NCPU"],
                data_root=info["DockerRootDir"],
                live_restore=info.get("LiveRestoreEnabled", False),
            )

    def sample(self, container_id: str) -> Sample | None:
        """What a container uses, without the second that the engine else waits for; None when it does not run."""
        once = {"stream": False, "one-shot": True}
        return self._one(f"/containers/{quote(container_id)}/stats", Sample.read, once)

    def volumes(self) -> dict[str, Volume]:
        """Every volume by its name."""

        def read(answer: Any) -> dict[str, Volume]:
            return {v["Name"]: Volume(v["Name"], v.get("Mountpoint", "")) for v in answer.get("Volumes") or ()}

        return self._one("/volumes", read) or {}

    def deaths(self, container_id: str, seconds: float) -> tuple[ContainerEvent, ...]:
        """How a container ended in the last seconds (`die`) and ran out of memory (`oom`), oldest first.

        The inspection of one that was restarted knows nothing of its last end. The engine remembers 256 events.
        """
        now = time.time()
        filters = {"container": [container_id], "event": ["die", "oom"]}
        asked = {"since": f"{now - seconds:.6f}", "until": f"{now:.6f}", "filters": filters}
        return self._each("/events", ContainerEvent.read, asked, lines=True)

    def log(self, container_id: str, lines: int, since: datetime | None) -> str:
        """The last lines that a container has written since a moment; empty when it is gone."""
        asked = {"stdout": True, "stderr": True, "tail": str(lines)}
        if since is not None:
            asked["since"] = f"{since.timestamp():.6f}"
        body = self._body(f"/containers/{quote(container_id)}/logs", asked) or b""
        return b"".join(_pieces(body)).decode("utf-8", "replace")

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._body("/_ping")

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

        def ask(client: APIClient) -> Iterator[bytes]:
            return client.logs(
                container_id,
                stream=True,
                timestamps=True,
                follow=follow,
                tail="all" if tail is None else tail,
                since=int(since.timestamp()) if since else None,
            )

        def ask_ahead(client: APIClient) -> Iterator[bytes]:
            # A copy of the session: what others ask at the same time may never fill a buffer.
            ahead = copy.copy(client)
            ahead.hooks = {"response": [_read_ahead]}
            return ask(ahead)

        stream = self._found(ask if follow else ask_ahead)
        try:
            yield from stream or ()
        except (DockerException, RequestException, HTTPError, OSError) as error:
            raise EngineUnavailable(
                f"the Docker Engine broke off the logs ({_reason(error)})", "launcher status"
            ) from error

    def pull(self, image: str, report: Callable[[int, int], None]) -> None:
        """Pull an image, reporting (bytes done, bytes known) over all layers. Raises LauncherError when it fails."""
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        layers: dict[str, tuple[int, int]] = {}
        fix = f"docker pull {image}, or name an image that is here (tools/images/build makes local ones)"
        try:
            self.ping()
            stream = self._client.pull(image, stream=True, decode=True)  # it knows tags and digests
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
        except (RequestException, HTTPError, OSError) as error:
            raise EngineUnavailable(
                f"the Docker Engine broke off the pull of {image} ({_reason(error)})", "launcher status"
            ) from error

    @contextlib.contextmanager
    def watch(self, since: datetime | None = None) -> Iterator[Changes]:
        """Subscribe to container events; the subscription stands when the block is entered.

        `since` is the engine's time after which events that it remembers (the last 256) are told first.
        """
        changes = Changes(self, since)
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


class Changes:
    """The container events since the subscription; read through `wait`."""

    def __init__(self, engine: Engine, since: datetime | None = None) -> None:
        self._engine = engine
        self._since = f"{since.timestamp():.6f}" if since else None
        self._events: queue.SimpleQueue[Mapping[str, Any] | ContainerEvent | None] = queue.SimpleQueue()
        self._subscribed = threading.Event()
        self._failure: BaseException | None = None
        self._stream: Any = None
        self._closed = False
        engine.ping()  # it has a deadline, and costs no thread
        threading.Thread(target=self._read, daemon=True, name="engine events").start()
        # A frozen engine accepts the connection and never answers: without this the caller would hang too.
        if not self._subscribed.wait(READ_SECONDS + 1):
            self._closed = True
            raise EngineUnavailable("the Docker Engine accepts connections and does not answer", "restart the engine")
        if self._failure is not None:
            raise self._failure

    def _read(self) -> None:
        filters = {"type": "container", "event": list(_WATCHED)}
        try:
            asked = {"decode": True, "filters": filters, "since": self._since}
            self._stream = self._engine._ask(lambda c: cast(Any, c).events(**asked))
            self._subscribed.set()
            if self._closed:  # nobody waits for it any more
                self._stream.close()
                return
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
                with _understanding():
                    found.append(event if isinstance(event, ContainerEvent) else ContainerEvent.read(event))
                event = self._events.get_nowait()
        except queue.Empty:
            return tuple(found)
        if found:
            self._events.put(None)  # these first; the end is told by the next call
        elif not self._closed:
            raise EventStreamEnded("the Docker Engine ended its event stream", "launcher status")
        return tuple(found)

    def tell(self, event: ContainerEvent) -> None:
        """Let the one who waits know what was heard elsewhere; from any thread."""
        self._events.put(event)

    def close(self) -> None:
        """End the subscription."""
        self._closed = True
        if self._stream is not None:
            with contextlib.suppress(Exception):
                self._stream.close()


class _Buffered(io.BufferedReader):
    """A response's body, read in large pieces; everything else about it is the body's own."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def _read_ahead(response: Any, **_: Any) -> None:
    """Let the SDK take its two small reads for each line of a log from memory; urllib3 takes 15 µs for each."""
    response.raw.auto_close = False  # at its end, of which the reader is told when the buffer is empty
    response.raw = _Buffered(response.raw, READ_AHEAD_BYTES)


def endpoint() -> str:
    """The engine's address as the docker command would choose it. Raises EngineUnavailable for an unknown context."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    name = os.environ.get("DOCKER_CONTEXT") or _current_context()
    if name in (None, "default"):
        return USUAL_ADDRESS
    from docker.context import ContextAPI

    try:
        address = ContextAPI.get_context(name).Host
    except Exception:  # noqa: BLE001 - what the SDK raises for a context that it cannot read is not documented
        address = None
    if not address:
        # Not the usual one: it would be told of another engine than the one that compose works on.
        raise EngineUnavailable(
            f"there is no docker context named {name}, or it has no address",
            "docker context ls, then: docker context use NAME; unset DOCKER_CONTEXT, where it names another",
        )
    return str(address)


def _current_context() -> str | None:
    """What `docker context use` has chosen."""
    folder = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    try:
        return json.loads(Path(folder, "config.json").read_text(encoding="utf-8")).get("currentContext") or None
    except (OSError, ValueError, AttributeError):
        return None


def _pieces(log: bytes) -> Iterator[bytes]:
    """The pieces of a log. Before each stand its stream, three zeros and its length (Engine API, "Stream format").

    A container with a terminal has no such headers.
    """
    at = 0
    while log[at + 1 : at + 4] == b"\0\0\0":
        begin = at + 8
        at = begin + int.from_bytes(log[at + 4 : begin], "big")
        yield log[begin:at]
    yield log[at:]


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


def _got(client: APIClient, path: str, query: Mapping[str, str], seconds: float) -> tuple[int, bytes]:
    answer = client.get(f"{client.base_url}/v{client.api_version}{path}", params=query, timeout=seconds)
    return answer.status_code, answer.content


@contextlib.contextmanager
def _understanding() -> Iterator[None]:
    """What answers in another shape than an engine does is as good as silent."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _silent(ValueError("its answer cannot be understood")) from error


def _refused(explanation: object) -> EngineRefused:
    return EngineRefused(
        f"the Docker Engine at {endpoint()} refuses to answer ({explanation})",
        "docker version; a newer launcher may be needed for this Engine",
    )


def _silent(error: Exception) -> EngineUnavailable:
    address, why = endpoint(), _reason(error)
    fix = "start it (systemctl start docker, or scripts/up), then: launcher status"
    if why == "permission denied":
        socket = address.removeprefix("unix://")
        fix = f"ls -l {socket}; join the group that it belongs to (sudo usermod -aG docker $USER), then log in again"
    return EngineUnavailable(f"the Docker Engine at {address} does not answer ({why})", fix)


def _reason(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    for word, plain in (
        ("FileNotFoundError", "no such socket"),
        ("ConnectionRefused", "connection refused"),
        ("Connection refused", "connection refused"),
        ("PermissionError", "permission denied"),
        ("timed out", "timed out"),
    ):
        if word in text or word in repr(error.__cause__):
            return plain
    return text.splitlines()[0][:160]
