"""Every hook is asked when its documentation says so, of whom it says, and with what it says; one test each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from service_launcher import wiring
from service_launcher.launcher import Launcher

from tests.engines import PrivateEngine
from tests.environments import PYTHON, run

pytestmark = pytest.mark.docker

#: Notes each call and what it was given; its service is up between a start and a stop.
SOURCE = """
import json, pathlib
import click
from service_launcher import (
    AutoStart, Cause, Evidence, Finding, ManifestEntry, Problem, ServiceState, ServiceStatus, Variable, Verdict,
    hookimpl,
)

FOLDER = pathlib.Path(__file__).parent


def note(hook, **given):
    with (FOLDER / "{name}.calls").open("a") as file:
        file.write(json.dumps([hook, given]) + "\\n")


@hookimpl
def launcher_manifest_entries():
    note("launcher_manifest_entries")
    yield ManifestEntry(id="{name}", title="{name}", type="tools", path=".", start="true", stack="{name}",
                        depends_on=({needs}), start_seconds=5, stop_seconds=5)


@hookimpl
def launcher_variables():
    note("launcher_variables")
    return [Variable(name="{name}_COLOUR".upper(), meaning="a colour", initial="blue")]


@hookimpl
def launcher_auto_start(entry, env):
    note("launcher_auto_start", entry=entry.id, colour=env.get("COLOUR"))
    return AutoStart(start=env.get("COLOUR") != "none", reason="no colour")


@hookimpl
def launcher_preflight(entry, action, host):
    note("launcher_preflight", entry=entry.id, action=action, root=str(host.root))
    return [Problem(severity="error", summary="it is red")] if host.environment.get("COLOUR") == "red" else []


@hookimpl
def launcher_drift(entry, host):
    note("launcher_drift", entry=entry.id)
    return "repainted" if host.environment.get("COLOUR") == "green" else None


@hookimpl
def launcher_prepare(entry, host):
    note("launcher_prepare", entry=entry.id)
    if host.environment.get("COLOUR") == "rare":
        raise RuntimeError("there is no such paint")


@hookimpl
def launcher_start(entry, host):
    note("launcher_start", entry=entry.id)
    (FOLDER / entry.id).touch()


@hookimpl
def launcher_stop(entry, host):
    note("launcher_stop", entry=entry.id)
    (FOLDER / entry.id).unlink()


@hookimpl
def launcher_status(entry, host):
    note("launcher_status", entry=entry.id)
    up = (FOLDER / entry.id).exists()
    seen = Evidence(layer="application", verdict=Verdict.OK if up else Verdict.BAD, detail="looked for its file")
    state = ServiceState.READY if up else ServiceState.STOPPED
    return ServiceStatus(id=entry.id, state=state, message="as it is", evidence=(seen,))


@hookimpl
def launcher_findings(entry, host):
    note("launcher_findings", entry=entry.id)
    return [Finding(check="paint", verdict="warn", summary="it peels", fix="paint it")]


@hookimpl
def launcher_causes(entry):
    note("launcher_causes", entry=entry.id)
    return [Cause(id="paint", pattern="as it is", sentence="it peels", fix="paint {{service}}")]


@hookimpl
def launcher_commands():
    note("launcher_commands")
    return [click.Command("{name}-paint", callback=lambda: click.echo("painted"), help="Paint it.")]


@hookimpl
def launcher_event(event, env):
    note("launcher_event", what=event.what, service=event.service, colour=env.get("COLOUR"))
