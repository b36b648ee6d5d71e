"""Sockets, deadlines for clients, and signals: the application as a process."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
import threading
from collections.abc import Iterable, Sequence
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from service_launcher import ports
from service_launcher.errors import ConfigurationError, Interrupted, LauncherError
from service_launcher.installation import Installation
from service_launcher.web.application import Api, create
from service_launcher.web.protection import Addresses, log, place_of
from service_launcher.web.tokens import Tokens

REQUEST_SECONDS = 15.0  # for a request to come in whole
UNREAD_SECONDS = 15.0  # for a client to read what waits for it
SEND_BYTES = 64 * 1024  # in the kernel, for each client; what it does by itself are megabytes
CONNECTIONS = 400  # open at once; the next one is closed at once
HEADER_BYTES = 16 * 1024
LOOPBACK = ("127.0.0.1", "::1")
OWN_NAMES = ("127.0.0.1", "[::1]", "localhost", "launcher.localhost")


class Connection(H11Protocol):
    """One client, which has a limited time to say what it wants and to read what it gets."""

    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it in, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
            return
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Part of a request, or more."""
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._expect()
        super().data_received(data)
        # A cycle that has ended is that of the request before this one.
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            self._arrived()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._arrived()
        self._read()
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:  # uvicorn forgets it after a reset, and it holds all of this
            self.timeout_keep_alive_task.cancel()

    def pause_writing(self) -> None:
        """What was sent piles up."""
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._read()

    def _expect(self) -> None:
        self._arrived()
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _arrived(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


class Server(uvicorn.Server):
    """Ends open streams as soon as it is told to end; without that it would wait for clients that never leave."""

    def __init__(self, config: uvicorn.Config, api: Api) -> None:
        super().__init__(config)
        self._api = api
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: asyncio.Event | None = None

    async def main_loop(self) -> None:
        """Sleep until told to end: uvicorn's own loop wakes ten times a second, all that an idle server would do."""
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        if not self.should_exit:
            await self._told.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to end."""
        self._api.feed.close()
        self._api.logs.close()
        super().handle_exit(sig, frame)
        if self._loop is not None and self._told is not None:
            self._loop.call_soon_threadsafe(self._told.set)


def listen(hosts: Iterable[str], port: int) -> list[socket.socket]:
    """Sockets that listen on a port of each address. Raises LauncherError that says who has the port."""
    found: list[socket.socket] = []
    try:
        for host in hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                # Named, because asyncio switches Nagle's delay off only where it reads that this is TCP.
                own = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            except OSError:
                continue  # a machine without IPv6
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                own.bind((host, port))
            except OSError as error:
                own.close()
                if error.errno == errno.EADDRNOTAVAIL and host == "::1":
                    continue
                raise LauncherError(*_why(host, port, error)) from error
            own.listen(256)
            own.set_inheritable(True)
            port = own.getsockname()[1]
            found.append(own)
    except LauncherError:
        for own in found:
            own.close()
        raise
    return found


def addresses(host: str | None, port: int, names: Sequence[str] = (), cors: Iterable[str] = ()) -> Addresses:
    """The names under which a server on this address is reached. Raises ConfigurationError for one without names."""
    if host is None:
        return Addresses.of(OWN_NAMES, port, True, cors)
    own = [f"[{host}]" if ":" in host else host]
    if is_loopback(host):
        return Addresses.of([*OWN_NAMES, *own], port, True, cors)
    if ipaddress.ip_address(host).is_unspecified:
        if not names:
            raise ConfigurationError(
                f"{host} is every address of this machine, so the launcher must be told its name",
                "launcher serve --host ADDRESS --name HOST[:PORT]",
            )
        own = []
    listed = Addresses.of([*OWN_NAMES, *own], port, False, cors)
    more = {name if ":" in name.rpartition("]")[2] or name.isdecimal() else f"{name}:{port}" for name in names}
    return Addresses(listed.hosts | more, False, listed.cors)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address. Raises ConfigurationError for what is none."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise ConfigurationError(f"{host} is no IP address", "launcher serve --host 127.0.0.1") from None


def run(installation: Installation, tokens: Tokens, reached: Addresses, sockets: list[socket.socket]) -> None:
    """Serve until a signal to end; then streams are closed and operations cancelled, and this returns."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    threading.excepthook = _thread_ended
    gate, api = create(installation, tokens, reached)
    config = uvicorn.Config(
        gate,
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,  # the gate's: uvicorn's is kept up to date by its loop
        proxy_headers=False,
        h11_max_incomplete_event_size=HEADER_BYTES,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=3,
    )
    with contextlib.suppress(Interrupted, KeyboardInterrupt):
        Server(config, api).run(sockets)


def _thread_ended(failure: threading.ExceptHookArgs) -> None:
    name = failure.thread.name if failure.thread else "?"
    log.error("the thread %s has ended: %s", name, place_of(failure.exc_value) if failure.exc_value else "?")


def _why(host: str, port: int, error: OSError) -> tuple[str, str]:
    if error.errno == errno.EADDRINUSE:
        who = ports.holder(port) or "another process"
        free = ports.free_port(port + 1)
        return (
            f"port {port} is taken by {who}",
            f"launcher open, if that is a launcher; else: launcher serve --port {free}",
        )
    return f"the launcher cannot listen on {host} port {port}: {error.strerror}", "launcher serve --port 3500"
