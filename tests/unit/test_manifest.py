"""config/services-manifest.json: what is accepted, what is refused and where, how it drifts and how it is written."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from service_launcher import manifest
from service_launcher.errors import ManifestError
from service_launcher.models import ManifestEntry

CHECKOUT = Path(__file__).parents[2]

#: As an installation had it before there was a launcher (launcher-contract.md, section 1).
OLD_FILE = """\
{"version": 1, "services": [
  {"id": "dashboard", "type": "frontend", "path": "frontend/dashboard", "start": "npm run dev",
   "build": "npm run build", "test": "npm test", "port": 3103, "env": ".env.example", "workspace": true,
   "managed": "internal", "note": "Vite"},
  {"id": "docs-hub", "type": "docs", "path": "docs", "start": "npm run start -- --port 3400", "build": null,
   "test": null, "port": 3400, "env": null, "workspace": false, "managed": "internal"},
  {"id": "timescale", "type": "infra", "path": "tools/compose", "port": null, "managed": "docker-compose",
   "start": "docker compose -f tools/compose/docker-compose.database.yml up -d", "healthUrl": "http://localhost:5433"},
  {"id": "firecrawl", "type": "external", "path": "frontend/apps", "start": "poetry run api", "managed": "external"},
  {"id": "kestra-orchestrator", "type": "tools", "path": "tools/kestra", "build": null, "test": null, "port": 8080,
   "start": "docker compose -f tools/compose/docker-compose.tools.yml up -d kestra",
   "stop": "docker compose -f tools/compose/docker-compose.tools.yml stop kestra",
   "status": "tools/kestra/scripts/status.sh", "env": ".env.example", "workspace": true,
   "managed": "docker-compose", "stack": "tools"}
], "owner": {"team": "ToolingGuild"}}
"""

ONE = {"id": "one", "type": "tools", "path": ".", "start": "true"}


def written(folder: Path, services: list[Any] | str) -> Path:
    """A manifest in a folder: its text, or the services in it."""
    file = folder / "services-manifest.json"
    text = services if isinstance(services, str) else json.dumps({"version": 1, "services": services})
    file.write_text(text, encoding="utf-8")
    return file


def refusal(file: Path) -> str:
    """In which words a manifest is refused."""
    with pytest.raises(ManifestError) as refused:
        manifest.read(file)
    assert refused.value.exit_code == 2
    return refused.value.summary


def test_an_old_installations_file_is_accepted_unchanged(tmp_path: Path) -> None:
    file = written(tmp_path, OLD_FILE.replace(', "owner": {"team": "ToolingGuild"}', ""))
    services = {entry.id: entry for entry in manifest.read(file).services}
    assert list(services) == ["dashboard", "docs-hub", "timescale", "firecrawl", "kestra-orchestrator"]
    assert services["firecrawl"].managed == "external"
    assert services["timescale"].model_extra == {"healthUrl": "http://localhost:5433"}


def test_an_unknown_field_of_the_file_itself_is_accepted(tmp_path: Path) -> None:
    assert len(manifest.read(written(tmp_path, OLD_FILE)).services) == 5


def test_an_entry_without_managed_is_internal(tmp_path: Path) -> None:
    assert manifest.read(written(tmp_path, [ONE])).services[0].managed == "internal"


def test_the_file_of_this_repository_is_accepted_and_agrees_with_its_schema() -> None:
    read = manifest.read(CHECKOUT / "config/services-manifest.json")
    assert {entry.id for entry in read.services} == {"kestra-orchestrator", "kestra-postgres"}
    schema = manifest.schema()
    entry = schema["$defs"]["ManifestEntry"]
    assert set(entry["required"]) == {"id", "type", "path", "start"}
    assert entry["additionalProperties"] is True
    assert {name for service in read.services for name in service.model_fields_set} <= entry["properties"].keys()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"version": 1,\n "services": [,]}', "line 2, column 15"),
        ('{"version": 1, "services": []', "line 1, column 30"),
        ("", "line 1, column 1"),
        ('{"version": 1, "services": []} x', "line 1, column 32"),
        ('{"version": 1, "version": 1, "services": []}', "key 'version' stands 2 times"),
        ('{"version": 1, "services": [{"id": "a", "id": "b"}]}', "key 'id' stands 2 times"),
        ('{"version": 1, "services": [{"port": NaN}]}', "NaN is not JSON"),
        ('{"version": 1, "services": [{"port": -Infinity}]}', "-Infinity is not JSON"),
        ("[" * 100_000, "not a usable JSON document"),
        ('{"version": 1, "services": [{"port": ' + "9" * 5000 + "}]}", "not a usable JSON document"),
        ("[]", "expected an object with a list named services"),
        ('{"version": 1}', "expected an object with a list named services"),
        ('{"version": 1, "services": {}}', "expected an object with a list named services"),
        ('{"version": 2, "services": []}', "version: "),
        ('{"services": []}', "version: "),
        (" " * (manifest.MAX_BYTES + 1), "larger than"),
    ],
    ids=lambda value: value[:40].strip() or "blank",
)
def test_a_broken_document_is_refused_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    summary = refusal(written(tmp_path, text))
    assert "services-manifest.json" in summary
    assert told in summary


@pytest.mark.parametrize("size", range(0, len(OLD_FILE) - 2, 37))
def test_a_truncated_file_is_refused(tmp_path: Path, size: int) -> None:
    assert "services-manifest.json: line " in refusal(written(tmp_path, OLD_FILE[:size]))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "services-manifest.json")
    (tmp_path / "folder").mkdir()
    assert "cannot be read" in refusal(tmp_path / "folder")
    (tmp_path / "bytes").write_bytes(b'{"version": 1, "services": ["\xff"]}')
    assert "not a usable JSON document" in refusal(tmp_path / "bytes")


@pytest.mark.parametrize(
    ("services", "place"),
    [
        ([ONE | {"port": "high"}], "service one: port: "),
        ([ONE | {"aliases": "uno"}], "service one: aliases: "),
        ([ONE | {"start": None}], "service one: start: "),
        ([ONE | {"depends_on": [1]}], "service one: depends_on: 0: "),
        ([ONE | {"compose": {"project": "p", "file": "f"}}], "service one: compose: service: "),
        ([ONE | {"start_seconds": 0}], "service one: start_seconds: "),
        ([ONE | {"id": "Not An Id"}], "service Not An Id: id: "),
        ([ONE, {"type": "tools", "path": ".", "start": "true"}], "service number 2: id: "),
        ([ONE, "two"], "service number 2: "),
        ([ONE, ONE], "'one' stands 2 times"),
        ([ONE | {"aliases": ["x"]}, ONE | {"id": "two", "aliases": ["x"]}], "'x' stands 2 times"),
        ([ONE, ONE | {"id": "two", "aliases": ["one"]}], "'one' stands 2 times"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_field_is_refused_with_its_service(tmp_path: Path, services: list[Any], place: str) -> None:
    assert place in refusal(written(tmp_path, services))


SUPPLIED = ManifestEntry.model_validate(
    ONE | {"id": "ours", "port": 8080, "stack": "tools", "compose": {"project": "p", "file": "c.yml", "service": "s"}}
)
AGREEING = SUPPLIED.model_dump(mode="json", exclude_unset=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root in which everything that SUPPLIED names is there."""
    (tmp_path / "c.yml").touch()
    return tmp_path


