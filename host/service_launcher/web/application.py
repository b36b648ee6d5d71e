"""The application: the table of all routes, each with the authority it needs, and what each of them answers."""

from __future__ import annotations

import asyncio
import gzip
import importlib.metadata
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib.resources import files
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import FastAPI, Header, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse

from service_launcher.errors import LauncherError
from service_launcher.health_records import HealthReport
from service_launcher.installation import Installation
from service_launcher.metrics import exposition
from service_launcher.models import Action, Diagnosis, Explanation, Plan
from service_launcher.web import examples
from service_launcher.web.logs import MOST_LINES, WORD_LENGTH, LogStreams
from service_launcher.web.operations import Operations, Running
from service_launcher.web.protection import Addresses, Authority, Gate, Guard, GuardedRoute, declared, too_many
from service_launcher.web.refusals import Refused, error_response, refused
from service_launcher.web.shapes import PortsDocument, StatusDocument, ports_document, status_document
from service_launcher.web.stream import Feed, View
from service_launcher.web.tokens import Role, Tokens

PUBLIC, OPEN, VIEW, OPERATE = Authority.PUBLIC, Authority.OPEN, Authority.VIEW, Authority.OPERATE
FRESH_SECONDS = 2.0  # one answer serves all who ask within it: what anybody may ask must not cost an engine's time
MOST_EVENTS = 1000
KINDS = {
    "svg": "image/svg+xml",
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}
LANGUAGES = ("en", "pt")
ID = r"^[a-z0-9][a-z0-9_-]{0,62}$"

T = TypeVar("T")

ServiceName = Annotated[str, InPath(pattern=ID, description="A service's id or alias.", examples=["ledger"])]
OperationId = Annotated[str, InPath(pattern=r"^[0-9a-f]{12}$", examples=["3f9a1c0b77de"])]
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=8, max_length=100, pattern=r"^[\x21-\x7e]+$")]
ServiceQuery = Annotated[str, Query(pattern=ID)]


class Code(BaseModel):
    """A one-use code, as it stands in the fragment of the address that `launcher open` prints."""

    model_config = ConfigDict(extra="forbid")
    code: str = Field(min_length=1, max_length=100)


class Session(BaseModel):
    """The token that a code was worth, for the Authorization header, and what it allows."""

    token: str
    role: Role


class OperationDocument(BaseModel):
    """An operation: queued, running, succeeded, failed or cancelled; its progress by service, and how it ended."""

    model_config = ConfigDict(extra="allow")
    id: str
    action: Action
    services: list[str]
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    command: str
    actor: str


