"""When a service that was told to start has come up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from service_launcher import waiting
from service_launcher.models import Evidence, ServiceState, ServiceStatus, Verdict
from service_launcher.waiting import SETTLE_SECONDS, Wait


@pytest.mark.parametrize("layers", [("container",), ("container", "health"), ("container", "application"), ()])
def test_running_alone_is_success_only_after_a_while(monkeypatch: pytest.MonkeyPatch, layers: tuple[str, ...]) -> None:
    """A container without a health check is `running` also in the moment before it ends."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: clock.now))
    evidence = tuple(Evidence.model_validate({"layer": one, "verdict": "ok", "detail": "seen"}) for one in layers)
    ready = ServiceStatus(id="one", state=ServiceState.READY, message="running", evidence=evidence)
    again = ServiceStatus(id="one", state=ServiceState.STARTING, message="restarting")
    wait = Wait(60, has_events=True)
    assert wait.over(ready) is (layers != ("container",))
    clock.now += SETTLE_SECONDS - 0.1
    assert not wait.over(again)
    clock.now += 0.2
    assert wait.over(ready) is (layers != ("container",)), "it has begun anew"
    clock.now += SETTLE_SECONDS
    assert wait.over(ready)
    assert ready.layer("health") in (Verdict.OK, Verdict.NOT_APPLICABLE)
