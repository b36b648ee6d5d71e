"""The fourteen defects of the scripts that these replaced, each by its number in the contract; none may return."""

from __future__ import annotations

import json
import re
import socket
import subprocess

import pytest

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.installations import Installation

START = "scripts/docker/start-stacks.sh"


def test_01_an_unset_variable_does_not_end_the_tools_phase(installation: Installation) -> None:
    env = installation.root / ".env"
    kept = [line for line in env.read_text().splitlines() if "PASSWORD" in line or "IMAGE" in line or "SOCKET" in line]
    env.write_text("\n".join(kept) + "\n")
    done = installation.run(START, "--phase", "tools")
    assert done.code == 0, done.text
    assert "unbound variable" not in done.text


def test_02_nothing_fails_after_success_was_said(installation: Installation) -> None:
    done = installation.run(START)
    assert done.code == 0, done.text
    assert done.out.rstrip().endswith("✅ Stack startup complete")
    for script in (CHECKOUT / "scripts").rglob("*.sh"):
        assert subprocess.run(["bash", "-n", str(script)], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("notice", "frozen"),
    [
        ("No active freeze\n", False),
        ("**Status:** INACTIVE\n", False),
        ("# Freeze\n\nStatus: ACTIVE\n", True),
        ("**Status:** IN PROGRESS\n", True),
        ("**Status: ONGOING**\n", True),
        ("Status: COMPLETED, was ACTIVE until Monday\n", False),
    ],
)
def test_03_the_freeze_guard_reads_the_value_and_not_the_words_around_it(
    installation: Installation, engine: PrivateEngine, notice: str, frozen: bool
) -> None:
    (installation.root / "FREEZE-NOTICE.md").write_text(notice)
    done = installation.run(START)
    assert done.code == (3 if frozen else 0), done.text
    if frozen:
        assert "FREEZE-NOTICE.md" in done.err
        assert engine.docker("ps", "-aq") == ""
        assert installation.run(START, ALLOW_FREEZE_BYPASS="1").code == 0


def test_04_skip_set_to_0_does_not_skip(installation: Installation) -> None:
    assert installation.run(START, SKIP_KESTRA_AUTO_START="0").code == 0
    assert installation.state("kestra") == "ready"


def test_05_a_second_start_applies_what_is_new_although_kestra_holds_its_own_port(
    installation: Installation, engine: PrivateEngine
) -> None:
    assert installation.run(START).code == 0
    before = engine.inspect("tools-kestra", "{{.Id}}")
    env = installation.root / ".env"
    env.write_text(env.read_text() + "KESTRA_JAVA_OPTS=-Xmx700m\n")
    done = installation.run(START)
    assert done.code == 0, done.text
    assert engine.inspect("tools-kestra", "{{.Id}}") != before
    assert "-Xmx700m" in engine.inspect("tools-kestra", "{{.Config.Env}}")


def test_06_a_compose_error_is_an_error_and_names_its_place(installation: Installation) -> None:
    file = installation.root / "tools/compose/docker-compose.tools.yml"
    file.write_text(file.read_text().replace("services:", "servicesss:"))
    done = installation.run(START)
    assert done.code == 2, done.text
    assert "No tools services defined" not in done.text
    assert "docker-compose.tools.yml" in done.text
    assert "started" not in done.out


def test_07_credentials_come_from_every_file_and_never_blank(installation: Installation, engine: PrivateEngine) -> None:
    env = installation.root / ".env"
    lines = env.read_text().splitlines()
    env.write_text("\n".join(line for line in lines if "DB_PASSWORD" not in line) + "\n")
    (installation.root / ".env.shared").write_text("KESTRA_DB_PASSWORD=from1The2Shared3file\n")
    assert installation.run(START).code == 0
    assert "KESTRA_DB_PASSWORD=from1The2Shared3file" in engine.inspect("tools-kestra", "{{.Config.Env}}")


