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
#: As Kestra writes what a task has printed.
OF_A_TASK = '09:31:04.153 WARN  task-run_1 flow.tests.java Exception in thread "main" java.lang.Error: none of ours\n'


def host(said: str, state: str = "running") -> Host:
    """A host whose engine has a container of Kestra that has said something in its present life."""
    began = datetime.now(UTC)

    def log(container_id: str, lines: int, since: datetime | None) -> str:
        assert (container_id, since) == ("k", began)
        return said

    engine = SimpleNamespace(
        compose_service=lambda project, service: SimpleNamespace(id="k"),
        detail=lambda container_id: SimpleNamespace(state=state, started_at=began),
        log=log,
    )
    return cast(Host, SimpleNamespace(engine=engine))


def test_it_is_told_with_the_reason() -> None:
    said = failure(host(f"09:31:02.000 INFO main starting\n{UNCAUGHT}"))
    assert said is not None
    assert said.startswith("BeanInstantiationException: Bean definition [javax.sql.DataSource] could not be loaded")
    assert "\n" not in said


@pytest.mark.parametrize(("said", "state"), [(OF_A_TASK, "running"), ("", "running"), (UNCAUGHT, "exited")])
def test_nothing_else_is(said: str, state: str) -> None:
    assert failure(host(said, state)) is None
