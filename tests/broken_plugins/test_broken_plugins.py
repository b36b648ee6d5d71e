"""The real command beside one broken plugin at a time: it is named with the reason, and everything else goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.broken_plugins import pack
from tests.broken_plugins.pack import KINDS, SERVICE

CHECKOUT = Path(__file__).parents[2]
LAUNCHER = Path(sys.executable).with_name("launcher")
SECRET = "Right1Password"

#: One whose import hangs costs each command 10 s: test_guard.py tries it with a shorter deadline. One that ends the
#: process lets nothing be seen; both have tests of their own.
TRIED = sorted(KINDS.keys() - {"hangs_on_import", "import_takes_a_minute", "ends_the_process_on_import"})

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An installation whose manifest lists Kestra, the service of the broken plugin, and one of nobody."""
    root = tmp_path / "root"
    (root / "config").mkdir(parents=True)
    manifest = json.loads((CHECKOUT / "config/services-manifest.json").read_text())
    nobodys = {"type": "docs", "path": ".", "start": "npm start", "managed": "internal"}
    manifest["services"].append(nobodys | {"id": "docs-hub"})
    (root / "config/services-manifest.json").write_text(json.dumps(manifest))
    (root / ".env").write_text(f"SOME_PASSWORD={SECRET}\n")
    return root


