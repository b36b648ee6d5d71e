"""What the launcher says when compose itself is missing, so that nobody looks for the fault in the file."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from service_launcher import atomic_file, compose
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


def test_a_command_that_takes_long_holds_up_no_other_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nsleep 1\necho "${OTHER-unset}" > "$WHERE"\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def stop(name: str, **values: str) -> None:
        (tmp_path / f"{name}.lock").touch()
        values["WHERE"] = str(tmp_path / name)
        ComposeProject(name, (), tmp_path, values, Redactor(()), tmp_path / f"{name}.lock").stop(
            ["one"], seconds=10, report=lambda phase, message: None
        )

    began = time.monotonic()
    threads = [
        threading.Thread(target=stop, args=("first",), kwargs={"OTHER": "lent"}),
        threading.Thread(target=stop, args=("second",)),
        threading.Thread(target=stop, args=("third",), kwargs={"OTHER": "another"}),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 2.5, "side by side"
    assert [(tmp_path / name).read_text().strip() for name in ("first", "second", "third")] == [
        "lent",
        "unset",
        "another",
    ]
    assert "OTHER" not in os.environ
    assert "WHERE" not in os.environ


def test_a_writer_that_was_killed_leaves_its_copy_for_one_run_at_most(tmp_path: Path) -> None:
    old, young, foreign = (tmp_path / name for name in (".env.abc.new", ".env.def.new", "other.abc.new"))
    for path in (old, young, foreign):
        path.write_text("PASSWORD=x")
    for path in (old, foreign):
        os.utime(path, (0, 0))
    atomic_file.replace(tmp_path / ".env", "A=1\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env", ".env.def.new", "other.abc.new"]
