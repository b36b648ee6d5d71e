"""Hooks that only run when something is started or told: each failure stays with its plugin and is told by its name."""

from __future__ import annotations

import importlib.metadata
import inspect
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from service_launcher import guard, hookspecs, plugins
from service_launcher.envfile import Environment
from service_launcher.errors import EngineUnavailable, Interrupted, PluginFailed
from service_launcher.guard import guarded
from service_launcher.imports import Loading
from service_launcher.models import Event, ManifestEntry, Problem
from service_launcher.plugins import Plugins

from tests.broken_plugins import pack
from tests.broken_plugins.pack import SERVICE

HOST: Any = None  # none of these plugins looks at it


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads the plugins of some kinds, and none that is installed here."""

    def loaded(*kinds: str) -> Plugins:
        for kind in kinds:
            pack.write(kind, tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        found = importlib.metadata.distributions(path=[str(tmp_path)])
        return Plugins([point for one in found for point in one.entry_points], lambda name: None)

    return loaded


def theirs(found: Plugins) -> ManifestEntry:
    """The entry of the broken service."""
    return found.entries[SERVICE]


def test_a_start_that_raises_fails_by_its_plugins_name(load: Any) -> None:
    found = load("raises_in_start")
    with pytest.raises(PluginFailed) as failed:
        found.start(theirs(found), HOST)
    assert failed.value.summary == "plugin raises_in_start failed in launcher_start: RuntimeError: no fuel"
    assert "raises_in_start (config/plugins.toml)" in failed.value.fix


def test_a_start_that_hangs_is_given_up_after_its_own_time(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = load("hangs_in_start")
    monkeypatch.setattr(guard, "DEADLINES", {**guard.DEADLINES, "launcher_start": 0.1})
    began = time.monotonic()
    with pytest.raises(PluginFailed, match=r"plugin hangs_in_start did not return from launcher_start within 1\.1 s"):
        found.start(theirs(found), HOST)
    assert 1.0 < time.monotonic() - began < 3


def test_a_call_that_was_given_up_is_not_made_again_before_it_has_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve` and `watch` ask every few seconds, for days."""
    monkeypatch.setattr(guard, "DEADLINES", {**guard.DEADLINES, "launcher_status": 0.1})
    let_go, calls = threading.Event(), []

    def hangs() -> str:
        calls.append(threading.current_thread())
        assert let_go.wait(20)
        return "back"

    words = "plugin theirs did not return from launcher_status within 0.1 s"
    for _ in range(3):
        with pytest.raises(PluginFailed, match=words):
            guarded("theirs", "launcher_status", hangs, service="hung")
    assert len(calls) == 1
    assert guarded("theirs", "launcher_status", lambda: "fine", service="another") == "fine"
    let_go.set()
    calls[0].join(20)
    assert guarded("theirs", "launcher_status", hangs, service="hung") == "back"


def test_an_import_that_hangs_is_given_up(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "DEADLINES", {**guard.DEADLINES, "load": 0.2})
    found = load("hangs_on_import", "sound")
    assert found.found["hangs_on_import"].state == "failed"
    assert "did not return from load" in found.found["hangs_on_import"].reason
    assert found.owners == {SERVICE: "sound"}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            "raises_in_foreign_preflight",
            "plugin raises_in_foreign_preflight failed in launcher_preflight: LookupError: other",
        ),
        ("the_hosts_error_in_foreign_preflight", "other"),
    ],
)
def test_a_failure_about_another_plugins_service_is_a_warning(load: Any, kind: str, words: str) -> None:
    found = load(kind)
    found.entries["other"] = theirs(found).model_copy(update={"id": "other"})
    found.owners["other"] = "owner"
    found.found["owner"] = plugins.Plugin("owner", "owner", "1", "owner", hooks=())
    told = found.preflight(found.entries["other"], "start", lambda: HOST)
    assert [(p.severity, p.summary, p.raised_by, p.service) for p in told] == [("warn", words, kind, "other")]
    assert found.preflight(theirs(found), "start", lambda: HOST) == []


def test_a_failure_about_the_plugins_own_service_is_an_error(load: Any) -> None:
    found = load("raises_in_foreign_preflight")
    own = theirs(found).model_copy(update={"id": "renamed"})
    found.owners["renamed"] = "raises_in_foreign_preflight"
    assert [p.severity for p in found.preflight(own, "start", lambda: HOST)] == ["error"]


