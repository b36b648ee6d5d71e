"""What the launcher says when compose itself is missing, so that nobody looks for the fault in the file."""

from __future__ import annotations

from pathlib import Path

import pytest
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
