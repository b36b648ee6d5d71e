"""A real Chromium, and a served installation for it to look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.installations import Installation
from tests.web.served import Served, copied

# The browser's own errands would be refused by the network and fill the log.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WAIT_MILLISECONDS = 40_000  # a browser that begins on a busy machine takes its time

NewPage = Callable[..., Page]


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """The driver."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """One browser for the tests that need no special one."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def served(engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server and its installation for the tests of one module."""
    engine.wipe()
    installation: Installation = copied(CHECKOUT, Path(tmp_path_factory.mktemp("page")) / "installation", engine)
    with Served.started(installation) as served:
        yield served
    engine.wipe()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser found wrong with the page: script errors and what its policy forbids."""
    return []


@pytest.fixture
def new_page(browser: Browser, served: Served, complaints: list[str]) -> Iterator[NewPage]:
    """Opens the page in a profile of its own, signed in unless `role` is None; ends with no complaint left."""
    contexts: list[BrowserContext] = []

    def opened(role: str | None = "operator", path: str = "/", **more: object) -> Page:
        context = browser.new_context(**{"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **more})  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MILLISECONDS)
        watch(page, complaints)
        page.goto(served.code(role) if role else served.address + path)
        if role:
            page.wait_for_selector("#connection.live, #connection.bad")
            if path != "/":
                page.goto(served.address + path)
                page.wait_for_selector("#connection.live, #connection.bad")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def watch(page: Page, complaints: list[str]) -> None:
    """Note script errors, dialogs of scripts, and violations of the page's policy."""
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type == "error" and "ERR_" not in message.text and "status of" not in message.text
            else None
        ),
    )
