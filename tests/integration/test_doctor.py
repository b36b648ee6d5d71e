"""`launcher doctor` on a real Engine: what it finds before and after a start, and that it touches nothing."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.database_image import MADE
from tests.engines import PrivateEngine
from tests.installations import PASSWORD, REAL_KESTRA, Done, Installation

Findings = list[dict[str, Any]]


def examined(installation: Installation, code: int = 0, **exported: str) -> Findings:
    """The findings of a doctor that must end with an exit code; whatever is not well has a fix."""
    done = installation.launcher("doctor", "--json", **exported)
    assert done.code == code, done.text
    findings: Findings = done.json()["findings"]
    assert not [finding for finding in findings if finding["verdict"] != "pass" and not finding["fix"]]
    assert PASSWORD not in done.text
    return findings


def verdict(findings: Findings, words: str) -> str:
    """The verdict of the one finding with these words."""
    found = [finding for finding in findings if words in finding["summary"]]
    assert len(found) == 1, json.dumps(findings, indent=1)
    return str(found[0]["verdict"])


def every_file(root: Path) -> dict[str, tuple[object, ...]]:
    """What anybody could see of every file below a folder."""
    found = {}
    for path in sorted(root.rglob("*")):
        facts = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (facts.st_mode, facts.st_uid, facts.st_mtime_ns, facts.st_ino, content)
    return found


def everything_that_happened(engine: PrivateEngine, since: float) -> list[str]:
    """The Engine's events of every kind."""
    until = f"{time.time():.3f}"
    return engine.docker("events", "--since", f"{since:.3f}", "--until", until).splitlines()


def test_the_doctor_examines_an_installation_before_and_after_its_start_and_touches_nothing(
    installation: Installation, engine: PrivateEngine
) -> None:
    for started in (False, True):
        if started:
            assert installation.launcher("start").code == 0
            volume = Path(engine.docker("volume", "inspect", "-f", "{{.Mountpoint}}", "tools-kestra-postgres-data"))
        files, began = every_file(installation.root), time.time()
        findings = examined(installation)
        assert everything_that_happened(engine, began) == []
        assert every_file(installation.root) == files
        checks = {finding["check"] for finding in findings}
        wanted = {"engine", "compose", "disk", "memory", "environment", "plugins", "preflight", "restart", "logs"}
        assert checks >= wanted | {"image", "version", "privileges"}
        assert verdict(findings, "is 25.0 or newer") == "pass"
        assert verdict(findings, "is 2.24.4 or newer") == "pass"
        assert verdict(findings, "answers a ping in") == "pass"
        assert verdict(findings, "are free for the Docker Engine's data") == "pass"
        assert verdict(findings, ".env is well formed and guarded (mode 0600)") == "pass"
        assert verdict(findings, "plugin kestra (launcher-kestra") == "pass"
        assert verdict(findings, "kestra-orchestrator: nothing stands in the way of a start") == "pass"
        assert verdict(findings, "kestra-postgres: restart policy unless-stopped") == "warn"
        assert verdict(findings, "kestra-orchestrator: its log is limited to 3 files of 10m") == "pass"
        assert verdict(findings, f"{MADE} was made") == "pass"
        assert verdict(findings, "root with the Docker socket") == "warn"
        assert [
            f["summary"] for f in findings if f["check"] == "data" and "PostgreSQL 17, and so is" in f["summary"]
        ] == (["the data in tools-kestra-postgres-data are of PostgreSQL 17, and so is the image"] if started else [])
    (volume / "PG_VERSION").write_text("16\n")
    findings = examined(installation, code=1)
    assert verdict(findings, "are of PostgreSQL 16, the image is 17 and will not start on them") == "fail"


def test_a_frozen_engine_is_one_failure_in_3_seconds_and_the_rest_is_told(
    installation: Installation, engine: PrivateEngine
) -> None:
    engine.signal(signal.SIGSTOP)
    try:
        done = installation.launcher("doctor", "--json")
    finally:
        engine.signal(signal.SIGCONT)
    assert done.code == 1
    assert done.seconds < 3.5
    findings = done.json()["findings"]
    assert [finding["check"] for finding in findings if finding["verdict"] == "fail"] == ["engine"]
    assert {"compose", "environment", "plugins"} <= {finding["check"] for finding in findings}


