"""A Kestra whose main thread has ended is recognised by the line of the JVM, and by nothing that a task may print."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest
from service_launcher import Host

from launcher_kestra.main_thread import failure

UNCAUGHT = (
    'Exception in thread "main" io.micronaut.context.exceptions.BeanInstantiationException: Bean definition '
    "[javax.sql.DataSource] could not be loaded: Error instantiating bean of type  [javax.sql.DataSource]\n"
    "\tat io.micronaut.context.DefaultBeanContext.resolveByBeanFactory(DefaultBeanContext.java:2342)\n"
)
#: As Kestra writes what a task has printed, on one line and on several.
LINE = "09:31:04.153 WARN  task-run_1 flow.tests.java "
OF_A_TASK = f'{LINE}Exception in thread "main" java.lang.Error: none of ours\n'
OF_LINES = f'{LINE}it said:\nException in thread "main" java.lang.Error: none of ours\n\tat Main.main\n{LINE}done\n'


def host(said: str, state: str = "running", health: str = "starting") -> Host:
    """A host whose engine has a container of Kestra that has said something in its present life."""
    began = datetime.now(UTC)

    def log(container_id: str, lines: int, since: datetime | None) -> str:
        assert (container_id, since) == ("k", began)
        return said

    engine = SimpleNamespace(
        compose_service=lambda project, service: SimpleNamespace(id="k"),
        detail=lambda container_id: SimpleNamespace(state=state, started_at=began, health=health),
        log=log,
    )
    return cast(Host, SimpleNamespace(engine=engine, redact=lambda text: text.replace("secret", "***")))


def test_it_is_told_with_the_reason() -> None:
    said = failure(host(f"09:31:02.000 INFO main starting\n{UNCAUGHT}"))
    assert said is not None
    assert said.startswith("BeanInstantiationException: Bean definition [javax.sql.DataSource] could not be loaded")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("thrown", "told"),
    [
        ("java.lang.NullPointerException\n\tat a.b", "NullPointerException"),
        ("picocli.CommandLine$InitializationException: no", "CommandLine$InitializationException: no"),
        ("Bare: of no package", "Bare: of no package"),
        (f"java.lang.Error: {'x' * 190}secret", f"Error: {'x' * 190}***"),
        (f"java.lang.Error: {'x' * 400}", f"Error: {'x' * 193}"),
    ],
)
def test_whatever_was_thrown_is_told_and_no_part_of_a_secret(thrown: str, told: str) -> None:
    assert failure(host(f'Exception in thread "main" {thrown}')) == told


@pytest.mark.parametrize(
    ("said", "state", "health"),
    [
        (OF_A_TASK, "running", "starting"),
        (OF_LINES, "running", "unhealthy"),
        ("", "running", "starting"),
        (UNCAUGHT, "exited", "starting"),
        (UNCAUGHT, "running", "healthy"),
    ],
)
def test_nothing_else_is(said: str, state: str, health: str) -> None:
    assert failure(host(said, state, health)) is None