def test_a_listener_that_raises_is_a_warning_and_the_next_is_told(load: Any) -> None:
    found = load("raises_in_event", "sound")
    for _ in range(3):  # and said once
        found.tell(Event(what="operation.started", actor="ana"), Environment({}))
    summary = "plugin raises_in_event failed in launcher_event: RuntimeError: do not tell me"
    told: list[Problem] = [p for p in found.problems if p.raised_by]
    assert [(p.severity, p.summary, p.raised_by) for p in told] == [("warn", summary, "raises_in_event")]


def test_a_generator_that_breaks_off_supplies_nothing(load: Any) -> None:
    found = load("half_consumed_generator")
    assert (found.entries, found.owners) == ({}, {})
    assert found.found["half_consumed_generator"].state == "failed"


@pytest.mark.parametrize(
    "failure", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), MemoryError(), GeneratorExit()]
)
def test_whatever_foreign_code_raises_becomes_one_kind_of_error(failure: BaseException) -> None:
    def raising() -> None:
        raise failure

    with pytest.raises(PluginFailed, match=f"plugin theirs failed in launcher_event: {type(failure).__name__}"):
        guarded("theirs", "launcher_event", raising)


def test_what_the_hosts_own_parts_raise_inside_a_hook_passes_through() -> None:
    def raising() -> None:
        raise EngineUnavailable("nobody answers")

    with pytest.raises(EngineUnavailable):
        guarded("theirs", "launcher_status", raising)
    # Where the plugin was given no host, no part of the host's can have raised it.
    for hook in guard.DEADLINES.keys() - guard.GIVEN_HOST:
        with pytest.raises(PluginFailed, match="EngineUnavailable: nobody answers"):
            guarded("theirs", hook, raising)


def test_the_hooks_that_are_given_the_host_are_those_of_the_contract() -> None:
    specified = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("launcher_")}
    given = {name for name, spec in specified.items() if "host" in inspect.signature(spec).parameters}
    assert given == guard.GIVEN_HOST


def test_loading_that_was_interrupted_leaves_no_note(
    load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whichever plugin was being loaded would be blamed for a Ctrl-C."""
    pack.write("sound", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    points = [p for one in importlib.metadata.distributions(path=[str(tmp_path)]) for p in one.entry_points]

    def signalled(*_: object, **__: object) -> None:
        raise Interrupted(2, "interrupted")

    monkeypatch.setattr(plugins, "guarded", signalled)
    with pytest.raises(Interrupted):
        Plugins(points, lambda name: None, loading=Loading(tmp_path))
    assert list((tmp_path / "loading").iterdir()) == []


def test_results_stay_results_while_a_hook_runs_and_its_words_stay_aside_after_it_was_given_up() -> None:
    """Whoever follows events prints while hooks run on another thread."""
    script = """
import threading
from service_launcher import __main__, guard

__main__.keep_standard_output()
began, printed, done = threading.Event(), threading.Event(), threading.Event()
guard.DEADLINES = {"launcher_status": 0.5}

def hook():
    print("theirs, during")
    began.set()
    assert printed.wait(20)
    print("theirs, after")
    done.set()

def ask():
    try:
        guard.guarded("theirs", "launcher_status", hook)
    except guard.PluginFailed:
        print("given up")

asking = threading.Thread(target=ask)
asking.start()
assert began.wait(20)
print("ours, during")
asking.join(20)
printed.set()
assert done.wait(20)
print("ours, after")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "ours, during\nours, after\n"
    assert done.stderr == "theirs, during\ngiven up\ntheirs, after\n"


def test_a_signal_is_no_answer_of_a_plugin_and_no_error_that_somebody_takes_for_one(
    load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal's handler raises wherever the main thread is; a status that was being asked must not swallow it."""
    found = load("sound")

    def signalled(*_: object, **__: object) -> None:
        raise Interrupted(15, "ended by a signal")

    monkeypatch.setattr(plugins, "guarded", signalled)
    with pytest.raises(Interrupted):
        found.status(theirs(found), HOST)
    assert not issubclass(Interrupted, Exception), "else Observer.status would make it an unknown state"
