"""What keeps Kestra from starting, brought about on both lines of it: the catalogue knows the words of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine
from tests.installations import NEXT_KESTRA, REAL_KESTRA, Done, Installation

Copy = Callable[..., Installation]

FILE = Path("tools/compose/docker-compose.tools.yml")
CONFIGURATION = "      KESTRA_CONFIGURATION: |\n"

#: For each cause what is replaced in Kestra's part of the compose file.
EDITS = {
    "configuration-yaml": (CONFIGURATION, CONFIGURATION + "        kestra: [not, closed\n"),
    "placeholder": ("            username: $${KESTRA_DB_USER}", "            username: $${NOBODY_SETS_THIS}"),
    "configuration-missing": (CONFIGURATION, "      NOT_THE_CONFIGURATION: |\n"),
    "configuration-folder": (
        "    command: [server, standalone]\n",
        "    command: [server, standalone]\n    read_only: true\n",
    ),
    "port-inside": (
        "${KESTRA_JAVA_OPTS:-}",
        "-Dcom.sun.management.jmxremote.port=8080 -Dcom.sun.management.jmxremote.ssl=false"
        " -Dcom.sun.management.jmxremote.authenticate=false",
    ),
    "database-refuses": ("postgresql://kestra-postgres:5432", "postgresql://kestra-postgres:5433"),
    "host-unknown": ("postgresql://kestra-postgres:5432", "postgresql://nobody-there:5432"),
    "database-missing": ("5432/$${KESTRA_DB_NAME}", "5432/another"),
    "database-password": ("            password: $${KESTRA_DB_PASSWORD}", "            password: not-this-one"),
}


@pytest.fixture(scope="module", params=[REAL_KESTRA, NEXT_KESTRA])
def database(
    request: pytest.FixtureRequest, engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """A ready PostgreSQL, for a Kestra that will not come up."""
    engine.wipe()
    installation = Installation.copied(
        CHECKOUT, tmp_path_factory.mktemp("kestra") / "root", engine, kestra=request.param
    )
    done = installation.launcher("start", "kestra-postgres")
    assert done.code == 0, done.text
    yield installation
    engine.wipe()


def explained(done: Done) -> dict[str, object]:
    """The explanation of Kestra in the report of a start that failed."""
    assert done.code == 1, done.text
    kestra = next(o for o in done.json()["outcomes"] if o["service"] == "kestra-orchestrator")
    return dict(kestra["explanation"])


@pytest.mark.kestra
@pytest.mark.parametrize("cause", EDITS)
def test_a_start_names_the_cause(database: Installation, engine: PrivateEngine, cause: str) -> None:
    file = database.root / FILE
    whole = file.read_text()
    old, new = EDITS[cause]
    assert whole.count(old) == 1
    file.write_text(whole.replace(old, new).replace("    restart: unless-stopped", '    restart: "no"', 1))
    try:
        done = database.launcher("start", "kestra", "--json")
    finally:
        file.write_text(whole)
    assert done.seconds < 60, "Kestra 1.3 lives on without its main thread; nobody waits for it"
    assert explained(done)["cause_id"] == cause, engine.docker("logs", "--tail", "40", "tools-kestra")


@pytest.mark.kestra
def test_a_kestra_that_lives_on_without_its_main_thread_is_failed_and_brought_back(
    engine: PrivateEngine, copied: Copy
) -> None:
    """As where it began while its database did not answer; nothing that compose looks at has changed."""
    installation = copied(kestra=REAL_KESTRA)
    assert installation.launcher("start").code == 0
    engine.docker("pause", "tools-kestra-postgres")
    try:
        engine.docker("restart", "--time", "1", "tools-kestra")
        installation.await_state("kestra", "failed", 60)
        said = installation.status("kestra")["message"]
        assert "its main thread has ended, and its process goes on without it" in said
        assert engine.inspect("tools-kestra", "{{.State.Status}} {{.RestartCount}}") == "running 0"
    finally:
        engine.docker("unpause", "tools-kestra-postgres")
    with installation.popen("watch"):
        installation.await_state("kestra", "ready", 90)


@pytest.mark.kestra
def test_an_older_kestra_on_the_tables_of_a_newer_one(copied: Copy) -> None:
    installation = copied(kestra=NEXT_KESTRA)
    assert installation.launcher("start").code == 0
    told = explained(installation.launcher("start", "--json", KESTRA_IMAGE=REAL_KESTRA))
    assert told["cause_id"] == "migration", told


@pytest.mark.kestra
def test_migrations_that_are_not_those_of_this_kestra(engine: PrivateEngine, copied: Copy) -> None:
    installation = copied(kestra=REAL_KESTRA)
    assert installation.launcher("start").code == 0
    change = "update flyway_schema_history set checksum = checksum + 1 where installed_rank = 3"
    engine.docker("exec", "tools-kestra-postgres", "psql", "-U", "kestra", "-d", "kestra", "-c", change)
    told = explained(installation.launcher("restart", "kestra", "--json"))
    assert told["cause_id"] == "migration", told
    assert "Migrations have failed validation" in str(told["cause"]), told
