"""What the distributions say of themselves is complete and agrees."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import tomllib

import pytest

from tests.conftest import CHECKOUT

PROJECTS = {"launcher-kestra": "pyproject.toml", "service-launcher": "host/pyproject.toml"}


def project(name: str) -> dict[str, object]:
    """The [project] table of a distribution."""
    found: dict[str, object] = tomllib.loads((CHECKOUT / PROJECTS[name]).read_text())["project"]
    return found


@pytest.mark.parametrize("name", PROJECTS)
def test_the_metadata_is_complete(name: str) -> None:
    said = project(name)
    wanted = (
        "version",
        "description",
        "readme",
        "requires-python",
        "license",
        "license-files",
        "maintainers",
        "keywords",
    )
    assert [key for key in (*wanted, "classifiers") if not said.get(key)] == []
    folder = (CHECKOUT / PROJECTS[name]).parent
    assert said["license"] == "MIT"
    assert (folder / "LICENSE").read_text().startswith("MIT License")
    assert (folder / str(said["readme"])).is_file()
    assert re.search(r"^## Unreleased", (folder / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_launcher_and_both_distributions_have_one_version() -> None:
    shown = subprocess.run(["launcher", "--version"], check=True, capture_output=True, text=True).stdout.split()[-1]
    assert {project(name)["version"] for name in PROJECTS} == {shown}
    assert {importlib.metadata.version(name) for name in PROJECTS} == {shown}
