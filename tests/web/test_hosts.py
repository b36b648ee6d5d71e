"""A Host that is not on the list gets one and the same refusal, before any route is looked for."""

from __future__ import annotations

import pytest

from tests.web.served import Served

REFUSED = [
    b"evil.test", b"evil.test:3500", b"127.0.0.1", b"localhost", b"[::1]", b"127.0.0.1.evil.test:3500",
    b"localhost.evil.test:3500", b"127.0.0.1:8080", b"localhost:8080", b"127.1:3500", b"0.0.0.0:3500",
    b"2130706433:3500", b"0x7f000001:3500", b"0177.0.0.1:3500", b"localhost.:3500", b"127.0.0.1.:3500",
    b"LOCALHOST:3500", b"Launcher.localhost:3500", b"evil.localhost:3500", b"[::ffff:127.0.0.1]:3500",
    b"[0:0:0:0:0:0:0:1]:3500", b"[::1%25lo]:3500", b"::1:3500", b"", b"127.0.0.1:03500", b"127.0.0.1:3500@evil.test",
    b"user@127.0.0.1:3500", b"127.0.0.1:3500, evil.test", b"127.0.0.1:3500/x", b"127.0.0.1:", b"\xff\xfe:3500",
    b"xn--lcalhost-54a:3500", b"127.0.0.1:3500#", b"null",
]  # fmt: skip
ACCEPTED = [b"127.0.0.1:3500", b"localhost:3500", b"[::1]:3500", b"launcher.localhost:3500"]
TARGETS = [
    ("GET", b"/"), ("GET", b"/page/main.js"), ("GET", b"/api/status"), ("GET", b"/api/events"), ("GET", b"/nothing"),
    ("OPTIONS", b"/api/services/kestra/start"), ("POST", b"/api/services/kestra/start"), ("HEAD", b"/health"),
]  # fmt: skip


def asked(served: Served, host: bytes, method: str = "GET", target: bytes = b"/health", more: bytes = b"") -> bytes:
    return served.raw(
        method.encode() + b" " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + more + b"Connection: close\r\n\r\n"
    )


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


@pytest.mark.parametrize("host", REFUSED)
def test_a_host_that_is_not_on_the_list_is_refused(served: Served, host: bytes) -> None:
    answer = asked(served, host)
    assert status(answer) in (400, 403), answer
    assert b"service-launcher-api" not in answer


def test_every_refused_host_gets_the_same_body_whatever_it_asks_for(served: Served) -> None:
    bodies = {asked(served, b"evil.test:3500", "GET", target).partition(b"\r\n\r\n")[2] for _, target in TARGETS}
    assert len(bodies) == 1
    for method, target in TARGETS:
        assert status(asked(served, b"evil.test:3500", method, target)) == 403, (method, target)


@pytest.mark.parametrize("host", ACCEPTED)
def test_a_host_on_the_list_is_answered(served: Served, host: bytes) -> None:
    assert status(asked(served, host)) == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:3500\r\nHost: evil.test\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:3500\r\nHost: 127.0.0.1:3500\r\n\r\n",
        b"GET http://evil.test/health HTTP/1.1\r\nHost: 127.0.0.1:3500\r\n\r\n",
        b"GET //evil.test/health HTTP/1.1\r\nHost: 127.0.0.1:3500\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1:3500\r\n\r\n",
    ],
    ids=["none", "none, 1.0", "two", "the same twice", "absolute target", "target with an authority", "asterisk"],
)
def test_a_missing_second_or_contradicted_host_is_refused(served: Served, head: bytes) -> None:
    assert status(served.raw(head)) in (400, 403)


def test_both_loopback_addresses_are_served_and_no_other(served: Served) -> None:
    six = served.raw(b"GET /health HTTP/1.1\r\nHost: [::1]:3500\r\nConnection: close\r\n\r\n", host="::1")
    assert status(six) == 200
    import psutil

    listening = {
        c.laddr.ip for c in psutil.Process(served.process.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1", "::1"}
