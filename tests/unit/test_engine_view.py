"""The engine as it stood at one moment: which of two containers counts, and what one refused question means."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import cast

import pytest
from service_launcher.containers import Container
from service_launcher.engine import Engine
from service_launcher.engine_view import EngineView
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