"""


class Noted:
    """An installation with the plugins `wall` and `house`, which needs the wall, and what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder / "installed", folder / "root"
        (self.root / "config").mkdir(parents=True)
        for name, needs in (("wall", ""), ("house", '"wall",')):
            info = self.folder / f"{name}_plugin-1.0.dist-info"
            info.mkdir(parents=True)
            (self.folder / f"{name}_plugin.py").write_text(SOURCE.format(name=name, needs=needs))
            text = (
                f"Metadata-Version: 2.1\nName: {name}_plugin\nVersion: 1.0\nRequires-Dist: service-launcher>=0.1,<1\n"
            )
            (info / "METADATA").write_text(text)
            (info / "entry_points.txt").write_text(f"[service_launcher]\n{name} = {name}_plugin\n")
        (self.root / "config/plugins.toml").write_text('only = ["wall", "house"]\n')

    def launcher(self, *arguments: str, **exported: str) -> str:
        """What a command prints; it must succeed."""
        exported |= {"PYTHONPATH": str(self.folder)}
        done = run(str(PYTHON.with_name("launcher")), "--root", str(self.root), *arguments, **exported)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def calls(self, plugin: str, hook: str) -> list[dict[str, Any]]:
        """What a hook of a plugin was given, call by call, since the last look at any; the notes are kept."""
        file = self.folder / f"{plugin}.calls"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [given for name, given in lines if name == hook]

    def forget(self) -> None:
        """Throw the notes away."""
        for file in self.folder.glob("*.calls"):
            file.unlink()


@pytest.fixture
def noted(tmp_path: Path) -> Noted:
    """Two plugins that note what they are asked."""
    return Noted(tmp_path)


