"""Kestra's own page in a real Chromium: whoever has the password that the launcher injected can sign in there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import visit
from tests.installations import REAL_KESTRA, USERNAME, Installation

pytestmark = [pytest.mark.kestra, pytest.mark.browser]

LOAD_MILLISECONDS = 60_000
EVERY_CHARACTER = "Bb2\"'$#:{}\\%é"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(LOAD_MILLISECONDS)
    yield page
    context.close()


def sign_in(page: Page, address: str, password: str) -> int:
    """Fill in the form of Kestra's page; the status of the first call that it makes with these credentials."""
    visit(page, address)
    page.wait_for_url("**/login**")
    page.locator("#input-username").fill(USERNAME)
    page.locator("#input-password").fill(password)
    with page.expect_response(re.compile("/api/v1/main/usages/all")) as answer:
        page.get_by_role("button", name="Login").click()
    return answer.value.status


@pytest.mark.parametrize(
    "password", [EVERY_CHARACTER, (EVERY_CHARACTER * 20)[:200]], ids=["every character", "200 characters"]
)
def test_signing_in_with_a_hard_password_lists_the_flows(copied, page: Page, password: str) -> None:
    installation: Installation = copied(kestra=REAL_KESTRA)
    done = installation.launcher("start", KESTRA_BASICAUTH_PASSWORD=password)
    assert done.code == 0, done.text
    assert password not in done.text
    installation.api("POST", "/api/v1/main/flows", b"id: hello\nnamespace: tests.page\ntasks:\n"
                     b"  - {id: say, type: io.kestra.plugin.core.log.Log, message: hello}\n",
                     credentials=(USERNAME, password))  # fmt: skip

    address = done.out.split("Kestra Orchestrator: ")[1].split()[0]
    assert sign_in(page, address, password + "wrong") == 401
    assert sign_in(page, address, password) == 200
    page.wait_for_url(lambda url: "login" not in url)
    visit(page, f"{address}/ui/main/flows")
    expect(page.get_by_role("link", name="hello").first).to_be_visible(timeout=LOAD_MILLISECONDS)
