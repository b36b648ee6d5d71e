"""What the plugin makes of a service that is well, ill, slow, silent or dead."""

import pytest
from launcher_courier import plugin
from service_launcher import Port, ServiceState, ServiceStatus


@pytest.mark.parametrize(
    ("behaviour", "state"),
    [("well", "ready"), ("ill", "degraded"), ("slow", "degraded"), ("silent", "degraded"), ("dead", "degraded")],
)
def test_ready_means_that_it_answers(temporary_installation, stand_in, monkeypatch, behaviour, state):
    port = Port(address="127.0.0.1", port=stand_in.port, container_port=plugin.PORT)
    running = ServiceStatus(id="courier", state=ServiceState.READY, message="running", ports=(port,))
    monkeypatch.setattr(type(plugin.SERVICE), "status", lambda self, host: running)
    stand_in.be(behaviour)
    launcher = temporary_installation.launcher()
    with launcher.host("courier") as host:  # the plugin alone: the launcher would look for the container, too
        assert plugin.launcher_status(launcher.entries["courier"], host).state == state
