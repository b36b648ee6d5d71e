"""Every route says what its caller needs; nobody gets more, and no secret leaves by a way that it should not take."""

from __future__ import annotations

import ast
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import service_launcher.web
from service_launcher.web.protection import GuardedRoute, declared

from tests.engines import wait_for
from tests.installations import Installation
from tests.web.served import LAUNCHER, Served

#: The table of the design: what is open on loopback, what a viewer may, what only an operator may.
ROUTES = {
    "public": {"GET /health", "POST /api/sessions"},
    "open": {
        "GET /metrics", "GET /api/status", "GET /api/services", "GET /api/services/{service}", "GET /api/ports",
        "GET /api/health/full",
    },
    "view": {
        "GET /api/sessions", "POST /api/codes", "GET /api/events", "GET /api/timeline",
        "GET /api/services/{service}/logs", "GET /api/services/{service}/explanation", "GET /api/plan",
        "GET /api/doctor", "GET /api/plugins", "GET /api/operations", "GET /api/operations/{operation}",
    },
    "operate": {
        "POST /api/services/{service}/start", "POST /api/services/{service}/stop",
        "POST /api/services/{service}/restart", "POST /api/stacks/{stack}/start", "POST /api/stacks/{stack}/stop",
        "POST /api/operations/{operation}/cancel", "POST /api/auto-start/{service}",
    },
}  # fmt: skip
FILLED = {"{service}": "kestra", "{stack}": "tools", "{operation}": "0123456789ab"}
STREAMS = ("GET /api/events", "GET /api/services/{service}/logs")


def routes(served: Served) -> Iterator[tuple[str, str, str]]:
    """Authority, method and path of every documented route."""
    for path, methods in served.call("GET", "/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            yield operation["x-authority"], method.upper(), path


def filled(path: str) -> str:
    for name, value in FILLED.items():
        path = path.replace(name, value)
    return path + ("?action=stop&service=kestra" if path == "/api/plan" else "")


def test_the_table_of_routes_is_the_one_that_was_decided(served: Served) -> None:
    found: dict[str, set[str]] = {}
    for authority, method, path in routes(served):
        found.setdefault(authority, set()).add(f"{method} {path}")
    assert found == ROUTES


def test_a_route_without_a_declared_authority_is_found_at_start_up() -> None:
    from fastapi import FastAPI
    from starlette.routing import Route

    async def nothing() -> None: ...

    with pytest.raises(TypeError):
        GuardedRoute("/forgotten", nothing)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="/forgotten declares no authority"):
        GuardedRoute("/forgotten", nothing, authority="open")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="/forgotten declares no authority"):
        declared([Route("/forgotten", nothing)])
    with pytest.raises(TypeError, match=r"/openapi.json declares no authority"):
        declared(FastAPI().routes)


def test_without_a_token_every_guarded_route_gives_one_answer_and_a_viewer_changes_nothing(stopped: Served) -> None:
    began = time.time()
    bodies = set()
    for authority, method, path in routes(stopped):
        answer = stopped.call(method, filled(path), None, {} if method == "POST" else None)
        if authority in ("view", "operate"):
            assert answer.status == 401, (method, path, answer.body)
            body = answer.json()
            body.pop("fallbackCommand", None)
            bodies.add(str(body))
        if authority == "operate":
            assert stopped.call(method, filled(path), "viewer", {}).status == 403, (method, path)
    assert len(bodies) == 1
    assert stopped.installation.engine.events(began) == []


def test_reading_changes_nothing(stopped: Served) -> None:
    began = time.time()
    for method in ("GET", "HEAD", "OPTIONS"):
        for _, _, path in routes(stopped):
            if f"GET {path}" not in STREAMS:
                stopped.call(method, filled(path), "operator")
    assert stopped.installation.engine.events(began) == []


def test_no_secret_is_given_to_who_has_none(served: Served) -> None:
    secrets = [served.token(), served.token("viewer"), *(
        line.partition("=")[2] for line in (served.installation.root / ".env").read_text().splitlines()
        if "PASSWORD" in line
    )]  # fmt: skip
    assert len(secrets) == 4
    paths = [filled(path) for _, _, path in routes(served)]
    pages = [f"/page/{f.name}" for f in (Path(service_launcher.web.__file__).parent / "page").iterdir()]
    assert len(pages) > 10
    for path in ["/", "/openapi.json", *paths, *pages]:
        answer = served.call("GET", path)
        told = answer.body.decode() + str(answer.headers)
        assert not [secret for secret in secrets if secret in told], path
        assert "set-cookie" not in answer.headers


