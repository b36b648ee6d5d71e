"""Everybody can use the page: by keyboard, by screen reader, on any screen, in light and dark, in two languages."""

from __future__ import annotations

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewPage, visit
from tests.web.served import Served

pytestmark = pytest.mark.browser
VIEWS = [
    "/", "/?view=timeline", "/?view=doctor", "/?view=plugins", "/?service=kestra-orchestrator&panel=why",
    "/?service=kestra-orchestrator&panel=logs",
]  # fmt: skip


@pytest.fixture(scope="module")
def running(served: Served) -> Served:
    """Kestra ready, its database with something to say, and an operation that has ended."""
    served.ended(served.begin("start"))
    return served


def settle(page: Page) -> None:
    """Until everything that was asked for is there."""
    page.wait_for_selector("#connection.live")
    # Not by a function in the page: its policy lets nobody evaluate a text there.
    page.wait_for_selector("body:not(:has([aria-busy]))")
    page.wait_for_selector("#view:not(:empty)")


def go(page: Page, view: str) -> None:
    """Go to another view, as from a shared address."""
    visit(page, page.url.split("/?")[0].rstrip("/") + view)
    settle(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(running: Served, new_page: NewPage, scheme: str) -> None:
    page = new_page(color_scheme=scheme)
    for view in VIEWS:
        go(page, view)
        found = Axe().run(page).response["violations"]
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        assert not serious, view + json.dumps([(v["id"], [n["target"] for n in v["nodes"]][:4]) for v in serious])


def test_axe_finds_nothing_serious_for_who_is_not_signed_in_and_in_the_question(
    running: Served, new_page: NewPage
) -> None:
    page = new_page(None)
    page.wait_for_selector("tr.service")
    assert not [v["id"] for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
    page = new_page()
    page.locator("tr[data-service=kestra-postgres][data-state=ready] button[data-action=stop]").click()
    page.wait_for_selector("dialog[open]")
    assert not [v["id"] for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("width", [360, 900, 1280, 3840])
def test_nothing_sticks_out_of_the_screen(running: Served, new_page: NewPage, width: int) -> None:
    page = new_page(viewport={"width": width, "height": 800})
    for view in VIEWS:
        go(page, view)
        out = page.evaluate(
            """() => [...document.querySelectorAll('main *, header *')].filter(e => e.getClientRects().length
            && e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.tables, .log, pre, thead'))
            .map(e => e.tagName + '.' + e.className)"""
        )
        assert not out, view
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view


def test_everything_can_be_done_by_keyboard(running: Served, new_page: NewPage) -> None:
    page = new_page()
    settle(page)
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()

    def tab_to(selector: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate("(s) => document.activeElement.matches(s)", selector):
                style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert style != "none", "the focus can be seen"
                return
        raise AssertionError(f"no way to {selector} by keyboard")

    tab_to("tr[data-service=kestra-postgres] button[data-action=stop]")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.press("/")
    expect(page.locator("#filter")).to_be_focused()
    page.keyboard.press("Tab")
    tab_to("tr[data-service=kestra-orchestrator] button")
    page.keyboard.press("Enter")
    expect(page.locator("#panel h2")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    assert page.evaluate("document.activeElement.closest('tr')?.dataset.service") == "kestra-orchestrator"
    tab_to("tr[data-service=kestra-orchestrator] button[data-action=stop]")
    page.keyboard.press("Enter")
    page.wait_for_selector("tr[data-service=kestra-orchestrator][data-state=stopped]", timeout=60_000)
    tab_to("body *")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    running.ended(running.begin("start"))


def _words(page: Page) -> dict[str, dict[str, str]]:
    return dict(page.evaluate("async () => (await import('/page/words.js')).WORDS"))


def test_both_languages_have_every_word_and_the_same_places_in_it(running: Served, new_page: NewPage) -> None:
    words = _words(new_page(None))
    assert words["en"].keys() == words["pt"].keys()
    for key, text in words["en"].items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", words["pt"][key])), key
    source = "".join(
        running.call("GET", f"/page/{name}.js").body.decode()
        for name in (
            "main",
            "services",
            "operations",
            "explanation",
            "logs",
            "timeline",
            "reports",
            "actions",
            "server",
        )
    )
    for key in re.findall(r'\bt\("([\w.]+)"', source):
        assert key in words["en"], key


#: Of every text and label that people read on the page: what the launcher itself says is marked as English.
TEXTS = """() => {
  const skip = ':not(html)[lang=en], [translate=no], .copy, #session select, script, noscript, code', found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode())
    if (!walk.currentNode.parentElement.closest(skip)) found.push(walk.currentNode.data.trim());
  for (const name of ['aria-label', 'title', 'placeholder'])
    for (const e of document.querySelectorAll(`[${name}]`)) if (!e.closest(skip)) found.push(e.getAttribute(name));
  return found.filter((text) => text); }"""
ALIKE = {"Token", "Status", "CPU · memory", "{action}: {service}", "{age}", "{n} s", "{n} min", "{n} h", "{n} d"}


def _left(texts: list[str], words: dict[str, dict[str, str]]) -> list[str]:
    """Texts in which an English word of the page stands that is no Portuguese one as well."""
    portuguese = " ".join(words["pt"].values())
    english = {re.sub(r"\{\w+\}.*", "", t).strip() for key, t in words["en"].items() if words["pt"][key] != t}
    english = {word for word in english if len(word) > 3 and word not in portuguese}
    return [text for text in texts if any(re.search(rf"\b{re.escape(word)}\b", text) for word in english)]


def test_in_portuguese_no_english_word_of_the_page_is_left(running: Served, new_page: NewPage) -> None:
    page = new_page(locale="pt-BR")
    assert page.evaluate("document.documentElement.lang") == "pt-BR"
    words = _words(page)
    assert {text for key, text in words["en"].items() if words["pt"][key] == text} <= ALIKE
    for view in VIEWS:
        go(page, view)
        left = _left(page.evaluate(TEXTS), words)
        assert not left, f"{view}: {left}"
    english = new_page()
    go(english, VIEWS[0])
    assert len(_left(english.evaluate(TEXTS), words)) > 10, "the check finds English where there is some"


def test_the_language_can_be_chosen_and_stays(running: Served, new_page: NewPage) -> None:
    page = new_page("viewer", locale="en-US")
    page.get_by_role("combobox", name="Language").select_option("pt")
    expect(page.locator("#views")).to_contain_text("Linha do tempo")
    visit(page)
    expect(page.locator("#connection")).to_contain_text("Ao vivo")
    german = new_page(None, locale="de-DE")
    expect(german.locator("#views")).to_contain_text("Services")
