"""What counts as reaching for the machine, and that doctor says it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from service_launcher.policy import breaches

from tests.broken_plugins import pack
from tests.engines import PrivateEngine
from tests.environments import PYTHON, run

WELL: list[dict[str, Any]] = [
    {"image": "one"},
    {"privileged": False, "volumes": ["data:/var/lib/data", "./conf:/etc/conf:ro"], "cap_add": ["NET_BIND_SERVICE"]},
    {"volumes": [{"type": "volume", "source": "data", "target": "/data"}], "network_mode": "bridge", "devices": []},
]
ILL: list[tuple[dict[str, Any], str]] = [
    ({"privileged": True}, "privileged"),
    ({"volumes": ["/var/run/docker.sock:/var/run/docker.sock:ro"]}, "Docker socket"),
    ({"volumes": [{"type": "bind", "source": "/run/docker.sock", "target": "/d.sock"}]}, "Docker socket"),
    ({"volumes": [{"type": "bind", "source": "/", "target": "/host"}]}, "mounts / of"),
    ({"volumes": ["/etc:/host-etc"]}, "mounts /etc of"),
    ({"network_mode": "host"}, "network"),
    ({"pid": "host"}, "processes"),
    ({"cap_add": ["CAP_SYS_ADMIN", "NET_BIND_SERVICE"]}, "capabilities SYS_ADMIN"),
    ({"devices": ["/dev/kvm"]}, "devices"),
]


@pytest.mark.parametrize("service", WELL)
def test_an_ordinary_service_has_no_breach(service: dict[str, Any]) -> None:
    assert list(breaches(service)) == []


@pytest.mark.parametrize(("service", "words"), ILL)
def test_each_breach_is_one_sentence(service: dict[str, Any], words: str) -> None:
    (told,) = breaches(service)
    assert words in told


@pytest.mark.docker
def test_doctor_warns_of_a_privileged_container(engine: PrivateEngine, tmp_path: Path) -> None:
    pack.write("privileged", tmp_path / "installed")
    (tmp_path / "root/config").mkdir(parents=True)
    exported = {"PYTHONPATH": str(tmp_path / "installed"), "DOCKER_HOST": engine.address}
    done = run(str(PYTHON.with_name("launcher")), "--root", str(tmp_path / "root"), "doctor", "--json", **exported)
    told = [f for f in json.loads(done.stdout)["findings"] if f["check"] == "policy" and f["service"] == pack.SERVICE]
    assert [(f["verdict"], f["summary"]) for f in told] == [
        ("warn", "broken-service is privileged: it can do everything that root can on this machine")
    ]