class _Recent(Generic[T]):
    """The last answer to a question that takes time; asked once however many want to know."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask, self._lock = ask, threading.Lock()
        self._answer: T | None = None
        self._until = 0.0

    def __call__(self) -> T:
        with self._lock:
            if self._answer is None or time.monotonic() > self._until:
                self._answer = self._ask()
                self._until = time.monotonic() + FRESH_SECONDS
            return self._answer


@dataclass(frozen=True)
class _File:
    """A file of the page, ready to be sent."""

    body: bytes
    packed: bytes
    kind: str
    tag: str


class Api:
    """What the routes answer; the launcher decides, this only words it."""

    def __init__(self, installation: Installation, tokens: Tokens, addresses: Addresses) -> None:
        self.installation, self.tokens, self.addresses = installation, tokens, addresses
        self.guard = Guard(tokens, addresses.loopback)
        self.operations = Operations(
            installation, lambda document: self.feed.publish("change", {"operations": [document]})
        )
        self.feed = Feed(installation, self.operations.documents)
        self.logs = LogStreams()
        self.page = _page()
        self._health = _Recent(lambda: installation.readable()[0].health())
        self._diagnosis = _Recent(lambda: installation.current().doctor())
        self._status: tuple[View, bytes] | None = None

    def close(self) -> None:
        """End what is open and under way; called when the server is told to end, before it waits for its clients."""
        self.feed.close()
        self.logs.close()
        self.operations.close()

    # The page.

    async def index(self, request: Request) -> Response:
        """The page, in the language that the browser asks for."""
        return _sent(request, self.page[f"index.{_language(request)}.html"], {"Vary": "Accept-Language"})

    async def file(self, request: Request, name: Annotated[str, InPath(max_length=60)]) -> Response:
        """A file of the page."""
        if name not in self.page or name.startswith("index."):
            raise HTTPException(404)
        return _sent(request, self.page[name])

    # Signing in.

    async def sign_in(self, body: Code) -> Session:
        """Trade a one-use code for its token."""
        found = self.tokens.redeem(body.code)  # first: whoever tries wrong ones must lock nobody out
        if found is None:
            if self.guard.attempts.exhausted():
                raise too_many()
            self.guard.attempts.failed()
            raise Refused(401, "permission", "this code was used, or is older than a minute", "launcher open")
        return Session(role=found[0], token=found[1])

    async def new_code(self, request: Request) -> dict[str, str]:
        """A one-use code for a browser; it is worth what the caller's token is worth."""
        return {"code": self.tokens.new_code(request.state.role), "role": request.state.role}

    async def who(self, request: Request) -> dict[str, str]:
        """What the caller's token allows."""
        return {"role": request.state.role}

    # Open on loopback.

    async def alive(self) -> dict[str, str]:
        """A sign of life."""
        return {"status": "ok", "service": "service-launcher-api"}

    async def status(self) -> Response:
        """The status of everything in the words that older dashboards know."""
        view = await self.feed.view()
        if self._status is None or self._status[0] is not view:
            self._status = view, status_document(view).model_dump_json().encode()
        return Response(self._status[1], media_type="application/json")

    async def services(self) -> Response:
        """Every service: an array at the root."""
        return JSONResponse(list((await self.feed.view()).services.values()))

    async def service(self, service: ServiceName) -> Response:
        """One service by id or alias."""
        view = await self.feed.view()
        try:
            return JSONResponse(view.services[view.launcher.graph.resolve(service)])
        except LauncherError as error:
            raise refused(error) from error

    async def ports(self) -> PortsDocument:
        """The ports of the services."""
        return ports_document(await self.feed.view())

    def health(self) -> Response:
        """What `launcher health --format json` prints."""
        return Response(self._health().model_dump_json(), media_type="application/json")

    def metrics(self) -> Response:
        """For Prometheus."""
        text = exposition(self._health(), self.operations.launches())
        return Response(text, media_type="text/plain; version=0.0.4")

    async def openapi(self, request: Request) -> Response:
        """This API as an OpenAPI document."""
        return JSONResponse(request.app.openapi())

    # For viewers.

    async def events(
        self, last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=60)] = None
    ) -> StreamingResponse:
        """Server-sent events: `snapshot`, then `change` and `event`; resumed by Last-Event-ID."""
        messages = await self.feed.listen(last_event_id)
        return StreamingResponse(messages, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    def timeline(
        self,
        service: Annotated[str | None, Query(pattern=ID)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_EVENTS)] = 200,
    ) -> list[dict[str, Any]]:
        """What was recorded, oldest first."""
        found = self._told(lambda: self.installation.readable()[0].events(service, limit))
        return [event.model_dump(mode="json") for event in found]

    async def log(
        self,
        service: ServiceName,
        tail: Annotated[int, Query(ge=0, le=MOST_LINES)] = 500,
        since: datetime | None = None,
        grep: Annotated[str | None, Query(max_length=WORD_LENGTH)] = None,
        follow: bool = False,
    ) -> StreamingResponse:
        """The output of a service's container, one JSON object a line; secrets are masked. `grep` is plain text."""
        launcher, _ = await run_in_threadpool(self.installation.readable)
        if since is not None and since.tzinfo is None:
            raise Refused(422, "config", "since needs a time zone")
        lines = await self.logs.lines(launcher, service, tail, since, grep, follow)
        return StreamingResponse(lines, media_type="application/x-ndjson", headers={"X-Accel-Buffering": "no"})

    def explanation(self, service: ServiceName) -> Explanation:
        """Why a service is not ready, with what shows it and the next command."""
        return self._told(lambda: self.installation.readable()[0].explain(service))

    def plan(self, action: Action, service: ServiceQuery) -> Plan:
        """What an operation would do now, and why; changes nothing."""
        return self._told(lambda: self.installation.current().plan(action, [service]))

    def doctor(self) -> Diagnosis:
        """What would hurt this installation now or later, each with a fix."""
        return self._told(self._diagnosis)

    def plugins(self) -> dict[str, Any]:
        """The installed plugins: where each comes from, and whether it works."""
        found = self.installation.readable()[0].plugins
        return {
            "plugins": [{**vars(p), "hooks": list(p.hooks)} for p in found.found.values()],
            "problems": [p.model_dump(mode="json") for p in found.problems],
        }

    async def all_operations(self) -> list[dict[str, Any]]:
        """The operations that this server has begun, oldest first."""
        return self.operations.documents()

    async def operation(self, operation: OperationId) -> Response:
        """One operation."""
        return JSONResponse(self.operations.get(operation).document())

    # For operators.

    def start(self, request: Request, service: ServiceName, key: Key = None) -> Response:
        """Start a service and what it needs."""
        return self._begun(self.operations.begin("start", [service], [], _actor(request), key))

    def stop(self, request: Request, service: ServiceName, key: Key = None) -> Response:
        """Stop a service after what depends on it; data stays."""
        return self._begun(self.operations.begin("stop", [service], [], _actor(request), key))

    def restart(self, request: Request, service: ServiceName, key: Key = None) -> Response:
        """Stop a service with what depends on it, and start all of these again."""
        return self._begun(self.operations.begin("restart", [service], [], _actor(request), key))

    def start_stack(self, request: Request, stack: Annotated[str, InPath(pattern=ID)], key: Key = None) -> Response:
        """Start the services of a stack, less those whose owner declines a start by phase."""
        return self._begun(self.operations.begin("start", [], [stack], _actor(request), key))

    def stop_stack(self, request: Request, stack: Annotated[str, InPath(pattern=ID)], key: Key = None) -> Response:
        """Stop the services of a stack."""
        return self._begun(self.operations.begin("stop", [], [stack], _actor(request), key))

    def cancel(self, operation: OperationId) -> Response:
        """End an operation at its next step; what was begun is left as it is."""
        return JSONResponse(self.operations.cancel(operation).document(), 202)

    def auto_start(self, request: Request, service: ServiceName) -> dict[str, Any]:
        """The old page's button: begins a start and does not wait for its end."""
        running = self.operations.auto_start(service, _actor(request))
        words = f"{running.names[0]} is being started: GET /api/operations/{running.order.id}"
        return {"success": True, "message": words, "serviceId": running.names[0]}

    @staticmethod
    def _begun(running: Running) -> Response:
        headers = {"Location": f"/api/operations/{running.order.id}"}
        return JSONResponse(running.document(), 202, headers)

    @staticmethod
    def _told(ask: Callable[[], T]) -> T:
        try:
            return ask()
        except LauncherError as error:
            raise refused(error) from error


