"""No dead link: of what pages point to inside the repository, every file, anchor and image is there."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from tests.docs.pages import Page, pages

ELSEWHERE = re.compile(r"[a-z]+:", re.IGNORECASE)


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_internal_link_leads_somewhere(page: Page) -> None:
    for link in page.links():
        if ELSEWHERE.match(link):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = (page.path.parent / file).resolve() if file else page.path
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in Page(target).anchors(), f"{page}: {link}"


def test_the_check_reads_pages_that_have_links() -> None:
    assert sum(len(list(page.links())) for page in pages()) > 20
