"""Who may come in: Host before anything else, then Origin, size, and the authority that each route declares."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from typing import Any

from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service_launcher.web.refusals import Refused, error_response
from service_launcher.web.tokens import Attempts, Role, Tokens

log = logging.getLogger("service_launcher.web")

BODY_BYTES = 64 * 1024
SIGN_IN_BYTES = 1024
#: Wrong tokens or codes per minute, of all callers together; a right token always counts, so nobody is locked out.
WRONG_PER_MINUTE = 20

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
SIGN_IN = "/api/sessions"


class Authority(StrEnum):
    """What a caller needs for a route."""

    PUBLIC = "public"  # a sign of life, and the way in; open on every address
    OPEN = "open"  # open on loopback; elsewhere as `view`
    VIEW = "view"  # a token, the viewer's or the operator's
    OPERATE = "operate"  # the operator's token


@dataclass(frozen=True)
class Addresses:
    """Under which names this server is reached; a port belongs to each, and every other name is refused."""

    hosts: frozenset[str]
    loopback: bool = True
    cors: frozenset[str] = frozenset()

    @classmethod
    def of(cls, names: Iterable[str], port: int, loopback: bool, cors: Iterable[str] = ()) -> Addresses:
        """The names with a port; on port 80 a browser leaves the port away."""
        hosts = {f"{name}:{port}" for name in names} | ({*names} if port == 80 else set())
        return cls(frozenset(hosts), loopback, frozenset(cors))

    @property
    def origins(self) -> frozenset[str]:
        """The origins of the page itself; TLS is a proxy's in front."""
        return frozenset(f"{scheme}://{host}" for host in self.hosts for scheme in ("http", "https"))


