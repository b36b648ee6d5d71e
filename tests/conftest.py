"""Fixtures of the whole suite: a private Docker Engine, and installations that live on it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import network
from tests.engines import SUITE, PrivateEngine
from tests.faults.table import Campaign, note  # noqa: F401 - a fixture is found where it is imported
from tests.installations import STAND_IN, Installation

pytest_plugins = ["service_launcher.testing"]  # for the contract that Kestra's plugin passes

CHECKOUT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option of the fault campaign."""
    parser.addoption("--faults-table", metavar="FILE", help="write the table of the fault campaign also to a file")


def pytest_configure(config: pytest.Config) -> None:
    """A process whose tests may start Engines leaves the machine's network; the campaign's table is collected."""
    if os.environ.get("LAUNCHER_TEST_NETWORK") == "own":
        network.leave()
    config.pluginmanager.register(Campaign(config.getoption("--faults-table")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What stands in a folder of real parts is marked so, whatever its author remembered."""
    for item in items:
        folder = Path(item.path).relative_to(CHECKOUT / "tests").parts[0]
        if folder in ("integration", "faults", "browser", "web"):
            item.add_marker(pytest.mark.docker)


@pytest.fixture(scope="session")
def engine() -> Iterator[PrivateEngine]:
    """A Docker Engine of the tests' own, with the local images in it; nothing on it belongs to anybody else."""
    if os.environ.get("LAUNCHER_TEST_NETWORK") != "own":
        pytest.fail("tests with an Engine run in a network namespace of their own: use scripts/test")
    with PrivateEngine.started(SUITE, images=True) as engine:
        yield engine


@pytest.fixture
def installation(engine: PrivateEngine, tmp_path: Path) -> Iterator[Installation]:
    """A fresh copy of the checkout on the private Engine, with the stand-in for Kestra and a new database."""
    engine.wipe()
    yield Installation.copied(CHECKOUT, tmp_path / "installation", engine, kestra=STAND_IN)
    engine.wipe()


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the tests of one module share."""
    return tmp_path_factory.mktemp("module")


@pytest.fixture
def copied(engine: PrivateEngine, tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    """Makes installations at places that a test chooses."""
    engine.wipe()

    def copy(name: str = "installation", **more: str) -> Installation:
        return Installation.copied(CHECKOUT, tmp_path / name, engine, **more)

    yield copy
    engine.wipe()


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    """What every test takes for granted."""
    missing = [tool for tool in ("docker", "bash", "git") if shutil.which(tool) is None]
    if missing:
        pytest.fail(f"missing: {', '.join(missing)}; use scripts/test")
    subprocess.run(["git", "--version"], check=True, capture_output=True)
