"""Each container that Docker starts adds an interface, and a browser gives up what is on its way: the page mends it."""

from __future__ import annotations

import itertools
import re
import subprocess
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.conftest import WAIT_MILLISECONDS, NewPage, visit
from tests.engines import PrivateEngine, wait_for
from tests.web.served import Served

pytestmark = pytest.mark.browser
KESTRA = "kestra-orchestrator"


@pytest.mark.parametrize(
    ("method", "path", "times"),
    [
        ("GET", "/page/style.css", 1),
        ("GET", "/page/main.js", 1),
        ("GET", "/page/words.js", 1),  # named in the document, too
        ("GET", "/page/timeline.js", 1),
        ("POST", "/api/sessions", 1),
        ("GET", "/api/sessions", 1),
        ("GET", "/api/sessions", 6),  # more often than a question is repeated
        ("GET", "/api/events", 1),
        ("POST", f"/api/services/{KESTRA}/start", 1),
    ],
)
def test_what_was_given_up_is_asked_again(served: Served, browser: Browser, method: str, path: str, times: int) -> None:
    given_up: list[str] = []

    def once(route: Route) -> None:
        if route.request.method == method and len(given_up) < times:
            given_up.append(path)
            return route.abort("connectionreset")
        return route.fallback()

    with browser.new_context(locale="en-US") as context:
        context.route(f"**{path}", once)
        page = context.new_page()
        page.set_default_timeout(10_000)
        visit(page, served.code())
        page.wait_for_selector("#connection.live")
        expect(page.locator("#session")).to_contain_text("Signed in as operator")
        expect(page.locator("#skip")).to_have_css("position", "absolute")  # by the style sheet
        if path.endswith("/start"):
            page.locator(f"tr[data-service={KESTRA}] button[data-action=start]:not([aria-disabled])").click()
            page.wait_for_selector("article.operation[data-state=succeeded]", timeout=WAIT_MILLISECONDS)
            begun = [o for o in served.call("GET", "/api/operations", "viewer").json() if o["action"] == "start"]
            assert len(begun) == 1
        assert given_up == [path] * times
        context.unroute_all(behavior="ignoreErrors")  # closing waits for a route that is still on its way, and for ever


def test_a_file_that_never_comes_ends_in_a_word_and_not_in_a_loop(served: Served, browser: Browser) -> None:
    with browser.new_context(locale="en-US") as context:
        loads: list[str] = []
        context.route("**/page/state.js", lambda route: route.abort("connectionreset"))
        page = context.new_page()
        page.on("request", lambda request: loads.append(request.url) if request.is_navigation_request() else None)
        visit(page, served.address)
        expect(page.locator("#connection")).to_have_text(re.compile("if this stays, reload the page"))
        # The driver hears of requests only while it waits.
        wait_for(lambda: page.wait_for_timeout(50) or len(loads) >= 6, 30, "it was loaded five times more")
        page.wait_for_timeout(2000)  # no event tells that nothing comes; the page pauses for 0.4 s between two loads
        assert len(loads) == 6
        context.unroute_all(behavior="ignoreErrors")


def test_the_page_opens_while_interfaces_come_and_go(interfaces: None, new_page: NewPage) -> None:
    for _ in range(8):
        expect(new_page().locator("#session")).to_contain_text("Signed in as operator")


def test_a_log_goes_on_where_the_connection_broke(served: Served, new_page: NewPage, engine: PrivateEngine) -> None:
    installation = served.installation
    assert installation.launcher("start").code == 0

    def say(words: str) -> None:
        engine.docker("exec", "tools-kestra", "sh", "-c", f"echo {words} > /proc/1/fd/1")

    with Served.started(installation, "--port", "3501", port=3501) as first:
        page = new_page("viewer", f"/?service={KESTRA}&panel=logs", at=first)
        say("before it")
        expect(page.locator(".log .line").last).to_contain_text("before it")
        first.process.kill()
        expect(page.locator(".logs .note")).to_contain_text("There is no connection.")
    say("while it was away")
    with Served.started(installation, "--port", "3501", port=3501):
        expect(page.locator(".log .line").last).to_contain_text("while it was away")
        say("after it")
        expect(page.locator(".log .line").last).to_contain_text("after it")
        for words in ("before it", "while it was away", "after it"):
            expect(page.locator(".log .line").filter(has_text=words)).to_have_count(1)


@pytest.fixture
def interfaces(served: Served) -> Iterator[None]:
    """Interfaces with addresses come and go, a few a second."""
    stop = threading.Event()

    def churn() -> None:
        for number in itertools.count():
            pair = f"ip link add v{number} type veth peer name w{number}"
            subprocess.run(f"{pair} && ip addr add 10.77.{number % 250}.1/24 dev v{number}", shell=True, check=True)
            stop.wait(0.2)
            subprocess.run(["ip", "link", "del", f"v{number}"], check=True)
            if stop.wait(0.3):
                return

    thread = threading.Thread(target=churn)
    thread.start()
    yield
    stop.set()
    thread.join()
