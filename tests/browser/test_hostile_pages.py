"""Other pages in the operator's browser change nothing and read nothing; each way has its control, which works."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.browser.conftest import CHROMIUM, QUIET, NewPage
from tests.web.served import Served

pytestmark = pytest.mark.browser
PORT = 8099  # as Kestra's own page has another port of the same host name

#: What a page can try, as expressions of the launcher's address `a`; each is what it could read.
WAYS = {
    "json": """fetch(a + '/api/services/kestra/start', {method: 'POST', body: '{}',
        headers: {'Content-Type': 'application/json', Authorization: 'Bearer x'}}).then(r => r.text())""",
    "no-cors": """fetch(a + '/api/services/kestra/start', {method: 'POST', mode: 'no-cors', body: '{}'})
        .then(r => r.text())""",
    "credentials": "fetch(a + '/api/status', {credentials: 'include'}).then(r => r.text())",
    "read": "fetch(a + '/api/services').then(r => r.text())",
    "metrics": "fetch(a + '/metrics').then(r => r.text())",
    "page": "fetch(a + '/').then(r => r.text())",
    "beacon": "navigator.sendBeacon(a + '/api/auto-start/kestra', '{}') && ''",
    "image": """new Promise(d => { const i = new Image(); i.onload = () => d('loaded'); i.onerror = () => d('');
        i.src = a + '/page/icon.svg'; })""",
    "script": """new Promise(d => { const s = document.createElement('script'); s.onload = () => d('loaded');
        s.onerror = () => d(''); s.src = a + '/page/words.js'; s.type = 'module'; document.head.append(s); })""",
    "data as script": """new Promise(d => { const s = document.createElement('script'); s.onload = () => d('loaded');
        s.onerror = () => d(''); s.src = a + '/api/services'; document.head.append(s); })""",
    "events": """new Promise(d => { const e = new EventSource(a + '/api/events', {withCredentials: true});
        e.onopen = () => d('opened'); e.onerror = () => { e.close(); d(''); }; })""",
    "socket": """new Promise(d => { const s = new WebSocket(a.replace('http', 'ws') + '/api/events');
        s.onopen = () => d('opened'); s.onerror = () => d(''); })""",
    "prefetch": """new Promise(d => { const l = document.createElement('link'); l.rel = 'prefetch';
        l.href = a + '/api/services/kestra/start'; document.head.append(l); setTimeout(() => d(''), 300); })""",
    "frame": """new Promise(d => { const f = document.createElement('iframe'); f.src = a + '/';
        f.onload = () => { let t = ''; try { t = f.contentDocument.body.textContent } catch {} d(t); };
        document.body.append(f); })""",
    "form": """new Promise(d => { const f = document.createElement('form'), i = document.createElement('iframe');
        f.method = 'POST'; f.target = i.name = 'aside'; f.action = a + '/api/services/kestra/start';
        document.body.append(i, f); f.submit(); setTimeout(() => d(''), 700); })""",
}


@dataclass
class Elsewhere:
    """A server that is not the launcher; remembers what it was sent, and answers everything to everybody."""

    requests: list[str] = field(default_factory=list)

    def start(self) -> ThreadingHTTPServer:
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                requests.append(f"{self.command} {self.path}\n{self.headers}{body!r}")
                kind = {".svg": "image/svg+xml", ".js": "text/javascript"}.get(self.path[self.path.rfind(".") :])
                event = "text/event-stream" if self.path == "/api/events" else "text/html"
                content = b"<svg xmlns='http://www.w3.org/2000/svg'/>" if kind == "image/svg+xml" else b"// hello"
                self.send_response(200)
                self.send_header("Content-Type", kind or event)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Access-Control-Allow-Origin", self.headers.get("Origin", "*"))
                self.send_header("Access-Control-Allow-Credentials", "true")
                self.send_header("Access-Control-Allow-Headers", "authorization, content-type")
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_OPTIONS = answer

        server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    """The other server."""
    found = Elsewhere()
    server = found.start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def mapped(playwright: Playwright) -> Iterator[Browser]:
    """A browser for which names of strangers mean this machine, as after DNS rebinding."""
    rules = "--host-resolver-rules=MAP evil.test 127.0.0.1,MAP rebind.test 127.0.0.1"
    # Chromium's own question before a page asks this machine would answer in the launcher's place.
    features = "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests"
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, rules, features])
    yield browser
    browser.close()


def tried(page: Page, way: str, address: str) -> str:
    """What a page could read by a way."""
    script = f"async (a) => {{ try {{ return (await ({WAYS[way]})) ?? ''; }} catch {{ return ''; }} }}"
    return str(page.evaluate(script, address))


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"evil.test:{PORT}"])
def test_no_page_of_another_origin_changes_or_reads_anything(
    served: Served, mapped: Browser, elsewhere: Elsewhere, host: str
) -> None:
    served.call("GET", "/api/status")
    began = time.time()
    operations = served.call("GET", "/api/operations", "viewer").json()
    page = mapped.new_page()
    answers: dict[str, int] = {}
    page.on("response", lambda answer: answers.update({answer.url: answer.status}) if ":3500/" in answer.url else None)
    page.goto(f"http://{host}/")
    for way in WAYS:
        for address in ("http://127.0.0.1:3500", "http://localhost:3500"):
            assert tried(page, way, address) == "", (way, address)
    # The launcher itself refuses what the browser lets through: a frame, and a form's POST.
    for address in ("http://127.0.0.1:3500", "http://localhost:3500"):
        assert (answers[f"{address}/"], answers[f"{address}/api/services/kestra/start"]) == (403, 403)
    assert set(answers.values()) == {403}, answers
    assert served.call("GET", "/api/operations", "viewer").json() == operations
    assert served.installation.engine.events(began) == []

    # The control: the same page, by the same ways, reaches and reads a server that lets it.
    before = len(elsewhere.requests)
    read = {way: tried(page, way, f"http://{host}") for way in WAYS}
    for way in ("json", "no-cors", "read", "page", "image", "script", "events", "frame"):
        assert read[way], (way, read)
    arrived = "\n".join(elsewhere.requests[before:])
    for sent in ("POST /api/services/kestra/start", "POST /api/auto-start/kestra", "GET /api/events"):
        assert sent in arrived
    page.close()


def test_a_rebound_name_reaches_nothing_and_the_right_name_does(served: Served, mapped: Browser) -> None:
    page = mapped.new_page()
    answer = page.goto("http://rebind.test:3500/")
    assert answer is not None
    assert answer.status == 403
    assert "services" not in page.content()
    assert json.loads(page.inner_text("body"))["category"] == "permission"
    inside = "async (p) => (await fetch(p)).status"
    for path in ("/api/status", "/page/main.js", "/health", "/nothing"):
        assert page.evaluate(inside, path) == 403, path
    answer = page.goto("http://127.0.0.1:3500/")  # the control
    assert answer is not None
    assert answer.status == 200
    assert page.evaluate(inside, "/api/status") == 200
    page.close()


def test_nothing_secret_goes_to_another_port_and_kestras_page_may_link_here(
    served: Served, new_page: NewPage, elsewhere: Elsewhere
) -> None:
    page = new_page()
    token = served.token()
    assert page.evaluate("sessionStorage.getItem('launcher.token')") == token
    before = len(elsewhere.requests)
    for host in ("127.0.0.1", "localhost"):
        page.goto(f"http://{host}:{PORT}/")
        assert page.evaluate("sessionStorage.length + localStorage.length + document.cookie.length") == 0
        page.evaluate("fetch('/x', {credentials: 'include'}).then(() => 1)")
    assert not [r for r in elsewhere.requests[before:] if token in r or "Referer: http://127.0.0.1:3500" in r]
    page.evaluate("location.href = 'http://127.0.0.1:3500/'")
    expect(page.locator("h1")).to_have_text("Service Launcher")


def test_a_page_of_another_port_cannot_frame_the_launcher(
    served: Served, mapped: Browser, elsewhere: Elsewhere
) -> None:
    page = mapped.new_page()
    page.goto(f"http://127.0.0.1:{PORT}/")
    tried(page, "frame", "http://127.0.0.1:3500")
    assert all("Service Launcher" not in frame.content() for frame in page.frames[1:])
    tried(page, "frame", f"http://localhost:{PORT}")  # the control
    assert any("hello" in frame.content() for frame in page.frames[1:])
    page.close()
