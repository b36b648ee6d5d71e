"""What the repository says of itself is so: variables, entries, options, exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from launcher_kestra.services import VARIABLES
from tests.conftest import CHECKOUT
from tests.docs.pages import Page, commands
from tests.installations import Installation


def test_env_example_names_every_variable_that_is_read_and_no_other() -> None:
    text = (CHECKOUT / ".env.example").read_text()
    named = re.findall(r"^(?:# )?([A-Z][A-Za-z_]*)=", text, re.MULTILINE)
    assert sorted(named) == sorted(variable.name for variable in VARIABLES)


def test_the_compose_files_read_only_declared_variables_with_the_declared_defaults() -> None:
    declared = {variable.name: variable.default for variable in VARIABLES}
    for name in ("docker-compose.tools.yml", "docker-compose.tools.hardened.yml"):
        text = (CHECKOUT / "tools/compose" / name).read_text()
        for variable, default in re.findall(r"(?<!\$)\$\{([A-Za-z_]+)(?::-([^}]*))?", text):
            assert variable in declared, variable
            if default and variable not in ("KESTRA_MEMORY_LIMIT", "KESTRA_WORKDIR_DIR"):
                assert default == declared[variable], variable


def test_the_manifest_in_git_agrees_with_the_plugin(installation: Installation) -> None:
    assert installation.launcher("manifest", "check").code == 0
    path = installation.root / "config/services-manifest.json"
    raw = json.loads(path.read_text())
    raw["services"][0]["port"] = 9999
    path.write_text(json.dumps(raw))
    drifted = installation.launcher("manifest", "check")
    assert drifted.code == 1
    assert "kestra-orchestrator differs from its plugin in port" in drifted.text
    assert installation.launcher("manifest", "sync").code == 0
    assert installation.launcher("manifest", "check").code == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  kestra:\n    image", "  kestrel:\n    image", "has no service kestra"),
        ("KESTRA_HTTP_PORT:-8080}:8080", "KESTRA_HTTP_PORT:-8088}:8080", "port 8080 is not what"),
        ("name: tools\n", "name: [\n", "docker compose refuses"),
    ],
)
def test_a_compose_file_that_left_the_manifest_behind_is_found(
    installation: Installation, old: str, new: str, said: str
) -> None:
    file = installation.root / "tools/compose/docker-compose.tools.yml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    done = installation.launcher("manifest", "check")
    assert done.code == 1
    assert said in done.text


def test_compose_config_is_clean_and_a_missing_secret_fails_fast(installation: Installation) -> None:
    good = installation.compose("config", "--quiet")
    assert (good.code, good.text) == (0, "")
    env = installation.root / ".env"
    env.write_text("".join(line for line in env.read_text().splitlines(True) if "DB_PASSWORD" not in line))
    bad = installation.compose("config", "--quiet")
    assert bad.code != 0
    assert "KESTRA_DB_PASSWORD" in bad.err


def test_the_database_is_on_the_internal_network_only_and_unpublished(installation: Installation) -> None:
    project = json.loads(installation.compose("config", "--format", "json").out)
    database = project["services"]["tools-kestra-postgres"]
    assert list(database["networks"]) == ["private"]
    assert "ports" not in database
    assert project["networks"]["private"]["internal"] is True
    assert project["volumes"]["data"]["name"] == "tools-kestra-postgres-data"
    for service in project["services"].values():
        assert service["restart"] == "unless-stopped"
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
        assert "healthcheck" in service


def test_the_commands_of_the_readme_run_as_written(installation: Installation) -> None:
    """In a clone that has the Python environment already; on a machine without it the first command makes it."""
    (installation.root / ".venv").symlink_to(CHECKOUT / ".venv")
    blocks = [commands(block) for block in Page(CHECKOUT / "README.md").fences("console")]
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith("scripts/test")]
    assert len(lines) == 6
    for line in lines:
        done = installation.run("bash", "-c", line)
        assert done.code == 0, done.text
    assert installation.state("kestra") == "stopped"


def test_the_plugin_of_the_readme_is_one(tmp_path: Path) -> None:
    (example,) = Page(CHECKOUT / "README.md").fences("python")
    (tmp_path / "search_plugin.py").write_text(example)
    asked = "from search_plugin import plugin; print(*(e.id for e in plugin.launcher_manifest_entries()))"
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert done.stdout.split() == ["search"]
