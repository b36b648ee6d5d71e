"""What people write wrong: exit code 2 with the file and the place, before anything is changed."""

from __future__ import annotations

import json

import pytest

from tests.engines import PrivateEngine
from tests.installations import Installation


@pytest.fixture(autouse=True)
def _nothing_changes(installation: Installation, engine: PrivateEngine):
    yield
    assert engine.docker("ps", "-aq") == ""


def test_an_unknown_phase_is_named_with_the_known_ones(installation: Installation) -> None:
    done = installation.run("scripts/docker/start-stacks.sh", "--phase", "toolz")
    assert (done.code, done.out) == (2, "")
    assert "'toolz' is no phase (known: tools)" in done.err


def test_stacks_without_any_service_are_not_complete(installation: Installation) -> None:
    manifest = {"version": 1, "services": [{"id": "docs", "type": "docs", "path": ".", "start": "true"}]}
    (installation.root / "config/services-manifest.json").write_text(json.dumps(manifest))
    (installation.root / "config/plugins.toml").write_text("only = []\n")
    for arguments in ((), ("--phase", "all"), ("--list",)):
        for script in ("start", "stop"):
            done = installation.run(f"scripts/docker/{script}-stacks.sh", *arguments)
            assert (done.code, done.out) == (2, ""), done.text
            assert "no service is in any phase" in done.err


def test_a_plugins_command_says_why_it_cannot_be_found(installation: Installation) -> None:
    """`No such command` would send people looking for the plugin."""
    (installation.root / ".env.local").write_text("this is no assignment\n")
    done = installation.launcher("kestra", "--help")
    assert done.code == 2
    assert ".env.local" in done.err
    assert "No such command" not in done.err
    assert "kestra" not in installation.launcher("--help").out
    assert installation.launcher("--help").code == 0


def test_an_unknown_service_is_named_with_the_known_ones(installation: Installation) -> None:
    done = installation.launcher("start", "kestrel")
    assert done.code == 2
    assert "'kestrel' is no service (known: kestra-orchestrator, kestra-postgres)" in done.err


def test_an_unknown_option_prints_usage(installation: Installation) -> None:
    for script in ("start", "stop"):
        done = installation.run(f"scripts/docker/{script}-stacks.sh", "--bogus")
        assert (done.code, done.out) == (2, "")
        assert "Usage:" in done.err
        assert "--bogus" in done.err


def test_a_broken_compose_file_is_named(installation: Installation) -> None:
    file = installation.root / "tools/compose/docker-compose.tools.yml"
    file.write_text(file.read_text() + "\nnonsense: [\n")
    done = installation.launcher("start", "--phase", "tools")
    assert done.code == 2, done.text
    assert "docker-compose.tools.yml" in done.err
    assert "yaml: line" in done.err


def test_a_manifest_that_is_no_json_is_named_with_line_and_column(installation: Installation) -> None:
    (installation.root / "config/services-manifest.json").write_text('{"version": 1,\n "services": [,]}')
    done = installation.launcher("start")
    assert done.code == 2
    assert "services-manifest.json: line 2, column 15" in done.err


def test_a_manifest_with_an_id_twice_names_it(installation: Installation) -> None:
    path = installation.root / "config/services-manifest.json"
    raw = json.loads(path.read_text())
    raw["services"].append(dict(raw["services"][0]))
    path.write_text(json.dumps(raw))
    done = installation.launcher("status")
    assert done.code == 2
    assert "'kestra-orchestrator' stands 2 times" in done.err


def test_a_manifest_that_cannot_be_read_says_why(installation: Installation) -> None:
    path = installation.root / "config/services-manifest.json"
    path.unlink()
    path.mkdir()
    done = installation.run("launcher", "list", LAUNCHER_ROOT=str(installation.root))
    assert done.code == 2, done.text
    assert "services-manifest.json cannot be read" in done.err


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('KESTRA_DB_NAME="quoted"', "KESTRA_DB_NAME: the value needs single quotes"),
        ("KESTRA_DB_NAME=two words", "KESTRA_DB_NAME: the value needs single quotes"),
        ("not a variable", "not of the form KEY=value"),
        ("COMPOSE_FILE=other.yml", "COMPOSE_FILE: this name steers docker"),
        ("KESTRA_IMAGE=again", "KESTRA_IMAGE: defined twice"),
    ],
)
def test_a_bad_line_in_env_is_named_by_number_and_key_and_never_by_value(
    installation: Installation, line: str, why: str
) -> None:
    env = installation.root / ".env"
    text = env.read_text()
    env.write_text(text + line + "\n")
    done = installation.launcher("start")
    assert done.code == 2
    assert f".env, line {text.count(chr(10)) + 1}" in done.err
    assert why in done.err
    assert "two words" not in done.text


def test_without_a_root_the_way_to_name_one_is_said(installation: Installation, tmp_path) -> None:
    done = installation.run("launcher", "status", cwd=tmp_path)
    assert done.code == 2
    assert "launcher --root FOLDER" in done.err


def test_help_and_list_work_without_docker(installation: Installation) -> None:
    installation.shell["DOCKER_HOST"] = "unix:///run/no-such-engine.sock"
    for command in (
        ["--help"],
        ["start", "--help"],
        ["list"],
        ["plugins", "list"],
        ["manifest", "check"],
        ["stacks", "start", "--list"],
    ):
        done = installation.launcher(*command)
        assert done.code == 0, done.text
    assert "tools: kestra-orchestrator, kestra-postgres" in done.out


def test_a_missing_launcher_is_said_with_the_way_to_install_it(installation: Installation) -> None:
    for script in ("scripts/docker/start-stacks.sh", "tools/kestra/scripts/run.sh"):
        done = installation.run(script, PATH="/usr/bin:/bin")
        assert done.code == 2
        assert "the launcher is not installed" in done.err
        assert "scripts/up" in done.err
