"""Clients that flood, dawdle, or send what is no request: they get an answer or the door, and others notice nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from tests.engines import wait_for
from tests.web.served import Served

HOST = b"Host: 127.0.0.1:3500\r\n"


def status_seconds(served: Served) -> float:
    """How long a sign of life takes now."""
    began = time.monotonic()
    assert served.call("GET", "/api/status").status == 200
    return time.monotonic() - began


def test_slow_requests_are_ended_and_hold_nobody_up(served: Served) -> None:
    with contextlib.ExitStack() as open_:
        slow = [
            open_.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=5)) for _ in range(200)
        ]
        for number, connection in enumerate(slow):
            connection.sendall(b"GET /health HTTP/1.1\r\n" + (HOST if number % 2 else b""))
        began = time.monotonic()
        ended: set[int] = set()

        def drip() -> bool:
            for number, connection in enumerate(slow):
                if number in ended:
                    continue
                try:
                    connection.sendall(b"X")
                    connection.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        if not connection.recv(100):
                            ended.add(number)
                    connection.setblocking(True)
                except OSError:
                    ended.add(number)
            assert status_seconds(served) < 1
            return len(ended) == len(slow)

        wait_for(drip, 25, "every slow client is cut off", every=0.5)
        assert time.monotonic() - began < 20


def test_a_body_that_never_ends_is_cut_off(served: Served) -> None:
    head = b"POST /api/sessions HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", served.port), timeout=25) as connection:
        connection.sendall(head)
        with contextlib.suppress(ConnectionError):
            while connection.recv(1000):
                pass
    assert time.monotonic() - began < 20


def test_a_second_request_that_never_ends_is_cut_off(served: Served) -> None:
    """On a connection that is kept open each request has its own time; the first one's end does not count for it."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=25) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        connection.sendall(b"GET /health HTTP/1.1\r\n" + HOST)
        with contextlib.suppress(ConnectionError):
            while connection.recv(1000):
                pass
    assert 10 < time.monotonic() - began < 20


def test_ten_thousand_connections_are_refused_in_order(served: Served) -> None:
    head = b"GET /api/events HTTP/1.1\r\n" + HOST + f"Authorization: Bearer {served.token('viewer')}\r\n\r\n".encode()
    seen = {"open": 0, "refused": 0, "closed": 0}
    before = served.memory
    with contextlib.ExitStack() as open_:
        for _ in range(10_000):
            connection = socket.socket()
            connection.settimeout(10)
            try:
                connection.connect(("127.0.0.1", served.port))
                connection.sendall(head)
                answer = connection.recv(300)
            except OSError:
                answer = b""
            if b" 200 " in answer:
                seen["open"] += 1
                open_.enter_context(connection)
                continue
            seen["refused" if b" 503 " in answer else "closed"] += 1
            connection.close()
        assert seen["open"] == 200, seen
        assert seen["refused"] == 9800, seen
        assert status_seconds(served) < 1
        assert served.memory - before < 40_000_000
    wait_for(lambda: status_seconds(served) < 0.5, 10, "all is as before")


def test_connections_beyond_the_limit_are_closed_and_the_server_lives(served: Served) -> None:
    with contextlib.ExitStack() as open_:
        for _ in range(700):
            with contextlib.suppress(OSError):
                open_.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=5))
    wait_for(lambda: status_seconds(served) < 0.5, 10, "all is as before")


@pytest.mark.parametrize("path", ["/api/sessions", "/api/services/kestra/start"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_a_large_body_is_refused_without_being_kept(served: Served, path: str, chunked: bool) -> None:
    before = served.memory
    size = 10_000_000
    told = b"Transfer-Encoding: chunked\r\n" if chunked else f"Content-Length: {size}\r\n".encode()
    token = f"Authorization: Bearer {served.token()}\r\n".encode()
    head = f"POST {path} HTTP/1.1\r\n".encode() + HOST + token + b"Content-Type: application/json\r\n" + told + b"\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(head)
        piece = b'"' + b"a" * 99_998 + b'"'
        answer = b""

        def listen() -> None:
            nonlocal answer
            with contextlib.suppress(OSError):
                answer = connection.recv(2000)

        listening = threading.Thread(target=listen)
        listening.start()
        with contextlib.suppress(OSError):
            for _ in range(size // len(piece)):
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        listening.join(10)
    assert answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 202", b"HTTP/1.1 409")), answer
    if path == "/api/sessions" or not chunked:  # a body that nobody reads is not counted, and not kept either
        assert answer.startswith(b"HTTP/1.1 413"), answer
    assert served.memory - before < 20_000_000


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /health HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /health HTTP/1.1\r\n" + HOST + b"".join(b"X%d: a\r\n" % n for n in range(100_000)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\x00\x00\x00\x00\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        b"POST /api/sessions HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + HOST + b" folded: x\r\n\r\n",
    ],
    ids=["1 MB header", "1 MB path", "100 000 headers", "TLS", "raw bytes", "zeros", "length", "two lengths",
         "folded"],
)  # fmt: skip
def test_what_is_no_request_is_refused(served: Served, request_: bytes) -> None:
    answer = served.raw(request_)
    assert not answer.startswith(b"HTTP/1.1 200") or b"folded" in request_, answer[:200]
    assert b"Traceback" not in answer
    assert status_seconds(served) < 1


TRAVERSALS = [
    "/page/../tokens.py", "/page/..%2ftokens.py", "/page/%2e%2e/tokens.py", "/page/%2e%2e%2ftokens.py",
    "/page/..%5ctokens.py", "/page/%00", "/page/main.js%00.css", "/page//etc/passwd", "/page/%2fetc%2fpasswd",
    "/page/./main.js/..", "/page/" + "a" * 5000, "/page/%c0%ae%c0%ae/tokens.py", "/page/%ff%fe", "/page/index.en.html",
    "/page", "/page/", "/../.launcher/token", "/%2e%2e/.launcher/token", "/page/main.js/",
]  # fmt: skip


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leads_out_of_the_page(served: Served, path: str) -> None:
    answer = served.raw(b"GET " + path.encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer.split(b" ", 2)[1] == b"404", answer[:300]
    assert b"import" not in answer


NAMES = [
    "..",
    "../kestra",
    "%2e%2e",
    "..%2f..",
    "%00",
    "kestra%00",
    "-f",
    "KESTRA",
    "a" * 5000,
    "%ff",
    "kes%20tra",
    ".",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_id_that_cannot_be_one_is_the_id_of_nothing(served: Served, name: str) -> None:
    paths = [p for p in served.call("GET", "/openapi.json").json()["paths"] if "{" in p]
    assert len(paths) > 8
    for path in paths:
        target = path.replace("{service}", name).replace("{stack}", name).replace("{operation}", name)
        for method in (b"GET", b"POST"):
            token = f"Authorization: Bearer {served.token()}\r\n".encode()
            answer = served.raw(method + b" " + target.encode() + b" HTTP/1.1\r\n" + HOST + token + b"\r\n")
            assert answer.split(b" ", 2)[1] in (b"404", b"405"), (target, answer[:300])