@pytest.fixture
def beside(tmp_path: Path, root: Path) -> Run:
    """Runs a command of the real launcher beside the plugin of a kind; the kind's service is in the manifest."""

    def run(kind: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        installed = tmp_path / "installed"
        if not installed.exists():
            pack.write(kind, installed)
            file = root / "config/services-manifest.json"
            manifest = json.loads(file.read_text())
            entry = {"id": SERVICE, "type": "tools", "path": ".", "start": "true", "stack": "tools", "plugin": kind}
            manifest["services"].append(entry)
            file.write_text(json.dumps(manifest))
        path = os.pathsep.join(map(str, (installed, *installed.glob("copy-*"))))
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": path}
        env |= {"LAUNCHER_ROOT": str(root), "DOCKER_HOST": "unix:///nonexistent/docker.sock"}
        done = subprocess.run([LAUNCHER, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stdout + done.stderr
        assert "this should not have happened" not in done.stderr
        return done

    return run


def answered(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    """The JSON on standard output, which must be there alone, after the exit code was looked at."""
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", TRIED)
def test_a_broken_plugin_is_listed_with_the_reason_and_kestra_is_active(beside: Run, kind: str) -> None:
    found = answered(beside(kind, "plugins", "list", "--json"))
    plugins = {plugin["name"]: plugin for plugin in found["plugins"]}
    told = [json.dumps(plugins[kind]), *(problem["summary"] for problem in found["problems"])]
    assert plugins[kind]["state"] == KINDS[kind].state
    assert plugins["kestra"]["state"] == "active"
    assert any(KINDS[kind].expected in line for line in told)
    as_text = beside(kind, "plugins", "list")
    assert as_text.returncode == 0
    assert not [text for text in (SECRET, "\x1b", "\\u001b") if text in str(found) + as_text.stdout + as_text.stderr]
    assert KINDS[kind].expected in as_text.stdout + as_text.stderr


@pytest.mark.parametrize("kind", TRIED)
def test_beside_a_broken_plugin_every_service_is_listed(beside: Run, kind: str) -> None:
    services = {entry["id"]: entry for entry in answered(beside(kind, "list", "--json"))["services"]}
    assert set(services) == {"kestra-orchestrator", "kestra-postgres", "docs-hub", SERVICE}
    assert services["kestra-postgres"]["plugin"] == "kestra"
    assert services["kestra-orchestrator"]["title"] == "Kestra Orchestrator"


@pytest.mark.parametrize("kind", TRIED)
def test_beside_a_broken_plugin_status_answers_in_time_with_the_reason(beside: Run, kind: str) -> None:
    began = time.monotonic()
    done = beside(kind, "status", "--json")
    assert time.monotonic() - began < 5
    assert not [text for text in (SECRET, "\x1b", "\\u001b") if text in done.stdout + done.stderr]
    statuses = {status["id"]: status for status in answered(done, code=5)["services"]}
    assert statuses["kestra-orchestrator"]["state"] == statuses["kestra-postgres"]["state"] == "unknown"
    assert "does not answer" in statuses["kestra-postgres"]["message"]
    assert statuses["docs-hub"]["state"] == "unmanaged"
    words = KINDS[kind].answers
    if words:
        assert statuses[SERVICE]["state"] == "unknown"
        assert words in statuses[SERVICE]["message"]
    elif words is None:
        assert (statuses[SERVICE]["state"], statuses[SERVICE]["message"]) == ("ready", "running")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            "import_error",
            "is failed: plugin import_error failed in load: RuntimeError: half a file",
        ),
        ("incompatible_host", "is incompatible: it needs service-launcher >=2"),
        ("raises_in_findings", "plugin raises_in_findings failed in launcher_findings: RuntimeError: I feel fine"),
        ("nonsense_in_findings", "plugin nonsense_in_findings answered nonsense in launcher_findings: 0.verdict"),
        ("claims_existing_id", "both claim the service kestra-orchestrator"),
        ("raises_in_variables", "plugin raises_in_variables failed in launcher_variables"),
        (
            "the_hosts_error_in_variables",
            "plugin the_hosts_error_in_variables failed in launcher_variables: ConfigurationError: which ones?",
        ),
    ],
)
def test_the_doctor_names_a_broken_plugin_and_goes_on(beside: Run, kind: str, words: str) -> None:
    findings = answered(beside(kind, "doctor", "--json"), code=1)["findings"]
    told = [finding for finding in findings if finding["check"] == "plugins" and words in finding["summary"]]
    assert len(told) == 1, findings
    assert told[0]["verdict"] == ("warn" if kind.endswith("_in_variables") else "fail")
    assert told[0]["fix"]
    passed = {finding["summary"].partition(" (")[0] for finding in findings if finding["verdict"] == "pass"}
    assert "plugin kestra" in passed


def test_the_doctor_works_with_every_plugin_broken_at_once(tmp_path: Path, root: Path, beside: Run) -> None:
    for kind in TRIED:
        pack.write(kind, tmp_path / "installed")
    done = beside("import_error", "doctor", "--json")
    assert SECRET not in done.stdout + done.stderr
    summaries = [finding["summary"] for finding in answered(done, code=1)["findings"] if finding["verdict"] == "fail"]
    for kind in TRIED:
        if KINDS[kind].state != "active":
            assert any(summary.startswith(f"plugin {kind} (") for summary in summaries), kind
    assert any("does not answer" in summary for summary in summaries)


def test_a_service_that_two_plugins_claim_belongs_to_neither(beside: Run) -> None:
    found = answered(beside("claims_existing_id", "plugins", "list", "--json"))
    assert {plugin["name"]: plugin["services"] for plugin in found["plugins"]} == {
        "claims_existing_id": [],
        "kestra": ["kestra-postgres"],
    }
    summary = "plugins claims_existing_id and kestra both claim the service kestra-orchestrator; neither is used for it"
    assert [problem["summary"] for problem in found["problems"]] == [summary]
    statuses = answered(beside("claims_existing_id", "status", "kestra", "--json"), code=5)["services"]
    assert (statuses[0]["state"], statuses[0]["message"]) == ("unknown", summary)


def test_a_clash_over_a_service_that_another_needs_stops_no_command(beside: Run, root: Path, tmp_path: Path) -> None:
    module = pack.write("claims_existing_id", tmp_path / "installed") / "broken_claims_existing_id.py"
    module.write_text(module.read_text().replace("kestra-orchestrator", "kestra-postgres"))
    (root / "config/services-manifest.json").unlink()
    assert "both claim the service kestra-postgres" in beside("claims_existing_id", "plugins", "list").stderr


def test_a_name_that_is_an_id_keeps_its_meaning(beside: Run) -> None:
    statuses = answered(beside("takes_a_name", "status", "kestra-postgres", "--json"), code=5)["services"]
    assert [status["id"] for status in statuses] == ["kestra-postgres"]


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('disabled = ["import_error"]', "disabled in config/plugins.toml"),
        ('only = ["kestra"]', "not among `only` in config/plugins.toml"),
        ('only = ["kestra", "import_error"]\ndisabled = ["import_error"]', "disabled in config/plugins.toml"),
    ],
)
def test_a_plugin_that_is_left_out_is_never_imported(
    beside: Run, root: Path, tmp_path: Path, toml: str, words: str
) -> None:
    (root / "config/plugins.toml").write_text(toml)
    plugins = {p["name"]: p for p in answered(beside("import_error", "plugins", "list", "--json"))["plugins"]}
    assert (plugins["import_error"]["state"], plugins["import_error"]["reason"]) == ("disabled", words)
    assert plugins["kestra"]["state"] == "active"
    assert not (tmp_path / "installed/broken_import_error.imported").exists()
    (root / "config/plugins.toml").unlink()
    beside("import_error", "plugins", "list")
    assert (tmp_path / "installed/broken_import_error.imported").exists()


def test_a_plugin_for_another_host_is_never_imported(beside: Run, tmp_path: Path) -> None:
    beside("incompatible_host", "list")
    assert not (tmp_path / "installed/broken_incompatible_host.imported").exists()


def test_a_plugin_of_pydantic_is_never_imported(beside: Run, tmp_path: Path) -> None:
    """It would be imported before config/plugins.toml is read, and see the values of every record."""
    installed = tmp_path / "installed"
    beside("import_error", "list")
    for entry_points in installed.glob("*.dist-info/entry_points.txt"):
        entry_points.write_text("[pydantic]\nimport_error = broken_import_error:plugin\n")
    (imported := installed / "broken_import_error.imported").unlink()
    assert beside("import_error", "plugins", "list").returncode == 0
    assert not imported.exists()


