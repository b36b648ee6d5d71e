"""The operators' guide as the tests read it: its front matter, and its symptoms with the words that they quote."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt

GUIDE = Path(__file__).parent.parent / "docs/context/ops/orchestration/kestra.md"
_MARKER = re.compile(r"<!-- test: (?P<file>\S+)::(?P<function>\w+)\[(?P<id>[\w-]+)\] -->")


@dataclass(frozen=True)
class Symptom:
    """What an operator sees: the test that brings it about, and the quoted lines, in which … stands for anything."""

    id: str
    function: str
    test: str
    quoted: str

    def is_in(self, printed: str) -> bool:
        """Whether the quoted lines were printed, one after the other; a long one may begin in mid-line."""
        lines = (re.escape(line.strip()).replace("…", r"[^\n]+?") for line in self.quoted.strip().splitlines())
        return re.search(r"[\s\S]*?".join(lines), printed) is not None


def front_matter(text: str) -> tuple[Mapping[str, Any], str]:
    """The YAML between the first two lines of three dashes, and the rest."""
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def symptoms() -> list[Symptom]:
    """The symptoms in their order: each is a marker that names a test, followed by a fence with the quotation."""
    tokens = [t for t in MarkdownIt().parse(front_matter(GUIDE.read_text())[1]) if t.type in ("html_block", "fence")]
    found = []
    for marker, fence in itertools.pairwise(tokens):
        if match := _MARKER.search(marker.content):
            assert fence.type == "fence", f"{match['id']} quotes nothing"
            test = f"{match['file']}::{match['function']}[{match['id']}]"
            found.append(Symptom(match["id"], match["function"], test, fence.content))
    return found
