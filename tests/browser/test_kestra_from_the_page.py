"""The real Kestra, started from the page and followed to its own page, where the operator signs in."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewPage
from tests.browser.test_kestra_page import sign_in
from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.installations import PASSWORD, REAL_KESTRA, Installation
from tests.web.served import Served

pytestmark = [pytest.mark.kestra, pytest.mark.browser]


@pytest.fixture(scope="module")
def served(engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> object:
    """A server whose Kestra is the real one."""
    engine.wipe()
    root = Path(tmp_path_factory.mktemp("kestra")) / "installation"
    with Served.started(Installation.copied(CHECKOUT, root, engine, kestra=REAL_KESTRA)) as served:
        yield served
    engine.wipe()


def test_kestra_is_started_from_the_page_and_signed_in_to_on_its_own(served: Served, new_page: NewPage) -> None:
    page = new_page()
    page.locator("tr[data-service=kestra-orchestrator] button[data-action=start]").click()
    expect(page.locator("article.operation").first).to_contain_text("waiting for its health check", timeout=60_000)
    page.wait_for_selector("tr[data-service=kestra-orchestrator][data-state=ready]", timeout=180_000)
    expect(page.locator("tr[data-service=kestra-orchestrator] .mark.rehearsal")).to_have_count(0)
    with page.context.expect_page() as opened:
        page.locator("tr[data-service=kestra-orchestrator] .ports a").first.click()
    kestra = opened.value
    kestra.set_default_timeout(60_000)
    assert kestra.evaluate("window.opener") is None
    assert sign_in(kestra, kestra.url, PASSWORD) == 200
    kestra.wait_for_url(lambda url: "login" not in url)