@pytest.mark.parametrize("toml", ["disabled = [", 'allowed = ["kestra"]'])
def test_a_list_of_plugins_that_cannot_be_read_loads_none(beside: Run, root: Path, tmp_path: Path, toml: str) -> None:
    (root / "config/plugins.toml").write_text(toml)
    done = beside("import_error", "list", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "config/plugins.toml" in done.stderr
    assert not (tmp_path / "installed/broken_import_error.imported").exists()


@pytest.mark.parametrize("toml", ["disabled = 1", 'disabled = "kestra"', "only = {kestra = 1}"])
def test_a_list_of_plugins_that_is_no_list_is_refused(beside: Run, root: Path, toml: str) -> None:
    (root / "config/plugins.toml").write_text(toml)
    done = beside("import_error", "list", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "config/plugins.toml" in done.stderr


@pytest.mark.parametrize("kind", ["import_error", "raises_in_commands"])
def test_help_is_shown_beside_a_broken_plugin(beside: Run, kind: str) -> None:
    done = beside(kind, "--help")
    assert done.returncode == 0
    assert "plugins" in done.stdout


def test_what_a_plugin_reads_is_unknown_and_the_rest_is_shown(beside: Run) -> None:
    found = answered(beside("raises_in_variables", "config", "--json"))
    assert "KESTRA_HTTP_PORT" in {variable["name"] for variable in found["variables"]}


def test_an_import_that_takes_a_minute_costs_ten_seconds_and_no_other_plugin(beside: Run) -> None:
    began = time.monotonic()
    plugins = {p["name"]: p for p in answered(beside("import_takes_a_minute", "plugins", "list", "--json"))["plugins"]}
    assert 9 < time.monotonic() - began < 15
    assert "did not return from load within 10" in plugins["import_takes_a_minute"]["reason"]
    assert plugins["kestra"]["state"] == "active"


def test_an_import_that_ends_the_process_is_named_by_the_next_command_and_can_be_disabled(
    beside: Run, root: Path, tmp_path: Path
) -> None:
    kind = "ends_the_process_on_import"
    (root / ".launcher").mkdir(mode=0o700)
    first = beside(kind, "status")
    assert (first.returncode, first.stdout) == (42, ""), "no code of this process outlives os._exit"
    second = beside(kind, "status")
    assert second.returncode == 42
    assert f"an earlier launcher ended while it loaded the plugin {kind}" in second.stderr
    assert f"launcher plugins disable {kind}" in second.stderr
    (tmp_path / f"installed/broken_{kind}.imported").unlink()
    disabled = beside(kind, "plugins", "disable", kind)
    assert disabled.stdout == f"{kind}: disabled in config/plugins.toml\n"
    third = answered(beside(kind, "plugins", "list", "--json"))["plugins"]
    assert {p["name"]: p["state"] for p in third} == {kind: "disabled", "kestra": "active"}
    assert not (tmp_path / f"installed/broken_{kind}.imported").exists()


def test_a_process_that_ends_later_is_no_plugins_fault(beside: Run, root: Path, tmp_path: Path) -> None:
    """Else the innocent one that was loaded last would be named by the next command."""
    (root / ".launcher").mkdir(mode=0o700)
    beside("the_hosts_error_in_entries", "plugins", "list")
    again = beside("the_hosts_error_in_entries", "plugins", "list")
    assert "an earlier launcher ended" not in again.stderr
    assert list((root / ".launcher/loading").iterdir()) == []


def test_two_copies_are_named_with_their_folders(beside: Run) -> None:
    done = beside("installed_twice", "plugins", "check", "installed_twice")
    assert done.returncode == 0
    assert "broken_installed_twice is installed 2 times, and the first is used" in done.stderr
    assert "copy-2" in done.stderr
    assert "(0.9)" in done.stderr
    assert "pip uninstall broken_installed_twice" in done.stderr


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("privileged", "broken-service is privileged: it can do everything that root can on this machine"),
        ("docker_socket", "broken-service mounts the Docker socket: whoever controls it is root on this machine"),
    ],
)
def test_a_compose_file_that_reaches_for_the_machine_is_warned_of(beside: Run, kind: str, words: str) -> None:
    done = beside(kind, "plugins", "check", kind, "--json")
    told = answered(done)[kind]
    assert [(p["severity"], p["summary"]) for p in told] == [("warn", f"{words} (docker-compose.broken.yml)")]
    assert f"launcher plugins disable {kind}" in told[0]["fix"]


def test_check_names_every_broken_plugin_and_says_what_mends_it(beside: Run, tmp_path: Path) -> None:
    broken = [kind for kind in TRIED if KINDS[kind].state in ("failed", "incompatible")]
    for kind in broken:
        pack.write(kind, tmp_path / "installed")
    done = beside("sound", "plugins", "check")
    assert done.returncode == 1
    for kind in broken:
        assert KINDS[kind].expected in done.stderr
        assert f"mend it, or: launcher plugins disable {kind}" in done.stderr
    assert "kestra: active" in done.stdout
