"""The step that tries the example plugins of the last release: in a repository of its own, with tags."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.environments import run

IDENTITY = ("-c", "user.name=Tests", "-c", "user.email=tests@localhost")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the script, one example, and the environment of this checkout."""
    root = tmp_path / "repository"
    (root / "scripts").mkdir(parents=True)
    shutil.copy2(CHECKOUT / "scripts/downstream", root / "scripts/downstream")
    shutil.copytree(
        CHECKOUT / "examples/launcher-bulletin",
        root / "examples/launcher-bulletin",
        ignore=shutil.ignore_patterns("__*"),
    )
    (root / ".venv").symlink_to(CHECKOUT / ".venv")
    git(root, "init", "--quiet")
    commit(root, "first")
    return root


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *IDENTITY, "-C", str(root), *arguments], check=True, capture_output=True)


def commit(root: Path, message: str) -> None:
    git(root, "add", "--all", "--", ":!.venv")
    git(root, "commit", "--quiet", "--allow-empty", "--message", message)


def chosen(root: Path) -> str:
    return run("scripts/downstream", "--print-tag", cwd=root).stdout.strip()


def test_without_a_tag_it_says_so_and_succeeds(repository: Path) -> None:
    done = run("scripts/downstream", cwd=repository)
    assert done.returncode == 0
    assert done.stdout == (
        "downstream: no earlier release is tagged (v*), so there are no example plugins of one to try\n"
    )


def test_the_newest_release_below_this_commit_counts_and_never_its_own(repository: Path) -> None:
    git(repository, "tag", "v0.9.0")
    assert chosen(repository) == "", "the first release has none before it"
    commit(repository, "second")
    git(repository, "tag", "nightly")
    assert chosen(repository) == "v0.9.0"
    git(repository, "tag", "v0.10.0")
    assert chosen(repository) == "v0.9.0", "a release is tried with the plugins of the one before"
    commit(repository, "third")
    assert chosen(repository) == "v0.10.0", "by version, not by letters"
    git(repository, "switch", "--quiet", "--orphan", "elsewhere")
    (repository / "scripts").mkdir()
    shutil.copy2(CHECKOUT / "scripts/downstream", repository / "scripts/downstream")
    commit(repository, "unrelated")
    assert chosen(repository) == ""


def test_the_plugins_of_the_tag_run_not_those_of_the_tree(repository: Path) -> None:
    test = repository / "examples/launcher-bulletin/tests/test_of_the_release.py"
    test.write_text("def test_it_is_run():\n    from service_launcher import hookimpl\n")
    commit(repository, "with a test")
    git(repository, "tag", "v1.0.0")
    test.write_text("def test_of_the_tree():\n    raise AssertionError('not of the release')\n")
    commit(repository, "later")
    wanted = ("-k", "test_it_is_run or of_the_tree or plugin_loads")
    done = run("scripts/downstream", *wanted, cwd=repository)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the example plugins of v1.0.0 against this host: launcher-bulletin" in done.stdout
    assert "2 passed" in done.stdout


def test_a_plugin_that_this_host_breaks_fails_the_step(repository: Path) -> None:
    plugin = repository / "examples/launcher-bulletin/launcher_bulletin/plugin.py"
    text = plugin.read_text()
    plugin.write_text(text.replace("    hookimpl,\n", "    hookimpl,\n    a_name_that_was_public,\n"))
    commit(repository, "as if the host had lost a name")
    git(repository, "tag", "v1.0.0")
    plugin.write_text(text)
    commit(repository, "later")
    done = run("scripts/downstream", "-k", "plugin_loads", cwd=repository)
    assert done.returncode == 1
    assert "an example plugin of v1.0.0 no longer works" in done.stderr
    assert "a_name_that_was_public" in done.stdout


@pytest.mark.docker
def test_the_plugins_of_this_repositorys_last_release_work(engine: PrivateEngine) -> None:
    done = run("scripts/downstream", cwd=CHECKOUT, DOCKER_HOST=engine.address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("downstream: ")