@pytest.fixture
def operate(
    noted: Noted, own_engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Launcher]]:
    """Makes launchers in this process, after exporting variables."""
    monkeypatch.syspath_prepend(noted.folder)
    for name in ("wall_plugin", "house_plugin"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    made: list[Launcher] = []

    def make(**variables: str) -> Launcher:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        made.append(wiring.build(str(noted.root), actor="ana"))
        return made[-1]

    yield make
    for launcher in made:
        launcher.close()


def test_launcher_manifest_entries_is_asked_once_of_each_at_load(noted: Noted) -> None:
    services = json.loads(noted.launcher("list", "--json"))["services"]
    assert {s["id"]: s["plugin"] for s in services} == {"wall": "wall", "house": "house"}
    assert noted.calls("wall", "launcher_manifest_entries") == noted.calls("house", "launcher_manifest_entries") == [{}]


def test_launcher_variables_is_asked_by_init_which_writes_what_is_missing(noted: Noted) -> None:
    noted.launcher("init")
    assert "WALL_COLOUR=blue" in (noted.root / ".env").read_text()
    assert noted.calls("wall", "launcher_variables")


def test_launcher_auto_start_is_asked_by_a_start_by_phase_only(noted: Noted, operate: Any) -> None:
    report = operate(COLOUR="none").start(phases=["wall"])
    assert [(o.service, o.result, o.message) for o in report.outcomes] == [("wall", "skipped", "no colour")]
    assert noted.calls("wall", "launcher_auto_start")[0] == {"entry": "wall", "colour": "none"}
    noted.forget()
    assert operate(COLOUR="none").start(["wall"]).exit_code == 0
    assert noted.calls("wall", "launcher_start") == [{"entry": "wall"}]


def test_launcher_preflight_is_asked_of_the_owner_and_then_of_everyone_else(noted: Noted, operate: Any) -> None:
    report = operate(COLOUR="red").start(["wall"])
    assert (report.exit_code, report.outcomes[0].result) == (3, "refused")
    given = {"entry": "wall", "action": "start", "root": str(noted.root)}
    assert noted.calls("wall", "launcher_preflight") == noted.calls("house", "launcher_preflight") == [given]
    assert noted.calls("wall", "launcher_start") == []


def test_launcher_drift_is_asked_of_what_is_ready_and_has_it_made_anew(noted: Noted, operate: Any) -> None:
    operate(COLOUR="blue").start(["wall"])
    assert noted.calls("wall", "launcher_drift") == []
    noted.forget()
    assert operate().start(["wall"]).outcomes[0].result == "already_ready"
    assert noted.calls("wall", "launcher_drift") == [{"entry": "wall"}]
    plan = operate(COLOUR="green").plan("start", ["wall"])
    assert [(step.do, step.reason) for step in plan.steps] == [("start", "repainted")]


def test_launcher_prepare_is_asked_before_something_is_stopped_for_a_start(noted: Noted, operate: Any) -> None:
    operate(COLOUR="blue").start(["house"])
    assert noted.calls("wall", "launcher_prepare") == [], "nothing had to be stopped"
    report = operate(COLOUR="rare").restart(["wall"])
    results = {outcome.service: (outcome.result, outcome.message) for outcome in report.outcomes}
    assert results["wall"][0] == "failed"
    assert "there is no such paint" in results["wall"][1]
    assert results["house"] == ("not_tried", "it needs wall")
    assert noted.calls("wall", "launcher_prepare") == [{"entry": "wall"}]
    assert noted.calls("wall", "launcher_stop") == noted.calls("house", "launcher_stop") == []
    assert operate(COLOUR="blue").restart(["wall"]).exit_code == 0
    # Of what is made anew, so that nothing that depends on it is stopped in vain.
    report = operate(COLOUR="green").start(["wall"])
    assert noted.calls("wall", "launcher_prepare")[2:] == [{"entry": "wall"}]


def test_launcher_start_is_asked_of_the_owner_after_what_it_needs(noted: Noted, operate: Any) -> None:
    report = operate().start(["house"])
    assert [(o.service, o.result) for o in report.outcomes] == [("wall", "ready"), ("house", "ready")]
    assert noted.calls("house", "launcher_start") == [{"entry": "house"}]
    assert noted.calls("wall", "launcher_start") == [{"entry": "wall"}]


def test_launcher_stop_is_asked_of_the_owner_after_what_depends_on_it(noted: Noted, operate: Any) -> None:
    operate().start(["house"])
    report = operate().stop(["wall"])
    assert [(o.service, o.result) for o in report.outcomes] == [("house", "stopped"), ("wall", "stopped")]
    assert noted.calls("wall", "launcher_stop") == [{"entry": "wall"}]


def test_launcher_status_is_asked_of_the_owner(noted: Noted, operate: Any) -> None:
    assert operate().status(["wall"]).statuses[0].message == "as it is"
    assert noted.calls("wall", "launcher_status") == [{"entry": "wall"}]
    assert noted.calls("house", "launcher_status") == []


def test_launcher_findings_is_asked_by_doctor_after_preflight(noted: Noted) -> None:
    run(str(PYTHON.with_name("launcher")), "--root", str(noted.root), "doctor", PYTHONPATH=str(noted.folder))
    lines = [json.loads(line)[0] for line in (noted.folder / "wall.calls").read_text().splitlines()]
    assert lines.index("launcher_preflight") < lines.index("launcher_findings")
    assert noted.calls("wall", "launcher_findings") == [{"entry": "wall"}]


def test_launcher_causes_is_asked_when_a_service_is_explained(noted: Noted, operate: Any) -> None:
    told = operate().explain("wall")
    assert noted.calls("wall", "launcher_causes") == [{"entry": "wall"}]
    assert told.cause_id in ("paint", None)


def test_launcher_commands_is_asked_for_help_and_for_a_name_that_the_host_has_not(noted: Noted) -> None:
    noted.launcher("list")
    assert noted.calls("wall", "launcher_commands") == []
    assert noted.launcher("wall-paint") == "painted\n"
    assert "house-paint" in noted.launcher("--help")


def test_launcher_event_tells_every_plugin_what_was_recorded(noted: Noted, operate: Any) -> None:
    operate(COLOUR="blue").start(["wall"])
    told = noted.calls("house", "launcher_event")
    assert told == noted.calls("wall", "launcher_event")
    assert [(one["what"], one["service"]) for one in told] == [
        ("operation.started", None),
        ("state.changed", "wall"),
        ("operation.finished", None),
    ]
    assert {one["colour"] for one in told} == {"blue"}
