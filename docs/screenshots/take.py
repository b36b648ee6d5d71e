"""Starts the stack from the page, breaks it, and takes a picture of what an operator sees at each step."""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import CHROMIUM, QUIET
from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.installations import REAL_KESTRA, Installation
from tests.web.served import Served

IMAGES = CHECKOUT / "docs/images"
KESTRA = "tr[data-service=kestra-orchestrator]"


def opened(
    browser: Browser, served: Served, path: str = "/", width: int = 1280, height: int = 720, **more: str
) -> Page:
    """The page, signed in as operator."""
    page = browser.new_context(viewport={"width": width, "height": height}, **more).new_page()  # type: ignore[arg-type]
    page.goto(served.code())
    page.wait_for_selector("#connection.live")
    if path != "/":
        page.goto(served.address + path)
        page.wait_for_selector("#connection.live")
    page.wait_for_selector("body:not(:has([aria-busy]))")
    return page


def taken(page: Page, name: str) -> None:
    """A picture of what is on the screen."""
    page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")


def main() -> None:
    """Every picture."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        PrivateEngine.started("screenshots", images=True) as engine,
        sync_playwright() as playwright,
    ):
        installation = Installation.copied(CHECKOUT, Path(folder) / "tradingsystem", engine, kestra=REAL_KESTRA)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        with Served.started(installation) as served:
            page = opened(browser, served)
            page.locator(f"{KESTRA} button[data-action=start]").click()
            page.wait_for_selector("article.operation :text('waiting for its health check')", timeout=60_000)
            page.wait_for_selector(f"{KESTRA} .phase:has-text('waiting for its health check')", timeout=60_000)
            taken(page, "page-starting")
            page.wait_for_selector(f"{KESTRA}[data-state=ready]", timeout=240_000)
            page.wait_for_selector(f"{KESTRA} .use svg", timeout=20_000)
            page.get_by_role("button", name="Dismiss").click()
            taken(page, "page")
            taken(opened(browser, served, width=360, height=740, locale="pt-BR", color_scheme="dark"), "page-small-pt")
            taken(opened(browser, served, "/?service=kestra-orchestrator&panel=logs", locale="pt-BR"), "page-logs-pt")
            engine.docker("kill", "tools-kestra")
            page.wait_for_selector(f"{KESTRA}[data-container=exited]")
            taken(opened(browser, served, "/?service=kestra-orchestrator&panel=why", height=900), "page-why")
            taken(opened(browser, served, "/?view=timeline", color_scheme="dark"), "page-timeline")
            taken(opened(browser, served, "/?view=doctor"), "page-doctor")
        browser.close()


if __name__ == "__main__":
    main()
