"""The hardened profile: the image's own user, no socket, nothing writable but its data; and Kestra still works."""

from __future__ import annotations

import pytest

from tests.engines import PrivateEngine
from tests.installations import REAL_KESTRA, Installation

pytestmark = pytest.mark.kestra


def test_a_hardened_kestra_runs_flows_without_root_socket_or_capabilities(copied, engine: PrivateEngine) -> None:
    installation: Installation = copied(kestra=REAL_KESTRA)
    installation.shell["KESTRA_PRIVILEGES"] = "hardened"
    done = installation.launcher("start")
    assert done.code == 0, done.text
    assert installation.run_flow() == "SUCCESS"
    inspected = engine.inspect(
        "tools-kestra",
        "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}",
    )
    assert inspected == "kestra true [ALL] [no-new-privileges:true]"
    assert "docker.sock" not in engine.inspect("tools-kestra", "{{.HostConfig.Mounts}} {{.HostConfig.Binds}}")
    inside = engine.docker(
        "exec", "tools-kestra", "sh", "-c", "grep -E 'CapEff|NoNewPrivs' /proc/self/status; touch /app/x 2>&1 || true"
    )
    assert "0000000000000000" in inside
    assert "Read-only file system" in inside

    assert installation.launcher("stop").code == 0
    assert installation.launcher("start").code == 0
    assert installation.executions() == 1
    assert {s["do"] for s in installation.launcher("plan", "--json").json()["steps"]} == {"keep"}


def test_any_other_word_for_the_privileges_is_refused(installation: Installation) -> None:
    done = installation.launcher("start", KESTRA_PRIVILEGES="hardend")
    assert done.code == 1
    assert "KESTRA_PRIVILEGES is neither docker nor hardened" in done.text
