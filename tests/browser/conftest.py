"""A real Chromium, and a served installation for it to look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.installations import Installation
from tests.web.served import Served, copied

# The browser's own errands would be refused by the network and fill the log.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WAIT_MILLISECONDS = 30_000

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

    def opened(role: str | None = "operator", path: str = "/", at: Served = served, **more: object) -> Page:
        context = browser.new_context(**{"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **more})  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MILLISECONDS)
        watch(page, complaints)
        visit(page, at.code(role) if role else at.address + path)
        if role:
            page.wait_for_selector("#connection.live, #connection.bad")
            if path != "/":
                visit(page, at.address + path)
                page.wait_for_selector("#connection.live, #connection.bad")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def visit(page: Page, address: str | None = None) -> None:
    """Go to an address, or load the page again; once more where the machine's interfaces changed under it.

    Containers that come and go make a browser give up the document itself. It loads it again by its own, too, but the
    driver has told of the failure by then.
    """
    for _ in range(5):
        try:
            if address is None:
                page.reload()
            else:
                page.goto(address)
        except PlaywrightError as error:
            if "ERR_NETWORK_CHANGED" not in error.message:
                raise
        else:
            return
    raise AssertionError(f"the network never stood still: {address}")


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
