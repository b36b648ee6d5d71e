"""The end of an operation on record: outcome and exit code are those of the command, however it ends."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from service_launcher.containers import Container
from service_launcher.engine import Engine
from service_launcher.engine_view import EngineView
from service_launcher.envfile import Environment, Variable
from service_launcher.errors import (
    Busy,
    ComposeFailed,
    ConfigurationError,
    EngineUnavailable,
    Interrupted,
    LauncherError,
    PluginFailed,
)
from service_launcher.events import EventLog
from service_launcher.models import ComposeReference
from service_launcher.observation import Observer
from service_launcher.operation import Operation, Order
from service_launcher.redaction import Redactor


@pytest.mark.parametrize(("error", "anew"), [(ComposeFailed("slow"), False), (ConfigurationError("wrong"), True)])
def test_what_cannot_be_compared_is_not_made_anew_for_that(tmp_path: Path, error: LauncherError, anew: bool) -> None:
    def drift(entry: object, host: object) -> str:
        raise error

    observer = SimpleNamespace(
        plugins=SimpleNamespace(drift=drift),
        graph=SimpleNamespace(entries={"one": None}),
        context=lambda service, view, answers: None,
    )
    log = EventLog(tmp_path / "events.jsonl", Redactor([]))
    operation = Operation("start", Order("ana"), cast(Observer, observer), Engine(), log, lambda _: None, locks={})
    assert bool(operation._drift(["one"], EngineView(Engine()))) is anew
    assert bool(operation.problems) is not anew


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (EngineUnavailable("silent"), "failed", 5),
        (Busy("held"), "failed", 4),
        (ConfigurationError("nonsense"), "failed", 2),
        (LauncherError("ill"), "failed", 1),
        (ZeroDivisionError(), "failed", 1),
        (KeyboardInterrupt(), "cancelled", 130),
        (Interrupted(15, "ended"), "cancelled", 143),
        (None, "succeeded", 0),
    ],
)
def test_the_record_has_the_exit_code_of_the_command(
    tmp_path: Path, error: BaseException | None, outcome: str, code: int
) -> None:
    plugins = SimpleNamespace(failures=dict, owners=())
    observer = SimpleNamespace(plugins=plugins, statuses=lambda services, view: ())
    log = EventLog(tmp_path / "events.jsonl", Redactor([]))
    operation = Operation("start", Order("ana"), cast(Observer, observer), Engine(), log, lambda _: None, locks={})
    with suppress(Exception, Interrupted), operation.recorded(["one"]):
        if error is not None:
            raise error
    began, ended = log.read()
    assert began.what == "operation.started"
    assert (ended.what, ended.detail["outcome"], ended.detail["exit_code"]) == ("operation.finished", outcome, code)


def test_what_belongs_to_another_installation_is_not_stopped_by_its_labels(tmp_path: Path) -> None:
    """Where the plugin hangs in stop, compose would stop whatever has the labels."""

    def hangs(entry: object, host: object) -> None:
        raise PluginFailed("it hangs")

    labels = {
        "com.docker.compose.project": "tools",
        "com.docker.compose.service": "one",
        "com.tradingsystem.installation": "theirs",
    }
    container = Container("1", "one", "image", "2", "running", None, labels, ())
    stopped: list[str] = []
    compose = SimpleNamespace(stop=lambda seconds: stopped.append("one"))
    entry = SimpleNamespace(
        compose=ComposeReference(project="tools", file="compose.yml", service="one"), plugin="one", stop_seconds=1
    )
    environment = Environment({"LAUNCHER_INSTALLATION_ID": Variable("ours", ".env")})
    observer = SimpleNamespace(
        plugins=SimpleNamespace(stop=hangs, owners={"one": "one"}),
        graph=SimpleNamespace(entries={"one": entry}),
        environment=environment,
        context=lambda service, view, listener, locks: SimpleNamespace(compose=lambda *about: compose),
    )
    engine = SimpleNamespace(containers=lambda label: (container,))
    log = EventLog(tmp_path / "events.jsonl", Redactor([]))
    operation = Operation(
        "stop", Order("ana"), cast(Observer, observer), cast(Engine, engine), log, lambda _: None, locks={}
    )
    with pytest.raises(LauncherError, match="belongs to another installation"):
        operation._stop_through_owner_or_labels("one")
    assert stopped == []
    labels["com.tradingsystem.installation"] = "ours"
    assert "stopped by its compose labels" in operation._stop_through_owner_or_labels("one")
    assert stopped == ["one"]
