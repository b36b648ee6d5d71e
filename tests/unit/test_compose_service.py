"""Where a compose service is reached: from this machine, and by people."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import cast

import pytest
from service_launcher import ComposeService, ServiceState
from service_launcher.containers import Container, Detail
from service_launcher.models import Port
from service_launcher.ports import free_port
from service_launcher.prober import tcp

SERVICE = ComposeService(
    id="one", title="One", stack="tools", project="p", service="s", file="f", package="p", path=".", link_port=80
)  # fmt: skip


@pytest.mark.parametrize(
    ("published", "asked", "shown"),
    [
        ("0.0.0.0", "127.0.0.1", "localhost"),
        ("::", "127.0.0.1", "localhost"),
        ("127.0.0.1", "127.0.0.1", "localhost"),
        ("::1", "[::1]", "localhost"),
        ("192.168.1.5", "192.168.1.5", "192.168.1.5"),
        ("fd00::5", "[fd00::5]", "[fd00::5]"),
    ],
)
def test_addresses_fit_into_urls(published: str, asked: str, shown: str) -> None:
    detail = Detail("running", None, None, 0, False, 0, False, "", None)
    detail = detail._replace(ports=(Port(address=published, port=8080, container_port=80),))
    container = cast(Container, SimpleNamespace(labels={}, name="one", image="image"))
    status = SERVICE._status(ServiceState.READY, "running", container, detail, ())
    assert SERVICE.address(status, 80) == (asked, 8080)
    assert status.links[0].url == f"http://{shown}:8080"


def test_an_address_in_brackets_is_one() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        assert tcp("[::1]", server.getsockname()[1]).ok


def test_above_the_highest_port_a_lower_one_is_free() -> None:
    assert 1024 <= free_port(65600) < 65536
