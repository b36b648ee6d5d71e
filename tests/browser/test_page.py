"""The page in a real Chromium, as an operator uses it: it drives real containers, and says when it does not know."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import WAIT_MILLISECONDS, NewPage, visit
from tests.engines import PrivateEngine, wait_for
from tests.faults.place_faults import install
from tests.installations import STAND_IN
from tests.registry import Registry
from tests.web.served import Served

pytestmark = pytest.mark.browser
KESTRA, POSTGRES = "kestra-orchestrator", "kestra-postgres"
GREEN = ".state.ready, .count.ready, #connection.live"


def row(page: Page, service: str = KESTRA) -> object:
    return page.locator(f"tr[data-service={service}]")


def has_state(page: Page, state: str, service: str = KESTRA, seconds: float = 60) -> None:
    page.wait_for_selector(f"tr[data-service={service}][data-state={state}]", timeout=seconds * 1000)


def press(page: Page, action: str, service: str = KESTRA) -> None:
    page.locator(f"tr[data-service={service}] button[data-action={action}]:not([aria-disabled])").click()


@pytest.fixture
def running(served: Served) -> Served:
    done = served.installation.launcher("start")
    assert done.code == 0, done.text
    return served


@pytest.fixture
def stopped(served: Served) -> Served:
    done = served.installation.launcher("stop")
    assert done.code == 0, done.text
    return served


@pytest.fixture
def frozen(running: Served, engine: PrivateEngine) -> Iterator[Served]:
    yield running
    engine.signal(signal.SIGCONT)


def test_a_service_is_started_killed_understood_and_mended_from_the_page(
    stopped: Served, new_page: NewPage, engine: PrivateEngine
) -> None:
    page = new_page()
    has_state(page, "stopped")
    expect(page.locator(f"tr[data-service={KESTRA}] .act code").first).to_have_text(f"launcher start {KESTRA}")
    press(page, "start")
    card = page.locator("article.operation").first
    expect(card).to_have_attribute("data-state", "running")
    expect(card).to_contain_text("waiting for its health check")
    expect(card).to_contain_text(re.compile(r"\d+ s"))
    has_state(page, "ready")
    expect(card).to_have_attribute("data-state", "succeeded")
    expect(row(page)).to_contain_text("REHEARSAL: a stand-in, not the real service")
    expect(row(page)).to_contain_text("running")
    link = row(page).get_by_role("link", name="Kestra Orchestrator")
    assert link.get_attribute("target") == "_blank"
    assert "noopener" in str(link.get_attribute("rel"))

    engine.docker("kill", "tools-kestra")
    page.wait_for_selector(f"tr[data-service={KESTRA}][data-container=exited]", timeout=3000)
    row(page).get_by_role("button", name="Why?").click()
    panel = page.locator("#panel")
    expect(panel).to_contain_text("Exit code: 137")
    expect(panel).to_contain_text("REHEARSAL stand-in, not Kestra")
    expect(panel.get_by_role("heading", name="Why?")).to_be_focused()
    panel.get_by_role("button", name=re.compile("^(Start|Restart)$")).click()
    dialog = page.get_by_role("dialog")
    has_state(page, "ready")
    expect(dialog).to_have_count(0)
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_a_taken_port_is_named_with_who_has_it_and_starting_again_works_when_it_is_free(
    stopped: Served, new_page: NewPage
) -> None:
    page = new_page()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", 8080))
        thief.listen()
        press(page, "start")
        card = page.locator("article.operation[data-state=failed]").first
        expect(card).to_contain_text("port 8080 (KESTRA_HTTP_PORT) is taken by the process")
        expect(card).to_contain_text("Try")
        found = stopped.call("GET", "/api/operations", "viewer").json()[-1]
        assert found["category"] == "port-conflict"
    card.get_by_role("button", name="Dismiss").click()
    press(page, "start")
    has_state(page, "ready")


def test_a_wrong_password_is_explained_and_mended_in_the_file_alone(running: Served, new_page: NewPage) -> None:
    page = new_page()
    has_state(page, "ready")
    local = running.installation.root / ".env.local"
    local.write_text("KESTRA_DB_PASSWORD=another1Password2of3\n")
    try:
        press(page, "restart", POSTGRES)
        page.get_by_role("dialog").get_by_role("button", name="Restart", exact=True).click()
        card = page.locator("article.operation[data-state=failed]").first
        expect(card).to_be_visible(timeout=90_000)
        row(page, POSTGRES).get_by_role("button", name="Why?").click()
        expect(page.locator("#panel .cause")).to_contain_text(
            "KESTRA_DB_PASSWORD is not the password that the database was first started with", timeout=WAIT_MILLISECONDS
        )
        assert "another1Password2of3" not in page.content()
    finally:
        local.unlink()
    press(page, "start")
    has_state(page, "ready")


def test_a_frozen_engine_is_said_and_nothing_stays_green(
    frozen: Served, new_page: NewPage, engine: PrivateEngine
) -> None:
    page = new_page()
    has_state(page, "ready")
    engine.signal(signal.SIGSTOP)
    has_state(page, "unknown", seconds=6)
    has_state(page, "unknown", POSTGRES, seconds=6)
    expect(page.locator("#connection")).to_contain_text("The Docker Engine does not answer")
    expect(page.locator(GREEN)).to_have_count(0)
    expect(row(page)).to_contain_text(re.compile(r"last known: ready, \d+ s ago"))
    engine.signal(signal.SIGCONT)
    has_state(page, "ready", seconds=20)


def test_a_server_that_is_silent_or_gone_is_said_with_the_age_of_what_is_seen(
    running: Served, new_page: NewPage
) -> None:
    page = new_page()
    has_state(page, "ready")
    running.process.send_signal(signal.SIGSTOP)
    try:
        page.wait_for_selector("#connection.bad", timeout=8000)
        expect(page.locator("#connection")).to_contain_text(re.compile(r"Connection to the launcher lost \d+ s ago"))
        expect(page.locator(GREEN)).to_have_count(0)
        has_state(page, "unknown", seconds=1)
        expect(row(page)).to_contain_text("last known: ready")
        expect(row(page).locator("button[data-action=stop]")).to_have_attribute("title", "There is no connection.")
    finally:
        running.process.send_signal(signal.SIGCONT)
    page.wait_for_selector("#connection.live", timeout=10_000)
    has_state(page, "ready", seconds=10)


def test_a_reload_in_mid_operation_finds_it_again_and_it_can_be_cancelled(
    stopped: Served, new_page: NewPage, engine: PrivateEngine
) -> None:
    file = stopped.installation.root / ".env.local"
    file.write_text("STANDIN_READY_AFTER=60\n")
    compose = stopped.installation.root / "tools/compose/docker-compose.tools.yml"
    original = compose.read_text()
    try:
        compose.write_text(
            original.replace("    environment:\n", "    environment:\n      STANDIN_READY_AFTER: '60'\n", 1)
        )
        page = new_page()
        press(page, "start")
        expect(page.locator("article.operation").first).to_contain_text("waiting for its health check", timeout=30_000)
        visit(page)
        card = page.locator("article.operation[data-state=running]").first
        expect(card).to_contain_text("kestra-orchestrator: waiting for its health check", timeout=30_000)
        expect(row(page).locator("button[data-action=stop]")).to_have_attribute("title", "An operation is under way.")
        card.get_by_role("button", name="Cancel").click()
        expect(page.locator("article.operation[data-state=cancelled]").first).to_be_visible(timeout=5000)
        assert engine.inspect("tools-kestra", "{{.State.Status}}") == "running", "what was begun is left as it is"
    finally:
        compose.write_text(original)
        file.unlink()


def test_stopping_asks_where_others_depend_on_it_and_says_what_will_happen(running: Served, new_page: NewPage) -> None:
    page = new_page()
    has_state(page, "ready")
    press(page, "stop", POSTGRES)
    dialog = page.get_by_role("dialog", name="Stop Kestra PostgreSQL?")
    expect(dialog.get_by_role("listitem")).to_have_count(2)
    expect(dialog.get_by_role("listitem").first).to_contain_text("stop kestra-orchestrator")
    expect(dialog).to_contain_text("launcher stop kestra-postgres")
    expect(dialog.get_by_role("button", name="Cancel", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert running.call("GET", "/api/operations", "viewer").json()[-1]["action"] != "stop"
    press(page, "stop", KESTRA)  # nobody depends on Kestra, so nobody is asked
    has_state(page, "stopped")
    has_state(page, "ready", POSTGRES)


def test_two_tabs_see_the_same_and_a_viewer_can_only_look(running: Served, new_page: NewPage) -> None:
    operator, viewer, stranger = new_page(), new_page("viewer"), new_page(None)
    for page in (operator, viewer, stranger):
        has_state(page, "ready", seconds=15)
    expect(viewer.locator("#session")).to_contain_text("Signed in as viewer")
    stop = row(viewer).locator("button[data-action=stop]")
    expect(stop).to_have_attribute("title", "A viewer's token changes nothing.")
    stop.click(force=True)
    expect(viewer.get_by_role("dialog")).to_have_count(0)
    expect(stranger.locator("#sign-in")).to_contain_text("launcher open")
    expect(row(stranger).locator("button[data-action=stop]")).to_have_attribute("title", "Sign in first.")
    assert "code" not in operator.evaluate("location.href")
    assert operator.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"

    press(operator, "stop")
    for page in (operator, viewer, stranger):
        has_state(page, "stopped", seconds=15)
    expect(viewer.locator("article.operation").first).to_contain_text("launcher stop kestra-orchestrator")
    stranger.fill("#token", running.token())
    stranger.get_by_role("button", name="Sign in").click()
    stranger.wait_for_selector("#connection.live")
    expect(stranger.locator("#session")).to_contain_text("Signed in as operator")
    stranger.get_by_role("button", name="Sign out").click()
    expect(stranger.locator("#sign-in")).to_contain_text("launcher open")


def test_a_code_that_was_used_and_a_token_that_is_none_are_said(served: Served, new_page: NewPage) -> None:
    address = served.code()
    page = new_page(None)
    visit(page, address)
    visit(page)
    page.wait_for_selector("#connection.live")
    other = new_page(None)
    visit(other, address)
    visit(other)  # the fragment alone does not load the page again
    visit(other, served.address + "/?again#" + address.partition("#")[2])
    expect(other.locator("#sign-in .wrong")).to_contain_text("used already")
    other.fill("#token", "x" * 43)
    other.get_by_role("button", name="Sign in").click()
    expect(other.locator("#sign-in .wrong")).to_contain_text("not valid")


def test_filters_stand_in_the_address_and_an_address_can_be_shared(running: Served, new_page: NewPage) -> None:
    page = new_page()
    has_state(page, "ready")
    page.keyboard.press("/")
    page.keyboard.type("postgres")
    expect(page.locator("tr.service")).to_have_count(1)
    assert "q=postgres" in page.url
    page.get_by_role("button", name=re.compile("ready 2")).click()
    assert "state=ready" in page.url
    other = new_page("viewer", "/?q=postgres&state=ready")
    expect(other.locator("tr.service")).to_have_count(1)
    expect(other.locator("#filter")).to_have_value("postgres")
    page.fill("#filter", "nothing like it")
    expect(page.locator("#view")).to_contain_text("No service matches the filter.")
    page.go_back()
    expect(page.locator(".count[aria-pressed=true]")).to_contain_text("All")


def test_the_timeline_tells_who_and_why_the_doctor_what_to_do_and_plugins_where_from(
    running: Served, new_page: NewPage, engine: PrivateEngine
) -> None:
    page = new_page("viewer")
    running.ended(running.begin("start"))
    engine.docker("kill", "tools-kestra")
    page.get_by_role("link", name="Timeline").click()
    expect(
        page.locator("#view tbody tr").filter(has_text="container ended").filter(has_text="exit code: 137").first
    ).to_be_visible()
    expect(page.locator("#view tbody tr").filter(has_text="operator (web)").first).to_be_visible()
    page.get_by_role("combobox", name="What").select_option("operation.finished")
    expect(page.locator("#view tbody tr").filter(has_text="state changed")).to_have_count(0)
    page.get_by_role("link", name="Doctor").click()
    expect(page.locator(".findings li.warn").first).to_contain_text("Try")
    page.get_by_role("link", name="Plugins").click()
    plugin = page.locator("tr.plugin").filter(has_text="kestra")
    for words in ("active", "launcher-kestra", "launcher_kestra.plugin", KESTRA):
        expect(plugin).to_contain_text(words)


def test_an_image_that_has_to_come_first_is_shown_byte_by_byte(
    stopped: Served, new_page: NewPage, engine: PrivateEngine, tmp_path: Path
) -> None:
    page = new_page()
    assert stopped.installation.compose("down").code == 0  # no container holds on to the image
    local = stopped.installation.root / ".env.local"
    with Registry.serving(engine, STAND_IN, tmp_path, bytes_per_second=20_000_000) as registry:
        engine.docker("image", "rm", "--force", STAND_IN)
        local.write_text(f"KESTRA_IMAGE={registry.image}\n")
        try:
            press(page, "start")
            step = page.locator("article.operation li").filter(has_text="pulling the image")
            expect(step.locator("progress")).to_be_visible()
            seen: set[str] = set()

            def more() -> bool:
                seen.update(re.findall(r"(\d+) of \d+ MB", step.text_content() or ""))
                return len(seen) > 2

            wait_for(more, 20, "its bytes grow", every=0.05)
            has_state(page, "ready")
        finally:
            local.unlink()
            engine.docker("load", "--input", str(tmp_path / "image.tar"))
    stopped.ended(stopped.begin("start"))
    assert stopped.call("GET", f"/api/services/{KESTRA}").json()["current"]["image"] == STAND_IN


def test_a_failed_plugin_and_the_stand_in_are_plainly_marked(
    running: Served, new_page: NewPage, browser: Browser, tmp_path: Path
) -> None:
    page = new_page("viewer")
    expect(row(page).locator(".mark.rehearsal")).to_have_text("REHEARSAL: a stand-in, not the real service")
    expect(page.locator(".mark.broken")).to_have_count(0)
    entry = {
        "id": "shelf", "type": "tools", "path": ".", "start": "true", "stack": "tools", "plugin": "shelf",
        "managed": "docker-compose",
    }  # fmt: skip
    manifest = running.installation.root / "config/services-manifest.json"
    whole = manifest.read_text()
    document = json.loads(whole)
    document["services"].append(document["services"][0] | {"compose": None, "aliases": [], "depends_on": []} | entry)
    exported = install(tmp_path / "installed", "shelf", "raise RuntimeError('its file is missing')\n")
    try:
        manifest.write_text(json.dumps(document))
        with Served.started(running.installation, "--port", "3511", port=3511, **exported) as other:
            second = browser.new_page(locale="en-US")
            visit(second, other.code("viewer"))
            broken = second.locator("tr[data-service=shelf]")
            expect(broken.locator(".mark.broken")).to_have_text("plugin not working")
            expect(broken).to_have_attribute("data-state", "unknown")
            expect(broken).to_contain_text("its file is missing")
            expect(row(second).locator(".mark.broken")).to_have_count(0)
            second.get_by_role("link", name="Plugins").click()
            expect(second.locator("tr.plugin.failed")).to_contain_text("its file is missing")
            second.close()
    finally:
        manifest.write_text(whole)


def test_numbers_of_use_are_there_while_somebody_looks(running: Served, new_page: NewPage) -> None:
    page = new_page("viewer")
    expect(row(page).locator(".use")).to_contain_text(re.compile(r"[\d.]+ %.*\d+ MB"), timeout=20_000)
    assert row(page).locator(".use svg polyline").count() == 2
    expect(row(page).locator(".checked")).to_contain_text(re.compile(r"checked \d+ s ago"))


def test_a_hundred_thousand_lines_are_searched_filtered_and_scrolled_smoothly(
    running: Served, new_page: NewPage, engine: PrivateEngine, tmp_path: object
) -> None:
    lines = (
        "import sys\nfor n in range(100_000):\n"
        " sys.stdout.write(f'{n:06d} ' + ('ERROR ' if n % 1000 == 7 else 'INFO ')"
        " + '<img src=x onerror=alert(1)> \\u202e what happened here\\n')"
    )
    engine.docker("exec", "tools-kestra", "sh", "-c", f'python3 -c "{lines}" > /proc/1/fd/1')
    page = new_page("viewer", f"/?service={KESTRA}&panel=logs")
    expect(page.locator(".log .line").first).to_be_visible()
    page.get_by_role("combobox", name="Lines").select_option("100000")
    expect(page.locator(".logs .note")).to_contain_text("100000 of 100000 lines", timeout=30_000)
    expect(page.locator(".log .line").last).to_contain_text("099999 INFO <img src=x onerror=alert(1)> \\x202e what")
    assert page.locator(".log .line").count() < 200

    frames = page.evaluate(
        """async () => { const box = document.querySelector('.log'), frames = []; let last = performance.now();
        for (let n = 0; n < 120; n++) { box.scrollTop = (box.scrollHeight * n) / 120;
          await new Promise(requestAnimationFrame);
          const now = performance.now(); frames.push(now - last); last = now; }
        return frames.sort((a, b) => a - b); }"""
    )
    assert frames[60] < 40, f"half of the frames took more than {frames[60]:.0f} ms"
    assert frames[114] < 120, f"one frame in twenty took more than {frames[114]:.0f} ms"
    page.get_by_role("combobox", name="Level").select_option("error")
    expect(page.locator(".logs .note")).to_contain_text("100 of 100000 lines")
    page.get_by_role("searchbox", name="Search (regular expression)").fill(r"^00[12]\d07")
    expect(page.locator(".logs .note")).to_contain_text("2 of 100000 lines")
    page.get_by_role("searchbox", name="Search (regular expression)").fill(r"^0[12]\d007")
    expect(page.locator(".logs .note")).to_contain_text("20 of 100000 lines")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    text = download.value.path().read_text()
    assert len(text.splitlines()) == 20
    assert "010007 ERROR" in text
    page.get_by_role("searchbox", name="Search (regular expression)").fill("(")
    expect(page.locator(".logs .note")).to_contain_text("This is no regular expression.")
    page.get_by_role("searchbox", name="Search (regular expression)").fill("")
    page.get_by_role("combobox", name="Level").select_option("all")
    page.get_by_label("Wrap lines").check()
    page.get_by_role("button", name="Pause").click()
    engine.docker("exec", "tools-kestra", "sh", "-c", "echo comes while it is paused > /proc/1/fd/1")
    resume = page.get_by_role("button", name="Go on (1 new)")
    expect(resume).to_be_visible()
    expect(page.locator(".log")).not_to_contain_text("comes while it is paused")
    resume.click()
    expect(page.locator(".log .line").last).to_contain_text("comes while it is paused")
    # In one step, because lines are drawn anew as they come.
    below = "document.querySelector('.log').getBoundingClientRect().bottom"
    last = "[...document.querySelectorAll('.log .line')].at(-1).getBoundingClientRect().bottom"
    assert page.evaluate(f"{last} <= {below} + 1"), "the newest line is in sight"


def test_names_and_texts_from_containers_are_only_ever_text(running: Served, new_page: NewPage) -> None:
    hostile = '<img src=x onerror="alert(1)"> javascript:alert(1)'
    manifest = running.installation.root / "config/services-manifest.json"
    original = manifest.read_text()
    entry = '{"id": "evil", "type": "tools", "path": ".", "start": %s, "title": %s, "stack": "tools", "port": 9},' % (
        (__import__("json").dumps(hostile),) * 2
    )
    try:
        manifest.write_text(original.replace('"services": [', '"services": [' + entry, 1))
        page = new_page("viewer")
        expect(row(page, "evil")).to_contain_text(hostile, timeout=15_000)
        assert row(page, "evil").locator("img").count() == 0
        visit(page, f"{running.address}/?service=evil&panel=why")
        expect(page.locator("#panel")).to_contain_text(hostile)
        for address in ("javascript:alert(1)", "data:text/html,x", "nonsense"):
            kind = page.evaluate("async (a) => (await import('/page/element.js')).outward(a, 'x').tagName", address)
            assert kind == "SPAN"
        visit(page, f"{running.address}/?service=%3Cimg%3E&panel=%3Cimg%3E&view=%3Cimg%3E&q=%3Cimg src=x%3E")
        page.wait_for_selector("#connection.live")
        assert page.locator("img").count() == 0
    finally:
        manifest.write_text(original)
        wait_for(lambda: running.call("GET", "/api/services/evil").status == 404, 15, "it is gone")


def test_the_first_paint_is_early_the_page_is_light_and_asks_nobody_else(running: Served, new_page: NewPage) -> None:
    page = new_page(None)
    asked: list[str] = []
    bytes_ = 0
    page.on("request", lambda request: asked.append(request.url))
    paints: list[float] = []

    def early() -> bool:
        visit(page, running.address)
        page.wait_for_selector("tr.service")
        paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        return len(paints) >= 5 and sorted(paints[-5:])[2] < 200

    wait_for(early, 30, "the middle one of five first paints is early, once no other test has the processors")
    for url in {u for u in asked if "/api/" not in u}:
        assert url.startswith(running.address), url
        found = running.call("GET", url.removeprefix(running.address), headers={"Accept-Encoding": "gzip"})
        bytes_ += int(found.headers["content-length"])
    assert 10_000 < bytes_ < 100_000, bytes_
    began = time.monotonic()
    assert (
        running.call(
            "GET", "/page/style.css", headers={"If-None-Match": running.call("GET", "/page/style.css").headers["etag"]}
        ).status
        == 304
    )
    assert time.monotonic() - began < 1
