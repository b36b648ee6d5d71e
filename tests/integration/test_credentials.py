"""Credentials: hard ones work and are shown nowhere, impossible ones are refused before anything changes."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.installations import NEXT_KESTRA, REAL_KESTRA, USERNAME, Installation

EVERY_CHARACTER = "Aa1\"'$#:{}\\%é"
HARD = {
    "every character": (f"{EVERY_CHARACTER} with spaces ", EVERY_CHARACTER + "x"),
    "200 characters": ("d" * 150 + EVERY_CHARACTER * 4, (EVERY_CHARACTER * 20)[:200]),
}


def _exported(database: str, login: str) -> dict[str, str]:
    return {"KESTRA_DB_PASSWORD": database, "KESTRA_BASICAUTH_PASSWORD": login}


@pytest.mark.kestra
@pytest.mark.parametrize("image", [REAL_KESTRA, NEXT_KESTRA], ids=["1.3.25", "2.0.0-SNAPSHOT"])
@pytest.mark.parametrize("case", HARD)
def test_hard_passwords_log_in_and_are_never_printed(copied, engine: PrivateEngine, image: str, case: str) -> None:
    database, login = HARD[case]
    installation: Installation = copied(kestra=image)
    exported = _exported(database, login)
    done = installation.launcher("start", **exported)
    assert done.code == 0, done.text
    search = "/api/v1/main/flows/search?size=1"
    assert installation.api("GET", search, credentials=(USERNAME, login))[0] == 200
    assert installation.api("GET", search, credentials=(USERNAME, login + "x"))[0] == 401
    printed = [done.text]
    for command in (
        ["status", "--json"],
        ["logs", "kestra", "--tail", "500"],
        ["config"],
        ["plan"],
        ["kestra", "run", "--dry-run"],
    ):
        printed.append(installation.launcher(*command, **exported).text)
    printed.append((installation.root / ".launcher/events.jsonl").read_text())
    for text in printed:
        assert database not in text
        assert login not in text


@pytest.mark.kestra
def test_no_secret_is_on_any_command_line(copied, engine: PrivateEngine, tmp_path) -> None:
    database, login = "canary0Database1Password", "canary0Login1Password"
    installation: Installation = copied(kestra=REAL_KESTRA)
    trace = tmp_path / "trace"
    program = shutil.which("launcher")
    assert program is not None
    done = installation.run(
        "strace", "-f", "-qq", "-e", "trace=execve", "-s", "4096", "-o", str(trace),
        program, "--root", str(installation.root), "start", **_exported(database, login),
    )  # fmt: skip
    assert done.code == 0, done.text
    lines = trace.read_text().splitlines()
    assert any('"compose"' in line and '"up"' in line for line in lines), "the trace must have seen compose"
    assert not [line for line in lines if "canary0" in line]


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("KESTRA_BASICAUTH_USERNAME", "admin", "no e-mail address"),
        ("KESTRA_BASICAUTH_USERNAME", "admin@localhost", "no e-mail address"),
        ("KESTRA_BASICAUTH_PASSWORD", "short1A", "8 to 256"),
        ("KESTRA_BASICAUTH_PASSWORD", "alllowercase1", "weak"),
        ("KESTRA_BASICAUTH_PASSWORD", "k3str4", "everybody knows"),
        ("KESTRA_BASICAUTH_PASSWORD", "White Space1", "white space"),
        ("KESTRA_BASICAUTH_PASSWORD", "Resolved1${HOME}", "${"),
        ("KESTRA_BASICAUTH_PASSWORD", "", "is not set"),
        ("KESTRA_DB_PASSWORD", "postgres", "everybody knows"),
        ("KESTRA_DB_PASSWORD", "before${after", "${"),
    ],
)
def test_credentials_that_cannot_work_are_refused_before_anything_changes(
    installation: Installation, engine: PrivateEngine, variable: str, value: str, why: str
) -> None:
    done = installation.launcher("start", "kestra", **{variable: value})
    assert done.code == 3, done.text
    assert variable in done.text
    assert why in done.text
    assert len(value) < 9 or value not in done.text
    assert engine.docker("ps", "-aq") == ""


def test_without_any_credentials_nothing_at_all_is_changed(installation: Installation, engine: PrivateEngine) -> None:
    (installation.root / ".env").write_text(
        "KESTRA_IMAGE=local/kestra-rehearsal:1\nKESTRA_POSTGRES_IMAGE=local/postgres:17\n"
    )
    done = installation.launcher("start")
    assert done.code == 3, done.text
    assert "KESTRA_DB_PASSWORD is not set" in done.text
    assert "KESTRA_BASICAUTH_PASSWORD is not set" in done.text
    assert engine.docker("ps", "-aq") == engine.docker("volume", "ls", "-q", "--filter", "name=postgres") == ""


@pytest.mark.kestra
@pytest.mark.parametrize("image", [NEXT_KESTRA, REAL_KESTRA], ids=["2.0.0-SNAPSHOT", "1.3.25"])
@pytest.mark.parametrize(
    ("weak", "reason"),
    [
        ({"KESTRA_BASICAUTH_PASSWORD": "weak"}, "assword"),
        ({"KESTRA_BASICAUTH_USERNAME": "admin"}, "sername"),
        ({}, "no credentials were configured"),
    ],
    ids=["weak password", "no e-mail", "none"],
)
def test_a_kestra_that_runs_without_a_login_all_the_same_is_failed_with_kestras_own_reason(
    copied, engine: PrivateEngine, image: str, weak: dict[str, str], reason: str
) -> None:
    installation: Installation = copied(kestra=image)
    engine.docker("network", "create", "tradingsystem_backend")
    if not weak:
        file = installation.root / "tools/compose/docker-compose.tools.yml"
        without = re.sub(r" +basic-auth:\n.*\n.*\n", "            unrelated: true\n", file.read_text())
        assert without != file.read_text()
        file.write_text(without)
    done = installation.compose("up", "-d", "kestra", **weak)
    assert done.code == 0, done.text
    said = installation.await_state("kestra", "failed", 120)["message"]
    assert "without a login" in said
    assert reason in said, said


@pytest.mark.kestra
def test_a_database_password_that_no_longer_fits_the_volume_is_a_failure_and_not_a_start(
    copied, engine: PrivateEngine
) -> None:
    installation: Installation = copied(kestra=REAL_KESTRA)
    assert installation.launcher("start", "kestra-postgres").code == 0
    assert installation.launcher("stop", "kestra-postgres").code == 0
    done = installation.launcher("start", "kestra-postgres", KESTRA_DB_PASSWORD="another1Password2now", seconds=400)
    assert done.code == 1, done.text
    assert "password authentication failed" in done.text
    assert "KESTRA_DB_PASSWORD is not the password that the database was first started with" in done.text
    assert done.seconds < 30


def test_the_checkout_holds_no_env_file() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    assert not [name for name in tracked.split() if name.endswith(".env") and name != "tools/compose/.env"]
