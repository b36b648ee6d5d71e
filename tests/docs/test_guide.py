"""The operators' guide and the change: their form, and that each test that they name exists."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.docs.collected import node_ids
from tests.docs.pages import Page, commands
from tests.guide import GUIDE, front_matter, symptoms

CHANGE = CHECKOUT / "openspec/changes/add-kestra-orchestrator"
SPECS = sorted(CHANGE.glob("specs/*/spec.md"))


def test_the_front_matter_is_what_the_house_wants() -> None:
    head, _ = front_matter(GUIDE.read_text())
    assert head.keys() == {"title", "description", "tags", "owner", "lastReviewed"}
    assert head["owner"] == "ToolingGuild"
    assert isinstance(head["lastReviewed"], datetime.date)
    assert all(isinstance(tag, str) for tag in head["tags"])
    assert head["title"]
    assert head["description"]


def test_every_symptom_names_a_test_that_exists() -> None:
    named = {symptom.test for symptom in symptoms()}
    assert len(named) == len(symptoms()) > 20
    assert named - node_ids() == set()


def test_every_heading_of_the_troubleshooting_is_a_symptom() -> None:
    part = GUIDE.read_text().split("## Problemas, pelo sintoma")[1].split("\n## ")[0]
    assert part.count("\n#### ") == len(symptoms())


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.parent.name)
def test_every_scenario_names_a_test_that_exists(spec: Path) -> None:
    scenarios = spec.read_text().split("#### Scenario: ")[1:]
    assert scenarios
    for scenario in scenarios:
        named = re.findall(r"^- Teste: `([^`]+)`$", scenario, re.MULTILINE)
        assert len(named) == 1, scenario
        assert named[0] in node_ids(), named[0]


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.parent.name)
def test_every_requirement_says_shall_or_must_and_has_a_scenario(spec: Path) -> None:
    for requirement in spec.read_text().split("### Requirement: ")[1:]:
        assert re.search(r"\b(SHALL|MUST)\b", requirement)
        assert "#### Scenario: " in requirement


def test_both_readmes_show_the_same_commands() -> None:
    def plain(name: str) -> list[str]:
        blocks = Page(CHECKOUT / name).fences("console")
        return [line.partition(" #")[0].strip() for block in blocks for line in commands(block).splitlines()]

    assert plain("README.md") == plain("README.pt-BR.md")