def test_08_script_and_compose_agree_on_the_default_ports(installation: Installation) -> None:
    by_hand = json.loads(installation.compose("config", "--format", "json").out)["services"]["kestra"]["ports"]
    assert [(port["published"], port["target"], port["host_ip"]) for port in by_hand] == [
        ("8080", 8080, "127.0.0.1"),
        ("8081", 8081, "127.0.0.1"),
    ]
    config = {v["name"]: v["value"] for v in installation.launcher("config", "--json").json()["variables"]}
    assert (config["KESTRA_HTTP_PORT"], config["KESTRA_MANAGEMENT_PORT"]) == ("8080", "8081")
    manifest = {s["id"]: s for s in installation.launcher("list", "--json").json()["services"]}
    assert manifest["kestra-orchestrator"]["port"] == 8080


def test_09_the_shell_beats_the_file_and_the_file_is_not_executed(installation: Installation) -> None:
    env = installation.root / ".env"
    env.write_text(env.read_text() + "KESTRA_HTTP_PORT=8195\nKESTRA_CONTAINER_NAME='tools-$(touch canary)'\n")
    done = installation.run(START, KESTRA_HTTP_PORT="8196", KESTRA_CONTAINER_NAME="tools-kestra")
    assert done.code == 0, done.text
    assert "http://localhost:8196" in done.out
    assert not list(installation.root.rglob("canary"))


def test_10_a_port_inside_a_range_of_another_container_is_seen(
    installation: Installation, engine: PrivateEngine
) -> None:
    engine.docker("run", "-d", "--name", "range", "-p", "127.0.0.1:8079-8083:8079-8083", "local/kestra-rehearsal:1")
    done = installation.run(START)
    assert done.code == 1
    assert "taken by the container range" in done.text


def test_11_started_means_ready_and_not_that_compose_returned_0(
    installation: Installation, engine: PrivateEngine
) -> None:
    file = installation.root / "tools/compose/docker-compose.tools.yml"
    file.write_text(
        file.read_text().replace("      LANG: C.UTF-8\n", '      LANG: C.UTF-8\n      STANDIN_API: "500"\n', 1)
    )
    with installation.popen("start", "--phase", "tools") as process:
        installation.await_state("kestra-postgres", "ready", 60)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(15)
        status = installation.await_state("kestra", "degraded", 30)
        assert status["container"] == "running"
        assert "500" in status["message"]
        process.terminate()
        assert process.wait(10) == 143


def test_12_every_script_is_executable_in_git() -> None:
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    modes = {line.split("\t")[1]: line.split()[0] for line in listed.splitlines()}
    scripts = [name for name in modes if re.match(r"(scripts/|tools/kestra/scripts/|\.ci/)", name)]
    runnable = [name for name in scripts if (CHECKOUT / name).read_text().startswith("#!")]
    assert len(runnable) >= 10
    assert {name: modes[name] for name in runnable} == dict.fromkeys(runnable, "100755")


def test_13_nothing_waits_by_a_fixed_sleep() -> None:
    files = [*(CHECKOUT / "scripts").rglob("*"), *(CHECKOUT / "tools/kestra/scripts").rglob("*"),
             *(CHECKOUT / "host").rglob("*.py"), *(CHECKOUT / "launcher_kestra").rglob("*.py")]  # fmt: skip
    sleeping = [
        f.name for f in files if f.is_file() and re.search(r"^\s*(time\.)?sleep\b", f.read_text(), re.MULTILINE)
    ]
    assert sleeping == []


def test_14_a_foreign_process_on_the_port_stops_kestra_alone_with_the_culprit_and_a_free_port_named(
    installation: Installation,
) -> None:
    with socket.create_server(("127.0.0.1", 8080)):
        done = installation.run(START, "--phase", "tools")
    assert done.code == 1, done.text
    assert "taken by the process" in done.text
    assert "KESTRA_HTTP_PORT=8180" in done.text
    assert "kestra-orchestrator: refused" in done.out
    assert installation.state("kestra-postgres") == "ready"
    assert installation.state("kestra") == "stopped"
