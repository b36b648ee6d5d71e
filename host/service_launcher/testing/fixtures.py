"""The fixtures of `service_launcher.testing`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service_launcher.engine import Engine
from service_launcher.errors import EngineUnavailable
from service_launcher.testing.installation import TemporaryInstallation
from service_launcher.testing.projects import ThrowAwayProject, remove
from service_launcher.testing.stand_in import StandIn

if TYPE_CHECKING:
    from time_machine import Traveller


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option of continuous integration."""
    parser.addoption(
        "--require-docker", action="store_true", help="tests that need a Docker Engine fail without one, not skip"
    )


@pytest.fixture
def docker_engine(request: pytest.FixtureRequest) -> None:
    """Skips the test where no Docker Engine answers; with --require-docker it fails."""
    try:
        Engine().containers()
    except EngineUnavailable as error:
        if request.config.getoption("--require-docker"):
            pytest.fail(f"{error.summary}; try: {error.fix}", pytrace=False)
        pytest.skip(f"needs Docker: {error.summary}")


@pytest.fixture
def temporary_installation(tmp_path: Path) -> TemporaryInstallation:
    """An installation with an empty manifest, for every plugin that is installed here."""
    return TemporaryInstallation(tmp_path / "installation")


@pytest.fixture
def private_manifest(temporary_installation: TemporaryInstallation) -> Path:
    """The manifest of the temporary installation, with the entries of all installed plugins."""
    return temporary_installation.write_manifest(temporary_installation.launcher().entries.values())


@pytest.fixture
def fake_clock() -> Iterator[Traveller]:
    """Stops the clock of records (`datetime.now`, `time.time`); `fake_clock.shift(seconds)` moves it on.

    Deadlines are measured on the monotonic clock and are the only thing that goes on.
    """
    import time_machine

    with time_machine.travel(datetime.now(UTC), tick=False) as traveller:
        yield traveller


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """An HTTP service that can be well, slow, ill, silent or dead: `stand_in.be("ill")`."""
    service = StandIn()
    yield service
    service.close()


@pytest.fixture
def compose_project(docker_engine: None, tmp_path: Path) -> Iterator[Callable[[str], ThrowAwayProject]]:
    """Makes throw-away compose projects from the text of a compose file; what they leave is removed afterwards."""
    made: list[ThrowAwayProject] = []

    def make(text: str) -> ThrowAwayProject:
        made.append(ThrowAwayProject(tmp_path, text, len(made)))
        return made[-1]

    yield make
    remove([project.name for project in made])
