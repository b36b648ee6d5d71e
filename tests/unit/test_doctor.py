"""The doctor's rules that need no Docker: versions, environment files, how containers are made, Kestra's holes."""

from __future__ import annotations

import gc
import os
import warnings
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from service_launcher import container_findings, disks, doctor, wiring
from service_launcher.container_findings import Made
from service_launcher.containers import EngineFacts, ImageFacts
from service_launcher.engine_view import EngineView
from service_launcher.models import Diagnosis, Finding, now
from service_launcher.redaction import MASK, Redactor

from launcher_kestra import versions

SECRET = "Right1Password2of3tests"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An installation with a manifest of nothing and a good `.env`."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/services-manifest.json").write_text('{"version": 1, "services": []}')
    write(tmp_path / ".env", f"KESTRA_DB_PASSWORD={SECRET}\n")
    return tmp_path


def write(path: Path, text: str | bytes, mode: int = 0o600) -> None:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)


def found(root: Path, check: str) -> list[Finding]:
    return [finding for finding in diagnosed(root).findings if finding.check == check]


def diagnosed(root: Path) -> Diagnosis:
    with warnings.catch_warnings():
        # The Docker SDK leaves the socket of a failed connection to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        diagnosis = wiring.diagnose(str(root))
        gc.collect()
    assert SECRET not in diagnosis.model_dump_json()
    return diagnosis


def facts(version: str = "28.3.3", live_restore: bool = False) -> EngineFacts:
    return EngineFacts(version, "1.45", 0.001, 8 << 30, 2, "/var/lib/docker", live_restore)


def verdict(findings: list[Finding], words: str) -> str:
    matching = [finding for finding in findings if words in finding.summary]
    assert len(matching) == 1, [finding.summary for finding in findings]
    assert matching[0].verdict == "pass" or matching[0].fix
    return matching[0].verdict


def test_a_silent_engine_is_a_failure_and_everything_else_is_still_told(root: Path) -> None:
    diagnosis = diagnosed(root)
    assert diagnosis.verdict == "fail"
    engine = [finding for finding in diagnosis.findings if finding.check == "engine"]
    assert [finding.verdict for finding in engine] == ["fail"]
    assert "/nonexistent/docker.sock does not answer" in engine[0].summary
    assert {"environment", "plugins", "compose"} <= {finding.check for finding in diagnosis.findings}


@pytest.mark.parametrize(
    ("file", "text", "mode", "words", "expected"),
    [
        (".env", f"KESTRA_DB_PASSWORD={SECRET}\n", 0o600, ".env is well formed", "pass"),
        (".env", f"KESTRA_DB_PASSWORD={SECRET}\n", 0o640, "others can read the secrets in .env (mode 0640)", "warn"),
        (".env", "KESTRA_HTTP_PORT=8080\n", 0o644, ".env is well formed", "pass"),
        (".env.shared", "ANY=1\n", 0o662, "others can write .env.shared (mode 0662)", "fail"),
        (".env", f"A=1\nKESTRA_DB_PASSWORD={SECRET}$(x)\n", 0o600, ".env, line 2, KESTRA_DB_PASSWORD", "fail"),
        (".env", "A=1\nA=2\n", 0o600, ".env, line 2, A: defined twice", "fail"),
        (".env", "KESTRA_HTTP_PROT=8080\n", 0o600, "is KESTRA_HTTP_PORT meant?", "warn"),
        (".env", "KESTRA_SOMETHING=8080\n", 0o600, "KESTRA_SOMETHING is read by no plugin", "warn"),
        (".env", "ELSEWHERE=1\n", 0o600, "read by no plugin, and like no name that is: ELSEWHERE", "pass"),
    ],
)
def test_environment_files(root: Path, file: str, text: str, mode: int, words: str, expected: str) -> None:
    write(root / file, text, mode)
    assert verdict(found(root, "environment"), words) == expected


def test_an_environment_file_of_somebody_else_is_named(root: Path) -> None:
    os.chown(root / ".env", 12345, -1)
    assert verdict(found(root, "environment"), ".env belongs to user 12345") == "warn"


