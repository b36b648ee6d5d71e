"""The reference is what the code says, and whatever the code can say has a meaning in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import typing
from pathlib import Path
from typing import Any

import pytest
from service_launcher import models

from docs import reference
from tests.conftest import CHECKOUT
from tests.docs.pages import Page

GUIDES = ("README.md", "README.pt-BR.md", "docs/context/ops/orchestration/kestra.md")


def test_the_reference_is_what_the_code_says() -> None:
    assert reference.stale() == [], "run scripts/reference"


def test_a_file_that_nobody_writes_any_more_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    for path, text in reference.rendered().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert reference.stale() == []
    (tmp_path / "old.md").write_text("")
    (tmp_path / "events.md").write_text("")
    assert reference.stale() == ["events.md", "old.md"]


def test_every_event_has_a_meaning_and_every_meaning_an_event() -> None:
    assert reference.EVENTS.keys() == set(typing.get_args(models.Event.model_fields["what"].annotation))


def test_every_command_that_takes_json_is_listed_with_its_record() -> None:
    listed = {name.removesuffix(" --watch") for name in reference.PRINTED} - {"launcher manifest schema"}
    takes = {
        path
        for path, context in reference.walk(reference.root_command, "launcher")
        if any("--json" in parameter.opts for parameter in context.command.params)
    }
    assert listed == takes


@pytest.mark.parametrize("name", GUIDES)
def test_every_exit_code_is_documented(name: str) -> None:
    text = (CHECKOUT / name).read_text()
    for code in reference.EXIT_CODES:
        assert re.search(rf"(^\||[\s,;:(]){code}\b", text, re.MULTILINE), f"{name} does not tell of exit code {code}"


def test_the_states_of_the_guide_are_those_of_the_code() -> None:
    (sentence,) = re.findall(r"^Estados: .*?\n\n", (CHECKOUT / GUIDES[-1]).read_text(), re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`(\w+)`", sentence)) == {str(state) for state in models.ServiceState}


def test_every_record_stands_in_the_reference() -> None:
    assert {r.__name__.lower() for r in reference.RECORDS} <= Page(CHECKOUT / "docs/reference/json.md").anchors()


@pytest.mark.parametrize("command", ["list", "status", "doctor", "health", "config", "manifest check", "plugins list"])
def test_what_is_printed_has_the_keys_of_the_reference(command: str) -> None:
    done = subprocess.run(
        ["launcher", "--root", str(CHECKOUT), *command.split(), "--json"],
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent/docker.sock"}, capture_output=True, check=False,
    )  # fmt: skip
    said = reference.PRINTED[f"launcher {command}"].strip("`")
    if said.startswith("{"):
        outermost = re.sub(r"(?<=.)\{[^{}]*\}", "", said)
        keys = set(re.findall(r'"(\w+)"', outermost))
    else:
        keys = set(json.loads(reference.schemas()[f"{said}.json"])["properties"])
    assert json.loads(done.stdout).keys() == keys


def test_the_check_names_what_is_stale_and_the_way_out(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(reference, "stale", lambda: ["docs/reference/old.md"])
    monkeypatch.setattr("sys.argv", ["reference", "--check"])
    with pytest.raises(SystemExit) as ended:
        reference.main()
    assert ended.value.code == 1
    assert "docs/reference/old.md" in (said := capsys.readouterr().err)
    assert "scripts/reference" in said
