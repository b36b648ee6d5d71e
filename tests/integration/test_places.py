"""Where an installation lies and from where it is called makes no difference; nor does what the shell has set."""

from __future__ import annotations

import pytest

from tests.database_image import DATABASE_PASSWORD
from tests.engines import PrivateEngine
from tests.installations import PASSWORD, REAL_KESTRA, STAND_IN, Installation


def test_it_works_from_another_folder_and_through_a_link(installation: Installation, tmp_path) -> None:
    link = tmp_path / "start"
    link.symlink_to(installation.root / "scripts/docker/start-stacks.sh")
    done = installation.run(str(link), "--phase", "tools", cwd=tmp_path)
    assert done.code == 0, done.text
    shown = installation.run(str(installation.root / "tools/kestra/scripts/status.sh"), cwd=tmp_path)
    assert "running, ready" in shown.out


@pytest.mark.kestra
def test_it_works_at_a_path_with_spaces_and_an_accent(copied, engine: PrivateEngine) -> None:
    installation: Installation = copied("orquestração de sinais é", kestra=REAL_KESTRA)
    done = installation.run("scripts/docker/start-stacks.sh", "--phase", "tools")
    assert done.code == 0, done.text
    assert installation.run_flow() == "SUCCESS"
    mounts = engine.inspect("tools-kestra", "{{range .Mounts}}{{.Source}}\n{{end}}")
    assert str(installation.root / "tools/kestra/storage") in mounts.splitlines()
    by_hand = installation.compose("up", "-d", "kestra")
    assert "Recreate" not in by_hand.err, by_hand.err


def test_what_the_operator_exported_beats_the_file(installation: Installation) -> None:
    env = installation.root / ".env"
    env.write_text(env.read_text() + "KESTRA_HTTP_PORT=8189\n")
    done = installation.launcher("start", KESTRA_HTTP_PORT="8190")
    assert done.code == 0, done.text
    assert "http://localhost:8190" in done.out
    assert installation.status("kestra")["ports"][0]["port"] in (8190, 8081)


def test_compose_variables_of_the_shell_redirect_nothing(installation: Installation, tmp_path) -> None:
    (tmp_path / "other.yml").write_text("services: {}\n")
    done = installation.launcher(
        "start", COMPOSE_FILE=str(tmp_path / "other.yml"), COMPOSE_PROJECT_NAME="elsewhere", COMPOSE_PROFILES="none"
    )
    assert done.code == 0, done.text
    assert installation.state("kestra") == "ready"


def test_a_command_in_a_value_is_never_executed(installation: Installation) -> None:
    env = installation.root / ".env"
    env.write_text(env.read_text() + "KESTRA_JAVA_OPTS='$(touch canary)'\n")
    for script in ("scripts/docker/start-stacks.sh", "tools/kestra/scripts/status.sh"):
        installation.run(script)
    assert not list(installation.root.rglob("canary"))


@pytest.mark.parametrize(
    ("exported", "state"),
    [
        ({"SKIP_KESTRA_AUTO_START": "1"}, "skipped"),
        ({"SKIP_KESTRA_AUTO_START": "0"}, "ready"),
        ({"SKIP_Kestra_AUTO_START": "yes"}, "skipped"),
        ({"SKIP_KESTRA_AUTO_START": "off", "SKIP_Kestra_AUTO_START": "1"}, "ready"),
        ({"SKIP_KESTRA_AUTO_START": "maybe"}, "skipped"),
    ],
)
def test_the_skip_variables_count_for_a_start_by_phase(
    installation: Installation, exported: dict[str, str], state: str
) -> None:
    done = installation.run("scripts/docker/start-stacks.sh", "--phase", "tools", **exported)
    assert done.code == 0, done.text
    assert installation.status("kestra", **exported)["state"] == state
    assert installation.status("kestra-postgres", **exported)["state"] == "ready"
    if state == "skipped":
        assert "SKIP_K" in done.out
    if len(exported) == 2:
        assert "differ" in done.text


def test_a_named_service_starts_although_phases_skip_it(installation: Installation) -> None:
    done = installation.launcher("start", "kestra", SKIP_KESTRA_AUTO_START="1")
    assert done.code == 0, done.text
    assert installation.state("kestra") == "ready"


def test_init_makes_an_env_file_that_works_and_changes_nothing_the_second_time(
    installation: Installation, engine: PrivateEngine
) -> None:
    env = installation.root / ".env"
    env.unlink()
    first = installation.launcher("init", "--default", "KESTRA_IMAGE=local/kestra-rehearsal:1",
                                  "--default", "KESTRA_POSTGRES_IMAGE=local/postgres:17",
                                  "--default", f"KESTRA_DOCKER_SOCKET={engine.socket}")  # fmt: skip
    assert first.code == 0, first.text
    assert "network tradingsystem_backend: created" in first.out
    assert env.stat().st_mode & 0o777 == 0o600
    written = env.read_bytes()
    again = installation.launcher("init")
    assert "nothing to add" in again.out
    assert env.read_bytes() == written
    assert installation.launcher("start").code == 0


def test_another_installation_on_the_same_machine_is_left_alone(copied, engine: PrivateEngine) -> None:
    first, second = (copied(name, kestra=STAND_IN) for name in ("first", "second"))
    for installation in (first, second):
        assert installation.launcher("init").code == 0
    assert first.launcher("start").code == 0
    before = engine.docker("ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}")
    for command in ("start", "stop", "restart"):
        done = second.launcher(command)
        assert done.code in (1, 3), done.text
        assert f"belongs to another installation ({first.root}/tools/compose)" in done.text
    said = {status["id"]: status for status in second.launcher("status", "--json").json()["services"]}
    for status in said.values():
        assert status["state"] == "degraded", status
        assert "belongs to another installation" in status["message"]
    # Also where no plugin says so, and compose would be asked by its labels.
    (second.root / "config/plugins.toml").write_text('disabled = ["kestra"]\n')
    assert second.state("kestra") == "unknown"
    assert "✓ kestra-orchestrator: stopped" not in second.launcher("stop").text
    assert engine.docker("ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}") == before


def test_known_passwords_are_in_no_file_that_the_launcher_writes(installation: Installation) -> None:
    assert installation.launcher("start").code == 0
    for path in (installation.root / ".launcher").rglob("*"):
        if path.is_file():
            text = path.read_text(errors="replace")
            assert PASSWORD not in text
            assert DATABASE_PASSWORD not in text
    assert (installation.root / ".launcher").stat().st_mode & 0o777 == 0o700
    assert (installation.root / ".launcher/events.jsonl").stat().st_mode & 0o777 == 0o600
