"""One served installation for all tests of the API: its engine is private, its services are the stand-in's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.installations import Installation
from tests.web.served import Served, copied


@pytest.fixture(scope="package")
def home(engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The installation that the tests of this folder share."""
    engine.wipe()
    yield copied(CHECKOUT, tmp_path_factory.mktemp("web") / "installation", engine)
    engine.wipe()


@pytest.fixture(scope="module")
def served(home: Installation) -> Iterator[Served]:
    """A server for one module's tests."""
    with Served.started(home) as served:
        yield served


@pytest.fixture
def stopped(served: Served) -> Served:
    """The server, with everything stopped."""
    served.installation.launcher("stop")
    return served


@pytest.fixture
def running(served: Served) -> Served:
    """The server, with everything ready."""
    done = served.installation.launcher("start")
    assert done.code == 0, done.text
    return served
