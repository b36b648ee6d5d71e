"""The engine as it stood at one moment: which of two containers counts, one refused question, inspections that hold."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest
from service_launcher.containers import PROCESS_ENDED, Container, ContainerEvent, Detail
from service_launcher.engine import Engine
from service_launcher.engine_view import EngineView, Inspections
from service_launcher.errors import EngineRefused, EngineUnavailable

LABELS = {"com.docker.compose.project": "tools", "com.docker.compose.service": "kestra"}


def container(name: str, state: str, **labels: str) -> Container:
    """A container of the service, as the list shows it."""
    return Container(name, name, "image", "id", state, None, LABELS | labels, ())


def view(*containers: Container) -> EngineView:
    """The view of an engine with these containers, the newest first."""
    return EngineView(cast(Engine, SimpleNamespace(containers=lambda label: containers)))


@pytest.mark.parametrize(
    ("new", "old", "counts"),
    [
        ("created", "running", "tools-kestra"),
        ("created", "exited", "tools-kestra"),
        ("created", "paused", "tools-kestra"),
        ("running", "exited", "0123456789ab_tools-kestra"),
    ],
)
def test_of_two_containers_the_one_that_is_being_replaced_counts(new: str, old: str, counts: str) -> None:
    found = view(container("0123456789ab_tools-kestra", new), container("tools-kestra", old))
    service = found.compose_service("tools", "kestra")
    assert service is not None
    assert service.name == counts


def test_a_run_for_once_does_not_count() -> None:
    once = container("tools-kestra-run-1", "running", **{"com.docker.compose.oneoff": "True"})
    assert view(once).compose_service("tools", "kestra") is None


@pytest.mark.parametrize(("error", "asked"), [(EngineRefused("what?"), 2), (EngineUnavailable("nobody"), 1)])
def test_after_a_refused_question_others_are_asked_and_after_silence_none(error: Exception, asked: int) -> None:
    questions: list[str] = []

    def detail(container_id: str) -> None:
        questions.append(container_id)
        if container_id == "ill":
            raise error

    seen = EngineView(cast(Engine, SimpleNamespace(detail=detail)))
    with pytest.raises(type(error)):
        seen.detail("ill")
    with contextlib.suppress(EngineUnavailable):
        seen.detail("well")
    assert len(questions) == asked


def event(what: str, pid: int = 0) -> ContainerEvent:
    """Something that happened to the container `kestra`."""
    return ContainerEvent(datetime.now(UTC), what, "kestra", "kestra", {}, pid=pid)


def inspection(pid: int) -> Detail:
    """Of a container that runs."""
    return Detail("running", None, None, 0, False, 0, False, "", None, pid=pid)


def test_the_end_of_a_process_holds_until_the_engine_tells_of_it() -> None:
    running, known = container("kestra", "running"), Inspections()
    known.keep(running, inspection(pid=7))
    assert known.main_processes() == {7: running}
    known.heard([event(PROCESS_ENDED, pid=7)])
    told = known.of(running)
    assert told is not None
    assert told.process_ended
    assert known.main_processes() == {}
    known.heard([event("health_status: unhealthy"), event("oom")])
    assert known.of(running) is told, "these say nothing of its end"
    assert known.of(container("kestra", "restarting")) is None, "the list knows more"
    known.heard([event("die")])
    assert known.of(running) is None


def test_an_end_that_is_told_late_is_none_of_the_next_life() -> None:
    running, known = container("kestra", "running"), Inspections()
    known.keep(running, inspection(pid=8))
    known.heard([event(PROCESS_ENDED, pid=7)])
    told = known.of(running)
    assert told is not None
    assert not told.process_ended
    assert known.main_processes() == {8: running}
