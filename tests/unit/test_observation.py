"""What the host makes of a plugin's word: ready only while no part of its own evidence says otherwise."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from service_launcher.containers import Container
from service_launcher.engine import Engine
from service_launcher.engine_view import EngineView
from service_launcher.envfile import Environment
from service_launcher.errors import EngineUnavailable
from service_launcher.models import ComposeReference, Evidence, ServiceState, ServiceStatus, Verdict
from service_launcher.observation import Observer

LISTED = "its plugin calls it ready, but the engine says that its container is"
LABELS = {"com.docker.compose.project": "tools", "com.docker.compose.service": "one"}


class Judging(Observer):
    """An observer that has asked the owner already; of the engine it knows one container."""

    def __init__(self, said: ServiceStatus, compose: bool) -> None:
        reference = ComposeReference(project="tools", file="compose.yml", service="one") if compose else None
        entries = {"one": SimpleNamespace(id="one", stack="tools", compose=reference)}
        object.__setattr__(self, "graph", SimpleNamespace(entries=entries))
        object.__setattr__(self, "environment", Environment({}))
        object.__setattr__(self, "took", {})
        object.__setattr__(self, "said", said)

    def _status(self, service: str, view: EngineView) -> ServiceStatus:
        return cast(ServiceStatus, self.__dict__["said"])


def judged(state: ServiceState, engine: str | None = None, **layers: Verdict) -> ServiceStatus:
    """What the host says where the owner says this; `engine` is what the engine lists, "silent" and None included."""
    evidence: list[Any] = [{"layer": layer, "verdict": verdict, "detail": "seen"} for layer, verdict in layers.items()]
    said = ServiceStatus(
        id="one", state=state, message="fine", evidence=tuple(Evidence.model_validate(one) for one in evidence)
    )

    def containers(label: str) -> tuple[Container, ...]:
        if engine == "silent":
            raise EngineUnavailable("the engine is silent")
        there = engine not in (None, "none") and "project" in label
        return (Container("1", "one", "image", "2", str(engine), None, LABELS, ()),) if there else ()

    detail = SimpleNamespace(state="running" if engine == "created" else engine)
    view = EngineView(cast(Engine, SimpleNamespace(containers=containers, detail=lambda container_id: detail)))
    return Judging(said, compose=engine is not None).status("one", view)


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict.OK, ServiceState.READY),
        (Verdict.NOT_APPLICABLE, ServiceState.READY),
        (Verdict.BAD, ServiceState.DEGRADED),
        (Verdict.UNKNOWN, ServiceState.UNKNOWN),
        (Verdict.PENDING, ServiceState.STARTING),
    ],
)
@pytest.mark.parametrize("layer", ["container", "health", "application"])
def test_ready_is_believed_only_where_all_layers_agree(layer: str, verdict: Verdict, state: ServiceState) -> None:
    layers = {"container": Verdict.OK, "health": Verdict.OK, "application": Verdict.OK} | {layer: verdict}
    told = judged(ServiceState.READY, "running", **layers)
    assert told.state is state
    contradicted = f"its plugin calls it ready, but its {layer} evidence says: seen"
    assert told.message == ("fine" if state is ServiceState.READY else contradicted)


def test_what_is_not_ready_is_the_owners_to_say() -> None:
    assert judged(ServiceState.FAILED, container=Verdict.BAD).message == "fine"


@pytest.mark.parametrize("engine", [None, "running"])
@pytest.mark.parametrize("layers", [{}, {"health": Verdict.NOT_APPLICABLE}])
def test_ready_without_any_evidence_is_unknown(engine: str | None, layers: dict[str, Verdict]) -> None:
    told = judged(ServiceState.READY, engine, **layers)
    assert told.state is ServiceState.UNKNOWN
    assert told.message == "its plugin calls it ready, but it gives no evidence"


@pytest.mark.parametrize(
    ("engine", "state", "words"),
    [
        ("running", ServiceState.READY, "fine"),
        (
            "exited",
            ServiceState.DEGRADED,
            f"{LISTED} exited",
        ),
        (
            "none",
            ServiceState.DEGRADED,
            f"{LISTED} not there",
        ),
        ("silent", ServiceState.UNKNOWN, "the engine is silent"),
        (None, ServiceState.READY, "fine"),
    ],
)
def test_ready_is_not_believed_against_the_engine(engine: str | None, state: ServiceState, words: str) -> None:
    told = judged(ServiceState.READY, engine, application=Verdict.OK)
    assert (told.state, told.message) == (state, words)