def test_a_symbolic_link_for_an_environment_file_is_named(root: Path) -> None:
    (root / ".env").rename(root / "elsewhere")
    (root / ".env").symlink_to("elsewhere")
    assert verdict(found(root, "environment"), ".env is a symbolic link") == "warn"


def test_a_symbolic_link_to_nothing_is_a_failure(root: Path) -> None:
    (root / ".env.local").symlink_to("gone")
    assert verdict(found(root, "environment"), ".env.local is a symbolic link to nothing") == "fail"


def test_a_compose_that_is_warned_of_something_is_still_asked_its_version(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\necho 'WARNING: Error loading config file: denied' >&2\necho 2.40.3-desktop.1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
    assert verdict(found(root, "compose"), "Docker Compose 2.40.3-desktop.1 is ") == "pass"


def test_a_folder_that_this_user_may_not_enter_is_not_measured(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "docker").mkdir(parents=True)
    closed.chmod(0o700)
    view = cast(EngineView, SimpleNamespace(data_root=lambda: str(closed / "docker")))
    assert len(list(disks.shared(view, tmp_path))) == 2
    os.seteuid(65534)
    try:
        assert "the Docker Engine's data" not in str(list(disks.shared(view, tmp_path)))
    finally:
        os.seteuid(0)


def test_an_exported_value_that_beats_the_file_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KESTRA_DB_PASSWORD", "Another1Password")
    diagnosis = diagnosed(root)
    assert verdict(list(diagnosis.findings), "KESTRA_DB_PASSWORD is exported with another value than .env") == "warn"
    assert "Another1Password" not in diagnosis.model_dump_json()


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        (".env", "KESTRA_DB_PASSWORD='Right\n", ".env, line 1, KESTRA_DB_PASSWORD"),
        ("config/services-manifest.json", "{", "services-manifest.json: line 1"),
        ("config/plugins.toml", "only = [", "config/plugins.toml cannot be read"),
        ("config/plugins.toml", b"# caf\xe9\n", "config/plugins.toml cannot be read"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_the_first_failure_beside_the_engine(
    root: Path, file: str, text: str | bytes, words: str
) -> None:
    write(root / file, text)
    diagnosis = diagnosed(root)
    assert words in diagnosis.findings[0].summary
    failed = [f.check for f in diagnosis.findings if f.verdict == "fail"]
    assert failed == ["environment" if file == ".env" else "configuration", "engine"]
    assert any(f.check == "compose" for f in diagnosis.findings)


@pytest.mark.parametrize(
    ("version", "minimum", "older"),
    [
        ("26.1.5+dfsg1", "25.0", False),
        ("24.0.9", "25.0", True),
        ("25.0", "25.0", False),
        ("2.26.1-4", "2.24.4", False),
        ("2.24.3", "2.24.4", True),
        ("2.39.1-desktop.1", "2.24.4", False),
        ("5.5.0", "2.24.4", False),
        ("20.10.24+dfsg1", "25.0", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, minimum: str, older: bool) -> None:
    assert doctor._older(version, minimum) is older


@pytest.mark.parametrize(
    ("version", "verdicts"),
    [
        ("20.10.24", {"fail", "pass", "warn"}),
        ("26.1.5+dfsg1", {"pass", "warn"}),
        ("28.0.0", {"pass"}),
        ("28.2.2", {"pass", "warn"}),
        ("28.3.3", {"pass"}),
        ("29.1.0", {"pass"}),
    ],
)
def test_engine_versions(version: str, verdicts: set[str]) -> None:
    assert {finding.verdict for finding in doctor._engine(facts(version))} == verdicts


def test_compose_versions_with_a_known_hole() -> None:
    assert [bool(doctor._holes(v, doctor.COMPOSE_HOLES)) for v in ("2.33.1", "2.34.0", "2.40.1", "2.40.2")] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("policy", "live_restore", "expected"),
    [
        ("always", False, "pass"),
        ("unless-stopped", True, "pass"),
        ("unless-stopped", False, "warn"),
        ("on-failure:3", True, "warn"),
        ("no", True, "warn"),
    ],
)
def test_restart_policies(policy: str, live_restore: bool, expected: str) -> None:
    made = Made("search", policy, "json-file", {})
    assert container_findings.restart(made, facts(live_restore=live_restore)).verdict == expected


@pytest.mark.parametrize(
    ("driver", "options", "expected"),
    [
        ("json-file", {"max-size": "10m", "max-file": "3"}, "pass"),
        ("json-file", {}, "warn"),
        ("json-file", {"max-file": "3"}, "warn"),
        ("local", {}, "pass"),
        ("journald", {}, "pass"),
    ],
)
def test_logs(driver: str, options: dict[str, str], expected: str) -> None:
    assert container_findings.logs(Made("search", "always", driver, options)).verdict == expected


@pytest.mark.parametrize(
    ("name", "days", "verdicts"),
    [
        ("postgres:17", 20, ["pass"]),
        ("postgres:17", 200, ["warn"]),
        ("kestra/kestra:latest", 1, ["warn", "pass"]),
        ("registry.example:5000/kestra", 1, ["warn", "pass"]),
        ("kestra/kestra@sha256:0123", 1, ["pass"]),
    ],
)
def test_image_ages_and_rolling_tags(name: str, days: int, verdicts: list[str]) -> None:
    made = ImageFacts("sha256:0", {}, now() - timedelta(days=days))
    assert [finding.verdict for finding in container_findings.image("search", name, made)] == verdicts
    assert [f.verdict for f in container_findings.image("search", name, None)][-1] == "pass"


@pytest.mark.parametrize(
    ("image", "known", "doubtful"),
    [
        ("kestra/kestra:v1.0.34", 3, False),
        ("kestra/kestra:v1.0.45", 1, False),
        ("kestra/kestra:v1.0.60", 0, False),
        ("kestra/kestra:v1.1.14", 3, False),
        ("kestra/kestra:v1.3.3", 3, False),
        ("kestra/kestra:v1.3.20", 2, False),
        ("local/kestra:1.3.25", 1, False),
        ("kestra/kestra:v1.3.38-slim", 0, False),
        ("local/kestra:2.0.0-SNAPSHOT", 0, True),
        ("registry.example:5000/kestra:v2.0.3", 0, False),
    ],
)
def test_versions_of_kestra_with_known_holes(image: str, known: int, doubtful: bool) -> None:
    version = versions.parse(versions.tag(image))
    assert version is not None
    assert len(versions.holes(version)) == known
    assert (versions.doubt(version) is not None) is doubtful


@pytest.mark.parametrize(
    ("image", "rolls"),
    [
        ("kestra/kestra:v1.3", True),
        ("kestra/kestra:latest", True),
        ("kestra/kestra:latest-slim", True),
        ("kestra/kestra:latest-lts", True),
        ("kestra/kestra:latest-full", True),
        ("kestra/kestra:develop-slim", True),
        ("kestra/kestra:v1.3.44", False),
        ("kestra/kestra:v2.0.3-slim", False),
        ("local/kestra-rehearsal:1", False),
        ("kestra/kestra:v1.3@sha256:0123", False),
    ],
)
def test_rolling_tags_of_kestra(image: str, rolls: bool) -> None:
    assert (versions.rolling(image) is not None) is rolls


def test_what_is_found_twice_is_told_once_with_the_worst_verdict_and_without_secrets() -> None:
    def said(verdict: str, summary: str) -> Finding:
        return Finding.model_validate({"check": "any", "verdict": verdict, "summary": summary, "fix": f"not {SECRET}"})

    findings = [
        said("warn", "one"),
        said("pass", "two"),
        said("fail", "one"),
        said("warn", "one"),
        said("pass", SECRET),
    ]
    told = doctor._diagnosis(findings, Redactor([SECRET])).findings
    assert [(finding.summary, finding.verdict) for finding in told] == [
        ("one", "fail"),
        ("two", "pass"),
        (MASK, "pass"),
    ]
    assert SECRET not in "".join(finding.fix for finding in told)