def table(api: Api) -> list[GuardedRoute]:
    """Every route: method, path, the authority it needs, and who answers."""

    def route(method: str, path: str, authority: Authority, endpoint: Callable[..., Any], **more: Any) -> GuardedRoute:
        example = examples.ANSWERS.get(f"{method} {path}")
        responses: dict[int | str, dict[str, Any]] = {
            status: {"description": words, "content": examples.ERROR} for status, words in _errors(method, authority)
        }
        if example:
            responses[more.get("status_code", 200)] = example
        more.setdefault("response_model", None)
        return GuardedRoute(path, endpoint, authority=authority, methods=[method], responses=responses, **more)

    begun: dict[str, Any] = {"status_code": 202, "response_model": OperationDocument}
    return [
        route("GET", "/", OPEN, api.index, include_in_schema=False),
        route("GET", "/page/{name}", OPEN, api.file, include_in_schema=False),
        route("GET", "/openapi.json", OPEN, api.openapi, include_in_schema=False),
        route("GET", "/health", PUBLIC, api.alive),
        route("GET", "/metrics", OPEN, api.metrics, response_class=Response),
        route("GET", "/api/status", OPEN, api.status, response_model=StatusDocument),
        route("GET", "/api/services", OPEN, api.services),
        route("GET", "/api/services/{service}", OPEN, api.service),
        route("GET", "/api/ports", OPEN, api.ports, response_model=PortsDocument),
        route("GET", "/api/health/full", OPEN, api.health, response_model=HealthReport),
        route("POST", "/api/sessions", PUBLIC, api.sign_in, response_model=Session),
        route("GET", "/api/sessions", VIEW, api.who),
        route("POST", "/api/codes", VIEW, api.new_code),
        route("GET", "/api/events", VIEW, api.events, response_class=StreamingResponse),
        route("GET", "/api/timeline", VIEW, api.timeline),
        route("GET", "/api/services/{service}/logs", VIEW, api.log, response_class=StreamingResponse),
        route("GET", "/api/services/{service}/explanation", VIEW, api.explanation, response_model=Explanation),
        route("GET", "/api/plan", VIEW, api.plan, response_model=Plan),
        route("GET", "/api/doctor", VIEW, api.doctor, response_model=Diagnosis),
        route("GET", "/api/plugins", VIEW, api.plugins),
        route("GET", "/api/operations", VIEW, api.all_operations, response_model=list[OperationDocument]),
        route("GET", "/api/operations/{operation}", VIEW, api.operation, response_model=OperationDocument),
        route("POST", "/api/operations/{operation}/cancel", OPERATE, api.cancel, **begun),
        route("POST", "/api/services/{service}/start", OPERATE, api.start, **begun),
        route("POST", "/api/services/{service}/stop", OPERATE, api.stop, **begun),
        route("POST", "/api/services/{service}/restart", OPERATE, api.restart, **begun),
        route("POST", "/api/stacks/{stack}/start", OPERATE, api.start_stack, **begun),
        route("POST", "/api/stacks/{stack}/stop", OPERATE, api.stop_stack, **begun),
        route("POST", "/api/auto-start/{service}", OPERATE, api.auto_start),
    ]