class Gate:
    """The outermost layer: refuses by Host, Origin and size before any route is looked for; puts headers on answers."""

    def __init__(self, app: ASGIApp, addresses: Addresses) -> None:
        self._app, self._addresses = app, addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = _Headers(scope)
        reader = self._reader(scope, headers)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answer[name] = value
                answer["Date"] = formatdate(usegmt=True)
                answer.setdefault("Cache-Control", "no-store")
                if reader:
                    answer["Access-Control-Allow-Origin"] = reader
                    answer["Cross-Origin-Resource-Policy"] = "cross-origin"
                    answer.add_vary_header("Origin")
            await send(message)

        try:
            self._check(scope, headers, reader)
            await self._app(scope, _limited(receive, _limit(scope)), with_headers)
        except Refused as refusal:
            await refusal.response()(scope, receive, with_headers)
        except Exception as error:  # noqa: BLE001 - the server behind it would log its words, which may hold anything
            log.error("%s %s: %s", scope["method"], getattr(scope.get("route"), "path", "?"), place_of(error))

    def _check(self, scope: Scope, headers: _Headers, reader: str | None) -> None:
        # One Host, on the list, letter by letter; a target with an authority of its own would be a second one.
        if headers.all("host") not in ([host] for host in self._addresses.hosts) or not _is_path(scope):
            raise Refused(403, "permission", "this address is not one of the launcher's")
        origin, site = headers.one("origin"), headers.one("sec-fetch-site")
        foreign = (origin is not None and origin not in self._addresses.origins) or site in ("same-site", "cross-site")
        # A link elsewhere may lead to the page, as a navigation of the whole window and to nothing else.
        followed_link = (
            scope["method"] in SAFE and headers.one("sec-fetch-mode") == "navigate"
            and headers.one("sec-fetch-dest") == "document" and scope["path"] == "/"
        )  # fmt: skip
        if foreign and not followed_link and not reader:
            raise Refused(403, "permission", "another page asks; the launcher answers only its own")
        if b"token=" in scope["query_string"].lower():
            raise Refused(400, "permission", "a token is never taken from an address; send it in Authorization")
        if scope["method"] not in SAFE and headers.one("content-type"):
            kind = (headers.one("content-type") or "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise Refused(415, "unknown", "the body has to be application/json")
        length = headers.one("content-length") or "0"
        if not length.isdecimal() or int(length[:10]) > _limit(scope) or len(length) > 10:
            raise Refused(413, "unknown", f"the body may have {_limit(scope)} bytes", headers={"Connection": "close"})

    def _reader(self, scope: Scope, headers: _Headers) -> str | None:
        """The foreign origin that may read what is open anyway, if the installation names it."""
        origin = headers.one("origin")
        allowed = origin in self._addresses.cors and scope["method"] == "GET" and not headers.one("authorization")
        return origin if allowed else None


def place_of(error: BaseException) -> str:
    """An unforeseen exception as a log may hold it: its kind and where it was raised, enough to find it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace is not None else "?"
    return f"{type(error).__name__} at {place}"


class _Headers:
    def __init__(self, scope: Scope) -> None:
        self._raw: list[tuple[bytes, bytes]] = scope["headers"]

    def all(self, name: str) -> list[str]:
        return [value.decode("latin-1") for key, value in self._raw if key == name.encode()]

    def one(self, name: str) -> str | None:
        """The value; several become one that is on no list."""
        found = self.all(name)
        return ", ".join(found) if found else None


def _is_path(scope: Scope) -> bool:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.startswith(b"/") and not raw.startswith(b"//")


def _limit(scope: Scope) -> int:
    return SIGN_IN_BYTES if scope["path"] == SIGN_IN else BODY_BYTES


def _limited(receive: Receive, limit: int) -> Receive:
    """The body as it comes, up to the limit, for a caller who does not say how long it is."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(413)
        return message

    return counted


@dataclass
class Guard:
    """Decides whether a caller has the authority of a route."""

    tokens: Tokens
    loopback: bool
    attempts: Attempts = field(default_factory=lambda: Attempts(WRONG_PER_MINUTE, 60))

    def admit(self, request: Request, authority: Authority) -> Role | None:
        """The caller's role, None for one without a token where none is needed. Raises Refused."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        role = self.tokens.role(token.strip()) if scheme.lower() == "bearer" else None
        if role is None and token:
            if self.attempts.exhausted():
                raise too_many()
            self.attempts.failed()
        needs = Authority.VIEW if authority is Authority.OPEN and not self.loopback else authority
        if needs in (Authority.PUBLIC, Authority.OPEN):
            return role
        if role is None:
            raise Refused(
                401, "permission", "a token is needed. Try: launcher open", _command(request),
                headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        if needs is Authority.OPERATE and role is not Role.OPERATOR:
            raise Refused(403, "permission", "a viewer's token changes nothing. Try: launcher open", _command(request))
        return role


def too_many() -> Refused:
    """The answer to who has guessed too often."""
    return Refused(429, "permission", "too many wrong attempts; wait a minute", headers={"Retry-After": "60"})


def _command(request: Request) -> str:
    """The command that does the same as a refused request, for the old page to show."""
    named: Mapping[str, str] = request.path_params
    if request.method != "POST" or not named.get("service"):
        return ""
    action = request.url.path.rsplit("/", 1)[-1]
    return f"launcher {action if action in ('stop', 'restart') else 'start'} {named['service']}"


class GuardedRoute(APIRoute):
    """A route that declares the authority it needs; one without is a mistake that is found at start-up."""

    def __init__(self, path: str, endpoint: Callable[..., Any], *, authority: Authority, **more: Any) -> None:
        if not isinstance(authority, Authority):
            raise TypeError(f"{path} declares no authority")
        self.authority = authority
        extra = {"x-authority": str(authority)}
        if authority in (Authority.VIEW, Authority.OPERATE):
            extra["security"] = [{"token": []}]  # type: ignore[assignment]
        super().__init__(path, endpoint, openapi_extra=extra, **more)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind the guard: nothing of a request is read before its caller is known."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            request.state.role = request.app.state.guard.admit(request, self.authority)
            return await handle(request)

        return guarded


def declared(routes: Iterable[object]) -> None:
    """Raises TypeError for a route that is not guarded: what nobody has thought about is not served."""
    for route in routes:
        if not isinstance(route, GuardedRoute):
            raise TypeError(f"{getattr(route, 'path', route)} declares no authority")


def not_found() -> Response:
    """The answer to a path that is no route, the same for all of them."""
    return error_response(404, "unknown", "there is nothing at this address")
