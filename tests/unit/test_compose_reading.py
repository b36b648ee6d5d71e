"""What the launcher says when compose itself is missing, so that nobody looks for the fault in the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from service_launcher import compose
from service_launcher.compose import ComposeProject
from service_launcher.errors import ConfigurationError
from service_launcher.redaction import Redactor


def test_a_docker_command_without_compose_is_named_and_not_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "docker"
    # What a docker command of 28.2 without plugins answers to the options in front of `config`.
    docker.write_text("#!/bin/sh\necho 'unknown flag: --file' >&2\nexit 125\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    project = ComposeProject("tools", (tmp_path / "compose.yml",), tmp_path, {}, Redactor(()))

    with pytest.raises(ConfigurationError) as refusal:
        project.hashes()

    assert refusal.value.summary == "the docker command here has no compose plugin"
    assert refusal.value.fix == "tools/engine/ensure"


def test_what_a_child_is_lent_is_not_taken_for_this_process_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "before")
    monkeypatch.delenv("LENT", raising=False)
    with compose._added_to_environment({"OURS": "lent", "LENT": "lent"}):
        assert (os.environ["OURS"], os.environ["LENT"]) == ("lent", "lent")
        own = compose.own_environment()
        assert own["OURS"] == "before"
        assert "LENT" not in own
    assert os.environ["OURS"] == "before"
    assert "LENT" not in os.environ