def test_what_an_installation_lacks_is_found_with_its_fix(installation: Installation, engine: PrivateEngine) -> None:
    file = installation.root / "tools/compose/docker-compose.tools.yml"
    text = file.read_text()
    old = "    restart: unless-stopped\n    stop_grace_period: 1m\n"
    assert old in text
    file.write_text(text.replace(old, '    restart: "no"\n', 1).replace("    logging: *bounded-logs\n", "", 1))
    installation.write_env(
        REAL_KESTRA, KESTRA_MEMORY_LIMIT="512m", KESTRA_PRIVILEGES="hardened", KESTRA_HTTP_PROT="8180"
    )
    (installation.root / ".env").chmod(0o644)
    engine.docker("run", "-d", "--name", "tools-kestra", "-p", "127.0.0.1:8080:8080", "local/kestra-rehearsal:1")
    findings = examined(installation, code=1)
    assert verdict(findings, "the container name tools-kestra is taken by a container of somebody else") == "fail"
    assert verdict(findings, "port 8080 (KESTRA_HTTP_PORT) is taken by the container tools-kestra") == "fail"
    assert verdict(findings, "others can read the secrets in .env (mode 0644)") == "warn"
    assert verdict(findings, "KESTRA_HTTP_PROT is read by no plugin; is KESTRA_HTTP_PORT meant?") == "warn"
    assert verdict(findings, "kestra-postgres: restart policy no") == "warn"
    assert verdict(findings, "kestra-orchestrator: its log has no limit") == "warn"
    assert verdict(findings, "KESTRA_MEMORY_LIMIT is 512 MiB") == "warn"
    assert verdict(findings, "Kestra would run as its own user, without the Docker socket") == "pass"
    assert verdict(findings, "Kestra 1.3.25 has a known hole") == "fail"

    start = installation.launcher("start", "kestra")
    assert "the container name tools-kestra is taken" in start.err
    assert "⚠️  Kestra 1.3.25 has a known hole" in start.err
    assert engine.inspect("tools-kestra", "{{.State.Running}}") == "true"


def test_privileges_are_those_of_the_container_that_runs(installation: Installation) -> None:
    assert installation.launcher("start").code == 0
    assert verdict(examined(installation), "Kestra runs as root with the Docker socket") == "warn"
    installation.shell["KESTRA_PRIVILEGES"] = "hardened"
    assert verdict(examined(installation), "Kestra still runs as root with the Docker socket") == "warn"


def test_a_network_that_stopped_containers_of_another_installation_need_is_no_leftover(
    installation: Installation, engine: PrivateEngine
) -> None:
    assert installation.launcher("start", LAUNCHER_INSTALLATION_ID="theirs").code == 0
    assert installation.launcher("stop", LAUNCHER_INSTALLATION_ID="theirs").code == 0
    installation.shell["LAUNCHER_INSTALLATION_ID"] = "ours"
    findings = examined(installation, code=1)
    assert [finding["summary"] for finding in findings if finding["check"] == "leftovers"] == []


def test_what_an_interrupted_start_left_is_named_and_stays(installation: Installation, engine: PrivateEngine) -> None:
    def leftovers() -> list[str]:
        return [finding["summary"] for finding in examined(installation) if finding["check"] == "leftovers"]

    label = "com.docker.compose.project=tools"
    assert leftovers() == []
    engine.docker("network", "create", "--internal", "--label", label, "tools-kestra-private")
    assert leftovers() == ["the network tools-kestra-private was made for the project tools, which has no container"]
    engine.docker("network", "rm", "tools-kestra-private")
    engine.docker("network", "create", "tradingsystem_backend")
    assert installation.compose("create").code == 0
    (one_off, old) = (f"{label}", "old-service")
    for name, labels in (
        (old, ["com.docker.compose.service=was-renamed"]),
        ("run-once", ["com.docker.compose.service=kestra", "com.docker.compose.oneoff=True"]),
    ):
        options = [word for text in (one_off, *labels) for word in ("--label", text)]
        engine.docker("create", "--name", name, *options, "local/kestra-rehearsal:1")
    names = engine.docker("ps", "-a", "--format", "{{.Names}}").split()
    assert sorted(leftovers()) == [
        "the container old-service belongs to was-renamed, which is no service of this installation",
        "the container run-once is left from a `docker compose run`",
        "the container tools-kestra is half made (created)",
        "the container tools-kestra-postgres is half made (created)",
    ]
    assert engine.docker("ps", "-a", "--format", "{{.Names}}").split() == names


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        (".env", "KESTRA_DB_PASSWORD='Right1Password2of3tests\n", ".env, line 1, KESTRA_DB_PASSWORD"),
        ("config/services-manifest.json", "{", "services-manifest.json: line 1"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_the_first_finding(
    installation: Installation, file: str, text: str, words: str
) -> None:
    (installation.root / file).write_text(text)
    findings = examined(installation, code=1)
    assert words in findings[0]["summary"]
    assert verdict(findings, "answers a ping in") == "pass"
    shown: Done = installation.launcher("doctor")
    assert shown.code == 1
    assert shown.out.startswith("✖ fail")
    assert "↳ try: " in shown.out


def test_what_the_engine_refuses_to_say_is_not_passed_over(installation: Installation) -> None:
    findings = examined(installation, 1, KESTRA_POSTGRES_IMAGE="Postgres:17")
    assert verdict(findings, "Postgres:17 is no name of an image") == "fail"
    findings = examined(installation, 1, KESTRA_IMAGE="local/kestra:none")
    assert verdict(findings, "the image local/kestra:none is not here") == "fail"
    assert not [f for f in findings if "a start fetches it" in f["summary"]]


def test_an_image_that_is_called_rehearsal_elsewhere_is_kestra_all_the_same(installation: Installation) -> None:
    findings = examined(installation, 1, KESTRA_IMAGE="registry.example/rehearsal/kestra:v1.3.10")
    assert verdict(findings, "Kestra 1.3.10 has a known hole: CVE") == "fail"
