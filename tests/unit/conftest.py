"""What every unit test shares: no Docker Engine in reach."""

from __future__ import annotations

import pytest
from hypothesis import settings

# How long one example takes says more about the machine's other work than about the code.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks for the Engine here finds nobody, also on a machine that has one."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
