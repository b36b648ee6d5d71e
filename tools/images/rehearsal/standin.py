#!/usr/bin/env python3
"""REHEARSAL: a small stand-in for Kestra, to practise with and to inject faults. It is not Kestra and runs no flow.

Arguments (`server standalone`) are ignored. The API (port 8080) asks for basic auth equal to
KESTRA_BASICAUTH_USERNAME and KESTRA_BASICAUTH_PASSWORD; health and version are on port 8081.

Every fault can also be changed while it runs, by a file named like the variable in /run/standin (the file wins):

    STANDIN_READY_AFTER=SECONDS            until then health and API answer 503; from the start, or from the file on
    STANDIN_HEALTH=up|down|hang            /health, /health/readiness; /health/liveness stays UP, as Kestra's does
    STANDIN_API=ok|401|500|hang|slow:SECONDS|garbage    everything below /api (401: only below /api/v1/main)
    STANDIN_AUTH_INITIALIZED=true|false    false: every call is 401; default: whether both credentials are set
    STANDIN_AUTH_ERRORS=TEXT               the one entry of the list of credential errors
    STANDIN_EXIT=CODE or CODE:AFTER_SECONDS    ends with that code
    STANDIN_LOG=TEXT                       lines printed at start, and when it changes
    STANDIN_MEMORY_MB=N                    takes that much memory
    STANDIN_STOP=ignore                    does not end on SIGTERM

STANDIN_HTTP_PORT (8080) and STANDIN_MANAGEMENT_PORT (8081) are read at start only.
"""

import base64
import hmac
import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import NoReturn

CONTROL = Path("/run/standin")
STARTED = time.time()
TICK = 0.1
PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>REHEARSAL (not Kestra)</title>
<body style="font-family:sans-serif"><h1 style="background:#b00020;color:#fff;padding:1em">REHEARSAL (not Kestra)</h1>
<p>This is a stand-in to practise with. It stores nothing and runs no flow.</p></body></html>"""


def setting_since(name: str) -> tuple[str, float]:
    file = CONTROL / name
    try:
        return file.read_text().strip(), file.stat().st_mtime
    except OSError:
        return os.environ.get(name, ""), STARTED


def setting(name: str) -> str:
    return setting_since(name)[0]


def ready() -> bool:
    seconds, since = setting_since("STANDIN_READY_AFTER")
    return time.time() >= since + float(seconds or 0)


def credentials() -> list[str]:
    return [os.environ.get(f"KESTRA_BASICAUTH_{name}", "") for name in ("USERNAME", "PASSWORD")]


def initialized() -> bool:
    said = setting("STANDIN_AUTH_INITIALIZED")
    return said == "true" if said else all(credentials())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""

    def route(self, path: str) -> None:
        raise NotImplementedError

    def handle_request(self) -> None:
        # A body left unread would be taken for the next request on this connection.
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self.route(self.path.partition("?")[0])
        except ConnectionError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_request

    def answer(self, code: int, body: object, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        length = str(len(content))
        for name, value in {"Content_Type": "application/json", "Content_Length": length, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def hang(self, name: str) -> None:
        while setting(name) == "hang":
            time.sleep(TICK)


class Management(Handler):
    def route(self, path: str) -> None:
        if path == "/version":
            self.answer(200, {"version": "rehearsal", "type": "REHEARSAL stand-in, not Kestra"})
        elif path == "/health/liveness":
            self.answer(200, {"status": "UP"})
        elif path in ("/health", "/health/readiness"):
            self.hang("STANDIN_HEALTH")
            up = ready() and setting("STANDIN_HEALTH") != "down"
            self.answer(200 if up else 503, {"status": "UP" if up else "DOWN"})
        else:
            self.answer(404, {"message": "not in the rehearsal"})


class Application(Handler):
    def route(self, path: str) -> None:
        if path == "/":
            self.answer(307, b"", Location="/ui/")
        elif path == "/ui" or path.startswith("/ui/"):
            self.answer(200, PAGE, Content_Type="text/html; charset=utf-8")
        elif path.startswith("/api/"):
            self.api(path)
        else:
            self.answer(404, {"message": "not in the rehearsal"})

    def api(self, path: str) -> None:
        self.hang("STANDIN_API")
        fault, _, seconds = setting("STANDIN_API").partition(":")
        time.sleep(float(seconds or 0))
        if not ready():
            self.answer(503, {"message": "starting"})
        elif fault == "500":
            self.answer(500, {"message": "a fault that was asked for"})
        elif fault == "garbage":
            self.answer(200, b'{"results": [\xff\x00')
        elif path == "/api/v1/configs":
            self.answer(200, {"version": "rehearsal", "isBasicAuthInitialized": initialized()})
        elif path == "/api/v1/basicAuthValidationErrors":
            self.answer(200, [text] if (text := setting("STANDIN_AUTH_ERRORS")) else [])
        elif path.startswith("/api/v1/main/") and (fault == "401" or not self.authorized()):
            self.answer(401, {"message": "Unauthorized"}, WWW_Authenticate='Basic realm="rehearsal"')
        elif path == "/api/v1/main/flows/search":
            self.answer(200, {"results": [], "total": 0})
        else:
            self.answer(404, {"message": "not in the rehearsal"})

    def authorized(self) -> bool:
        wanted = b"Basic " + base64.b64encode(":".join(credentials()).encode())
        return initialized() and hmac.compare_digest(self.headers.get("Authorization", "").encode(), wanted)


def on_sigterm(_signal: int, _frame: FrameType | None) -> None:
    if setting("STANDIN_STOP") != "ignore":
        os._exit(128 + signal.SIGTERM)


def obey_settings() -> NoReturn:
    """What happens by itself, without a request."""
    printed, memory = "", bytearray()
    while True:
        if (text := setting("STANDIN_LOG")) != printed:
            print(text, flush=True)
            printed = text
        wanted = int(setting("STANDIN_MEMORY_MB") or 0) << 20
        if wanted > len(memory):
            memory += b"\1" * (wanted - len(memory))  # written to, or the kernel would only promise it
        exit_setting, since = setting_since("STANDIN_EXIT")
        code, _, seconds = exit_setting.partition(":")
        if code and time.time() >= since + float(seconds or 0):
            os._exit(int(code))
        time.sleep(TICK)


def main() -> NoReturn:
    signal.signal(signal.SIGTERM, on_sigterm)
    print("REHEARSAL stand-in, not Kestra", flush=True)
    for name, port, handler in (("HTTP", 8080, Application), ("MANAGEMENT", 8081, Management)):
        server = ThreadingHTTPServer(("", int(os.environ.get(f"STANDIN_{name}_PORT", port))), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    obey_settings()


if __name__ == "__main__":
    main()
