"""Every page of the repository as the checks read it: its links, headings and code."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pymdownx.slugs import slugify

from tests.conftest import CHECKOUT

_slug = slugify(case="lower")


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(CHECKOUT))

    @cached_property
    def tokens(self) -> list[Token]:
        """The page as blocks; what stands between the dashes at its beginning is left out."""
        text = self.path.read_text()
        if text.startswith("---\n"):
            text = text.split("---\n", 2)[2]
        return MarkdownIt().enable("table").parse(text)

    def links(self) -> Iterator[str]:
        """The targets of links and images."""
        for token in self._inline():
            target = token.attrGet("href") if token.type == "link_open" else token.attrGet("src")
            if token.type in ("link_open", "image"):
                yield str(target)

    def anchors(self) -> set[str]:
        """The anchors of the headings, as forges and the site make them."""
        pairs = zip(self.tokens, self.tokens[1:], strict=False)
        return {_slug(_plain(inline), "-") for opened, inline in pairs if opened.type == "heading_open"}

    def fences(self, language: str, below: str | None = None) -> list[str]:
        """The code blocks of a language, of the whole page or only right below a heading."""
        found, heading = [], ""
        for token, before in zip(self.tokens[1:], self.tokens, strict=False):
            if before.type == "heading_open":
                heading = _plain(token)
            if token.type == "fence" and token.info == language and below in (None, heading):
                found.append(token.content)
        return found

    def code(self) -> Iterator[str]:
        """All code: fences as they are, and what stands between backticks."""
        yield from (token.content for token in self.tokens if token.type == "fence")
        yield from (token.content for token in self._inline() if token.type == "code_inline")

    def _inline(self) -> Iterator[Token]:
        for token in self.tokens:
            yield from token.children or ()


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))


def commands(block: str) -> str:
    """A console block without the prompts that some of its lines begin with."""
    return "".join(line.removeprefix("$ ") for line in block.splitlines(keepends=True))


def pages() -> list[Page]:
    """Every page that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.md"],
        cwd=CHECKOUT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [
        Page(CHECKOUT / name) for name in sorted(set(filter(None, listed.split("\0")))) if (CHECKOUT / name).exists()
    ]