def drift(root: Path, services: list[Any]) -> list[str]:
    """The summaries of what is found, after looking at their form."""
    found = manifest.drift(written(root, services), [SUPPLIED], root)
    assert all(p.severity == "error" and p.fix and p.raised_by == "manifest" and p.service for p in found)
    return [p.summary for p in found]


def test_a_file_that_agrees_has_no_drift(root: Path) -> None:
    assert drift(root, [AGREEING, ONE]) == []


def test_a_field_that_only_people_know_is_no_drift(root: Path) -> None:
    assert drift(root, [AGREEING | {"healthUrl": "http://localhost:1"}]) == []


@pytest.mark.parametrize("more", [{"note": "ask Ana first"}, {"build": None}], ids=["note", "null"])
def test_a_known_field_that_the_plugin_leaves_open_is_no_drift(root: Path, more: dict[str, object]) -> None:
    assert drift(root, [AGREEING | more]) == []


@pytest.mark.parametrize(
    ("services", "told"),
    [
        ([ONE], "ours is supplied by a plugin and missing in services-manifest.json"),
        ([AGREEING | {"port": 8081}], "ours differs from its plugin in port"),
        ([AGREEING | {"port": 8081, "stack": "data"}], "ours differs from its plugin in port, stack"),
        ([AGREEING, ONE | {"path": "gone"}], "one: path gone does not exist"),
        (
            [AGREEING, ONE | {"compose": {"project": "p", "file": "gone.yml", "service": "s"}}],
            "one: compose file gone.yml does not exist",
        ),
        ([AGREEING, ONE | {"status": "gone.sh"}], "one: status script gone.sh is missing or not executable"),
        ([AGREEING, ONE | {"port": 8080}], "port 8080 stands 2 times: ours, one"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_drift_is_found_and_named(root: Path, services: list[Any], told: str) -> None:
    assert drift(root, services) == [told]


def test_a_status_script_must_be_executable(root: Path) -> None:
    script = root / "status.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o644)
    service = ONE | {"status": "status.sh"}
    assert drift(root, [AGREEING, service]) == ["one: status script status.sh is missing or not executable"]
    script.chmod(0o755)
    assert drift(root, [AGREEING, service]) == []


def test_syncing_writes_our_entries_and_leaves_everything_else(root: Path) -> None:
    others = [ONE | {"healthUrl": "http://x/é", "nested": {"b": [1, None], "a": 0.5}}, ONE | {"id": "two"}]
    file = written(root, [others[0], AGREEING | {"port": 1, "mine": True}, others[1]])
    assert manifest.sync(file, [SUPPLIED]) == ["ours"]
    services = json.loads(file.read_text())["services"]
    assert services == [others[0], AGREEING | {"mine": True}, others[1]]
    assert "é" in file.read_text()
    assert manifest.drift(file, [SUPPLIED], root) == []


def test_syncing_twice_writes_once(root: Path) -> None:
    file = root / "config/services-manifest.json"
    assert manifest.sync(file, [SUPPLIED]) == ["ours"]
    before = (file.stat().st_ino, file.read_bytes())
    assert manifest.sync(file, [SUPPLIED]) == []
    assert (file.stat().st_ino, file.read_bytes()) == before
    assert list(file.parent.iterdir()) == [file]


def test_a_broken_file_is_not_synced_over(root: Path) -> None:
    file = written(root, '{"version": 1, "services": [')
    with pytest.raises(ManifestError):
        manifest.sync(file, [SUPPLIED])
    assert file.read_text() == '{"version": 1, "services": ['


def test_a_number_that_is_too_large_is_refused_or_written_as_a_number(root: Path) -> None:
    file = written(root, '{"version": 1, "services": [' + json.dumps(ONE)[:-1] + ', "weight": 1e999}]}')
    with contextlib.suppress(ManifestError):
        manifest.sync(file, [SUPPLIED])
    json.loads(file.read_text(), parse_constant=pytest.fail)
