"""Plugins that are broken in every known way, all installed beside Kestra: it lives its life, they are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.broken_plugins import pack
from tests.engines import PrivateEngine
from tests.installations import REAL_KESTRA, Installation

# These take something away from Kestra itself, or the time of every command; each has its own test beside the pack.
ALONE = {
    *("sound", "claims_existing_id", "takes_a_name", "hangs_on_import", "hangs_in_status", "tells_a_secret"),
    *("import_takes_a_minute", "ends_the_process_on_import", "installed_twice", "privileged", "docker_socket"),
}
TOGETHER = sorted(pack.KINDS.keys() - ALONE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder with a distribution of each kind, each with a service id of its own."""
    folder = tmp_path / "installed"
    folder.mkdir()
    for kind in TOGETHER:
        pack.write(kind, folder)
        for module in folder.glob(f"*{kind}*.py"):
            module.write_text(module.read_text().replace(pack.SERVICE, f"{kind.replace('_', '-')}-service"))
    return folder


@pytest.mark.kestra
def test_kestra_starts_and_stops_and_each_broken_plugin_is_named(copied, engine: PrivateEngine, folder: Path) -> None:
    installation: Installation = copied(kestra=REAL_KESTRA)
    installation.shell |= {"PYTHONPATH": str(folder), "LAUNCHER_ROOT": str(installation.root)}
    done = installation.launcher("start", "kestra")
    assert "kestra-orchestrator: ready" in done.out, done.text
    assert installation.state("kestra") == "ready"

    found = {p["name"]: p for p in installation.launcher("plugins", "list", "--json").json()["plugins"]}
    assert found["kestra"]["state"] == "active"
    for kind in TOGETHER:
        state = pack.KINDS[kind].state
        assert found[kind]["state"] == state, found[kind]
        assert state == "active" or found[kind]["reason"]

    recorded = list(map(json.loads, installation.launcher("events", "--json").out.splitlines()))
    named = {e["detail"]["plugin"] for e in recorded if e["what"] == "plugin.failed"}
    assert named >= {kind for kind in TOGETHER if pack.KINDS[kind].state == "failed"}

    stopped = installation.launcher("stop", "kestra-postgres")
    assert "kestra-orchestrator: stopped" in stopped.out, stopped.text
    assert engine.docker("ps", "-q") == ""


def test_a_start_says_when_a_service_becomes_unknown_and_why(installation: Installation, tmp_path: Path) -> None:
    """Its plugin raises as soon as there is something to ask: nobody has to wait for the deadline to hear of it."""
    source = pack.KINDS["sound"].source.replace(
        "    return ServiceStatus", "    raise AttributeError('text')\n    return ServiceStatus"
    )
    source += "\n@hookimpl\ndef launcher_start(entry):\n    pass\n"
    pack.write("sound", tmp_path / "installed")
    (tmp_path / "installed/broken_sound.py").write_text(source)
    done = installation.launcher("start", pack.SERVICE, PYTHONPATH=str(tmp_path / "installed"))
    assert done.code == 1, done.text
    told = "its state is unknown: plugin sound failed in launcher_status: AttributeError: text"
    assert done.err.index(told) < done.err.index("not ready within 1 s"), done.err


def test_a_stop_that_stops_nothing_is_no_stop(installation: Installation, tmp_path: Path) -> None:
    pack.write("sound", tmp_path / "installed")
    (tmp_path / "installed/broken_sound.py").write_text(
        pack.KINDS["sound"].source.replace("start_seconds=1", "stop_seconds=1")
        + "\n@hookimpl\ndef launcher_stop(entry):\n    pass\n"
    )
    done = installation.launcher("stop", pack.SERVICE, PYTHONPATH=str(tmp_path / "installed"))
    assert done.code == 1, done.text
    assert "its plugin stopped it, and it is still ready" in done.err


def test_with_kestras_own_plugin_disabled_its_services_are_unknown_and_can_be_stopped(
    installation: Installation, engine: PrivateEngine
) -> None:
    assert installation.launcher("start").code == 0
    (installation.root / "config/plugins.toml").write_text('disabled = ["kestra"]\n')
    status = installation.status("kestra")
    assert status["state"] == "unknown"
    assert "its plugin kestra is disabled" in status["message"]
    assert status["container"] == "running"
    refused = installation.launcher("start")
    assert refused.code == 3
    assert "kestra-orchestrator: refused: its plugin kestra is disabled" in refused.text
    done = installation.launcher("stop")
    assert done.code == 0, done.text
    assert "stopped by its compose labels" in done.out
    assert engine.docker("ps", "-q") == ""