class Application(FastAPI):
    """The routes of one installation."""

    def __init__(self, api: Api) -> None:
        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            api.feed.open()
            yield
            await asyncio.to_thread(api.close)

        super().__init__(
            title="Service Launcher",
            version=importlib.metadata.version("service-launcher"),
            summary="Starts, stops and watches the services of an installation on Docker Compose.",
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            lifespan=lifespan,
            redirect_slashes=False,
        )
        self.state.guard = api.guard
        self.router.routes.extend(table(api))
        declared(self.router.routes)
        self.add_exception_handler(Refused, _refused)
        self.add_exception_handler(HTTPException, _http_error)
        self.add_exception_handler(RequestValidationError, _unprocessable)
        self.add_exception_handler(Exception, _unforeseen)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, with the way to send a token."""
        if self.openapi_schema is None:
            schema = super().openapi()
            scheme = {"token": {"type": "http", "scheme": "bearer", "description": "From .launcher/token"}}
            schema.setdefault("components", {})["securitySchemes"] = scheme
            for operations in schema["paths"].values():
                for operation in operations.values():
                    operation["responses"].setdefault("422", {"description": "Refused"})["content"] = examples.ERROR
        assert self.openapi_schema is not None
        return self.openapi_schema


def create(installation: Installation, tokens: Tokens, addresses: Addresses) -> tuple[Gate, Api]:
    """The application behind its gate, and what it has to close when it ends."""
    api = Api(installation, tokens, addresses)
    return Gate(Application(api), addresses), api


def _errors(method: str, authority: Authority) -> list[tuple[int, str]]:
    """What every route of a kind can refuse with."""
    found = [(400, "No request that can be read"), (403, "Not from this page, or not with this token")]
    found += [(401, "A token is needed, or this one is none"), (404, "Nothing of this name"), (429, "Too often")]
    found += [(503, "The Docker Engine does not answer, or too many ask")]
    if method == "POST":
        found += [(413, "The body is too large"), (415, "The body is no JSON")]
    if authority in (VIEW, OPERATE):
        found += [(502, "A plugin failed")]
    if authority is OPERATE:
        found += [(409, "Another operation is at work, or a check before the first change said no")]
    return found


def _actor(request: Request) -> str:
    return f"{request.state.role} (web)"


def _language(request: Request) -> str:
    """The first of our languages in Accept-Language, by quality; English where none is there."""
    wanted: list[tuple[float, str]] = []
    for item in request.headers.get("accept-language", "").split(","):
        name, _, quality = item.strip().partition(";q=")
        try:
            wanted.append((-float(quality or 1), name.partition("-")[0].lower()))
        except ValueError:
            continue
    ranked = [name for _, name in sorted(wanted, key=lambda w: w[0]) if name in LANGUAGES]
    return ranked[0] if ranked else LANGUAGES[0]


def _page() -> Mapping[str, _File]:
    """Every file of the page, read once: what is asked for is a key here and never a path."""
    found: dict[str, _File] = {}
    for item in files("service_launcher.web").joinpath("page").iterdir():
        suffix = item.name.rpartition(".")[2]
        if suffix not in KINDS:
            continue
        body = item.read_bytes()
        if item.name == "index.html":
            for language in LANGUAGES:
                found[f"index.{language}.html"] = _file(
                    body.replace(b'<html lang="en">', f'<html lang="{language}">'.encode(), 1), KINDS[suffix]
                )
        else:
            found[item.name] = _file(body, KINDS[suffix])
    return found


def _file(body: bytes, kind: str) -> _File:
    return _File(body, gzip.compress(body, 9, mtime=0), kind, f'"{sha256(body).hexdigest()[:20]}"')


def _sent(request: Request, file: _File, more: Mapping[str, str] | None = None) -> Response:
    headers = {"ETag": file.tag, "Cache-Control": "no-cache", **(more or {})}
    if request.headers.get("if-none-match") == file.tag:
        return Response(None, 304, headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, 200, {**headers, "Content-Encoding": "gzip"}, file.kind)
    return Response(file.body, 200, headers, file.kind)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error.response()


def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "there is nothing at this address", 405: "this address does not take this method"}
    words[413] = "the body is too large"
    return error_response(
        error.status_code, "unknown", words.get(error.status_code, "the request cannot be read"),
        headers=dict(error.headers or {}),
    )  # fmt: skip


def _unprocessable(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    # An id that cannot be one is the id of nothing; the value itself is not repeated.
    if first["loc"][0] == "path":
        return error_response(404, "config", "there is nothing of this name")
    place = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return error_response(422, "config", f"{place}: {first['msg']}"[:300])


def _unforeseen(_: Request, error: Exception) -> Response:
    # The gate, through which it goes on, tells the log.
    return error_response(500, "unknown", "this should not have happened; see the server's log", "launcher status")
