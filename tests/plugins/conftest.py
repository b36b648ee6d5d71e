"""What the tests of plugins share: an Engine in the environment, and wheels of everything in the checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.environments import build

EXAMPLES = ("launcher-ledger", "launcher-courier", "launcher-bulletin")


def empty(engine: PrivateEngine) -> None:
    """Nothing at all is left of Kestra, not even its class-data archive: the contract refuses to remove data."""
    engine.wipe()
    engine.docker("volume", "rm", "--force", "tools-kestra-cds")


@pytest.fixture
def own_engine(engine: PrivateEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateEngine]:
    """The private Engine, empty, as the one that a launcher in this process talks to."""
    empty(engine)
    monkeypatch.setenv("DOCKER_HOST", engine.address)
    yield engine
    engine.wipe()


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of the host, Kestra's plugin and the examples, by package."""
    folders = [CHECKOUT / "host", CHECKOUT, *(CHECKOUT / "examples" / name for name in EXAMPLES)]
    return build(folders, tmp_path_factory.mktemp("wheels"))