def test_a_code_is_worth_a_token_once(served: Served) -> None:
    address = served.code()
    assert address.startswith("http://127.0.0.1:3500/#code=")
    code = address.partition("#code=")[2]
    assert code not in served.token()
    first = served.call("POST", "/api/sessions", None, {"code": code})
    assert first.json() == {"role": "operator", "token": served.token()}
    assert served.call("POST", "/api/sessions", None, {"code": code}).status == 401
    viewer = served.code("viewer").partition("#code=")[2]
    assert served.call("POST", "/api/sessions", None, {"code": viewer}).json()["role"] == "viewer"


def test_a_token_is_taken_from_the_header_only_and_never_logged(served: Served) -> None:
    token = served.token()
    assert served.call("GET", f"/api/plugins?token={token}").status == 400
    assert served.call("GET", f"/api/plugins?access_token={token}").status == 400
    assert served.call("GET", "/api/plugins", headers={"Cookie": f"token={token}"}).status == 401
    assert (
        served.call("GET", "/api/plugins", headers={"Referer": f"http://127.0.0.1:3500/?token={token}"}).status == 401
    )
    assert served.call("GET", "/api/plugins", headers={"Authorization": f"Basic {token}"}).status == 401
    assert served.call("GET", "/api/plugins", "operator").status == 200
    root = served.installation.root
    for file in (root / "served.log", root / ".launcher/events.jsonl"):
        assert not file.exists() or token not in file.read_text()


#: `launcher serve` with one route that fails in a way that nobody foresaw, by words that hold the caller's token.
FAILING = """
from fastapi import Request
from service_launcher.__main__ import main
from service_launcher.web.application import Api

async def who(self, request: Request):
    "What the caller's token allows."
    raise RuntimeError(request.headers["authorization"])

Api.who = who
main()
"""


def test_a_token_is_in_no_log_and_no_answer_even_when_the_server_fails(home: Installation, tmp_path: Path) -> None:
    log, command = tmp_path / "log", [sys.executable, "-c", FAILING, "--root", str(home.root), "serve"]
    with (
        log.open("w") as out,
        subprocess.Popen([*command, "--port", "3514"], env=home.environment, stdout=out, stderr=out) as process,
    ):
        served = Served(home, process, 3514)
        try:
            wait_for(served.answers, 20, "it answers")
            token = served.token()
            answers = [
                served.call("GET", "/api/sessions", "operator"),
                served.call("GET", f"/nothing?code={token}", "operator"),
                served.call("GET", f"/api/services/{token}", "operator", headers={"Referer": token, "Cookie": token}),
                served.call("GET", f"/api/timeline?token={token}"),
                served.call("POST", "/api/services/nobody/start", "operator", {}),
            ]
        finally:
            process.terminate()
    assert answers[0].status == 500
    assert answers[0].json()["message"] == "this should not have happened; see the server's log"
    assert [answer.status for answer in answers[1:]] == [404, 404, 400, 404]
    assert not [answer for answer in answers if token in answer.body.decode() + str(answer.headers)]
    assert "RuntimeError" in log.read_text(), "what happened is in the log"
    written = [log, *(home.root / ".launcher").rglob("*.jsonl"), *home.root.rglob("*.log")]
    assert not [path for path in written if token in path.read_text()]


