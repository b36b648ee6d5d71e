"""A stand-in for an HTTP service on the loopback address: well, slow, ill, silent or dead, as a test tells it."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Behaviour = Literal["well", "slow", "ill", "silent", "dead"]


class StandIn:
    """Answers every GET and POST.

    `well` says 200 with `body`, `slow` takes `seconds`, `ill` says 500, `silent` never answers, `dead` refuses
    connections.
    """

    def __init__(self) -> None:
        self.behaviour: Behaviour = "well"
        self.body = "{}"
        self.seconds = 5.0
        self.requests: list[str] = []
        self._changed = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self._open()

    @property
    def url(self) -> str:
        """Where it is; the port stays the same when it dies and comes back."""
        return f"http://127.0.0.1:{self.port}"

    def be(self, behaviour: Behaviour, *, body: str | None = None, seconds: float | None = None) -> None:
        """Behave so from now on; requests that were kept waiting are let go."""
        self.body = self.body if body is None else body
        self.seconds = self.seconds if seconds is None else seconds
        self.behaviour = behaviour
        self._changed.set()
        self._changed = threading.Event()
        if behaviour == "dead":
            self.close()
        elif self._server is None:
            self._open()

    def close(self) -> None:
        """Give the port back."""
        self._changed.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _open(self) -> None:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stand_in.requests.append(self.path)
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                changed = stand_in._changed
                if stand_in.behaviour == "silent":
                    changed.wait()
                    return
                if stand_in.behaviour == "slow":
                    changed.wait(stand_in.seconds)
                content = stand_in.body.encode()
                self.send_response(500 if stand_in.behaviour == "ill" else 200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # who asked a slow service may have given up
                    self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                """Requests are kept in `requests`."""

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        server.block_on_close = False  # a client that is kept waiting must not keep us
        self.port = server.server_port
        self._server = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
