"""What the host makes of a plugin's word: ready only while no part of its own evidence says otherwise."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from service_launcher.engine_view import EngineView
from service_launcher.models import Evidence, ServiceState, ServiceStatus, Verdict
from service_launcher.observation import Observer


def judged(state: ServiceState, **layers: Verdict) -> ServiceStatus:
    """What the host says where the owner says this."""
    evidence: list[Any] = [{"layer": layer, "verdict": verdict, "detail": "seen"} for layer, verdict in layers.items()]
    said = ServiceStatus(
        id="one", state=state, message="fine", evidence=tuple(Evidence.model_validate(one) for one in evidence)
    )
    observer = SimpleNamespace(_status=lambda service, view: said, took={})
    return Observer.status(cast(Observer, observer), "one", cast(EngineView, None))


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
    layers = {"container": Verdict.OK, "health": Verdict.OK, "application": Verdict.OK, layer: verdict}
    told = judged(ServiceState.READY, **layers)
    assert told.state is state
    contradicted = f"its plugin calls it ready, but its {layer} evidence says: seen"
    assert told.message == ("fine" if state is ServiceState.READY else contradicted)


def test_what_is_not_ready_is_the_owners_to_say() -> None:
    assert judged(ServiceState.FAILED, container=Verdict.BAD).message == "fine"