@pytest.fixture
def neighbour() -> Iterator[int]:
    """A process in a second network namespace, joined to this one by a cable: 198.51.100.9 there, .8 here."""
    with subprocess.Popen(["unshare", "--net", "sleep", "infinity"]) as process:
        inside, own = ["nsenter", "--net", f"--target={process.pid}", "ip"], os.readlink("/proc/thread-self/ns/net")
        wait_for(lambda: os.readlink(f"/proc/{process.pid}/ns/net") != own, 10, "it has a network of its own")
        cable = ["ip", "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(process.pid)]
        try:
            subprocess.run(cable, check=True)
            for ip, name, address in ((["ip"], "here", "198.51.100.8/24"), (inside, "there", "198.51.100.9/24")):
                subprocess.run([*ip, "address", "add", address, "dev", name], check=True)
                subprocess.run([*ip, "link", "set", name, "up"], check=True)
            yield process.pid
        finally:
            process.kill()


def test_who_is_on_another_machine_reaches_nothing(served: Served, neighbour: int, tmp_path: Path) -> None:
    listening = {
        connection.laddr.ip
        for connection in psutil.Process(served.process.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1", "::1"}

    def asked(port: int) -> int:
        curl = ["curl", "-s", "-o", "/dev/null", "--max-time", "5", f"http://198.51.100.8:{port}/"]
        there = ["nsenter", "--net", f"--target={neighbour}"]
        return subprocess.run([*there, *curl], capture_output=True, check=False).returncode

    assert asked(served.port) == 7  # curl's word for a connection that was refused
    command = [sys.executable, "-m", "http.server", "--bind", "198.51.100.8", "3515"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as control:
        wait_for(lambda: asked(3515) == 0, 10, "a server on the cable is reached")
        control.terminate()


def test_guessing_is_slowed_down_and_locks_nobody_out(home: Installation) -> None:
    with Served.started(home, "--port", "3511", port=3511) as served:
        guesses = [
            served.call("GET", "/api/plugins", headers={"Authorization": f"Bearer wrong{n}"}).status for n in range(30)
        ]
        assert guesses[0] == 401
        assert guesses[-1] == 429
        assert served.call("POST", "/api/sessions", None, {"code": "guess"}).status == 429
        assert served.call("GET", "/api/plugins", "viewer").status == 200


def test_secrets_are_compared_in_constant_time() -> None:
    source = Path(service_launcher.web.__file__).with_name("tokens.py").read_text()
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}
    assert "hmac.compare_digest" in calls
    assert not re.search(r"token\s*==|==\s*token", source)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_token_files_are_ours_alone_from_the_first_byte(tmp_path: Path, umask: int) -> None:
    trace = tmp_path / "trace"
    program = (
        f"import os; os.umask({umask}); from pathlib import Path; from service_launcher.web import tokens; "
        f"print(tokens.ensure(Path({str(tmp_path / 'token')!r})))"
    )
    done = subprocess.run(
        ["strace", "-f", "-e", "trace=openat,chmod,fchmod", "-o", str(trace), sys.executable, "-c", program],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert len(done.stdout.strip()) == 43
    opened = [line for line in trace.read_text().splitlines() if f'{tmp_path}/token"' in line and "O_CREAT" in line]
    assert len(opened) == 1
    for flag in ("O_EXCL", "O_NOFOLLOW", "0600"):
        assert flag in opened[0]
    assert "chmod" not in trace.read_text()
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


@pytest.mark.parametrize("spoilt", ["readable", "link", "second name", "fifo", "short", "foreign"])
def test_a_token_file_that_is_not_ours_alone_is_refused(tmp_path: Path, spoilt: str) -> None:
    from service_launcher.errors import ConfigurationError
    from service_launcher.web import tokens

    file = tmp_path / "token"
    if spoilt != "fifo":
        tokens.ensure(file)
    match spoilt:
        case "readable":
            file.chmod(0o640)
        case "link":
            file.rename(tmp_path / "real")
            file.symlink_to(tmp_path / "real")
        case "second name":
            os.link(file, tmp_path / "second")
        case "fifo":
            os.mkfifo(file, 0o600)
        case "short":
            file.write_text("short")
        case "foreign":
            os.chown(file, 65534, 65534)
    with pytest.raises(ConfigurationError):
        tokens.ensure(file)


def test_another_user_of_the_machine_can_neither_read_the_token_nor_act(served: Served) -> None:
    file = served.installation.root / ".launcher/token"
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    assert subprocess.run([*nobody, "cat", str(file)], capture_output=True, check=False).returncode != 0
    curl = [
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-X",
        "POST",
        f"{served.address}/api/services/kestra/stop",
    ]
    assert subprocess.run([*nobody, *curl], capture_output=True, check=True).stdout == b"401"


FOREIGN = [
    {"Origin": "http://evil.test"}, {"Origin": "http://127.0.0.1:8080"}, {"Origin": "http://localhost:8080"},
    {"Origin": "null"}, {"Origin": "http://127.0.0.1:3500.evil.test"}, {"Origin": "http://127.0.0.1"},
    {"Origin": "http://127.0.0.1:3500, http://evil.test"}, {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"}, {"Origin": ""},
]  # fmt: skip


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_another_page_changes_nothing_even_with_the_token(stopped: Served, headers: dict[str, str]) -> None:
    began = time.time()
    assert stopped.call("POST", "/api/services/kestra/start", "operator", {}, headers).status == 403
    assert stopped.call("GET", "/api/events", "operator", headers=headers).status == 403
    assert stopped.installation.engine.events(began) == []


def test_the_page_itself_and_scripts_without_an_origin_may(stopped: Served) -> None:
    own = {"Origin": "http://127.0.0.1:3500", "Sec-Fetch-Site": "same-origin"}
    operation = stopped.call("POST", "/api/services/kestra-postgres/start", "operator", {}, own)
    assert operation.status == 202, operation.body
    stopped.ended(operation.json())
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert stopped.call("POST", "/api/services/kestra-postgres/stop", "operator", {}, form).status == 415


def test_every_answer_carries_the_headers_that_protect_the_page(served: Served) -> None:
    answers = [served.call("GET", path) for path in ("/", "/page/main.js", "/api/status", "/nothing", "/api/plugins")]
    answers.append(served.call("POST", "/api/services/kestra/start", None, {}, {"Origin": "http://evil.test"}))
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy == (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers
    page = answers[0].body.decode()
    assert "<style" not in page
    assert not re.search(r"<script(?![^>]* src=)", page)
    assert not re.search(r"https?://|\son\w+=|style=", page)


def test_origins_that_are_named_may_read_what_is_open_and_nothing_else(home: Installation) -> None:
    board = "http://dashboard.example:9000"
    with Served.started(home, "--port", "3511", port=3511, CORS_ORIGIN=board) as served:
        answer = served.call("GET", "/api/status", headers={"Origin": board})
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == board
        assert "access-control-allow-credentials" not in answer.headers
        assert served.call("GET", "/api/status", headers={"Origin": board + ".evil.test"}).status == 403
        assert served.call("GET", "/api/plugins", headers={"Origin": board}).status == 401
        assert served.call("GET", "/api/plugins", "viewer", headers={"Origin": board}).status == 403
        assert served.call("POST", "/api/services/kestra/stop", "operator", {}, {"Origin": board}).status == 403


def test_beyond_loopback_it_is_served_only_when_asked_for_and_everything_needs_a_token(home: Installation) -> None:
    subprocess.run(["ip", "address", "add", "192.0.2.1/32", "dev", "lo"], check=False, capture_output=True)
    done = home.launcher("serve", "--host", "0.0.0.0", "--port", "3512", seconds=20)
    assert done.code == 2, done.text
    assert "must be told its name" in done.err
    command = [str(LAUNCHER), "--root", str(home.root), "serve", "--host", "192.0.2.1", "--port", "3513"]
    with subprocess.Popen(command, env=home.environment, stderr=subprocess.DEVNULL) as process:
        try:

            def asked(path: str, *more: str) -> str:
                curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *more, f"http://192.0.2.1:3513{path}"]
                return subprocess.run(curl, capture_output=True, text=True, check=False).stdout

            wait_for(lambda: asked("/health") == "200", 15, "it answers")
            token = (home.root / ".launcher/token.view").read_text().strip()
            for path in ("/api/status", "/api/services", "/metrics", "/api/health/full", "/openapi.json"):
                assert asked(path) == "401", path
                assert asked(path, "-H", f"Authorization: Bearer {token}") == "200", path
            assert asked("/health", "-H", "Host: 192.0.2.1.evil.test:3513") == "403"
        finally:
            process.terminate()


def test_values_in_a_header_that_is_no_text_break_nothing(served: Served) -> None:
    heads: list[Any] = [b"Authorization: Bearer \xff\xfe\x80", b"Authorization: Bearer", b"Authorization: \x80"]
    for head in heads:
        answer = served.raw(b"GET /api/plugins HTTP/1.1\r\nHost: 127.0.0.1:3500\r\n" + head + b"\r\n\r\n")
        assert answer.split(b" ", 2)[1] in (b"400", b"401"), answer
