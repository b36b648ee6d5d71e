"""The OpenAPI document against the server: whatever it allows and forbids, no answer is a server's error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from tests.engines import PrivateEngine
from tests.web.served import Served

EXAMPLES = 15
#: Of the streams only refusals end by themselves; the others are held against their documents by other tests.
STREAMS = ("/api/events", "/api/services/{service}/logs")


@pytest.fixture(scope="module")
def engineless(served: Served, engine: PrivateEngine) -> Iterator[Served]:
    """The server, without a container that a guessed name could start anything for long."""
    served.installation.launcher("stop")
    yield served
    served.installation.launcher("stop")


@pytest.mark.parametrize("role", [None, "viewer", "operator"])
def test_no_request_is_an_error_of_the_server(engineless: Served, role: str | None) -> None:
    document = engineless.call("GET", "/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=engineless.address)
    token = {"Authorization": f"Bearer {engineless.token(role)}"} if role else {}
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path in STREAMS:
            continue

        @schemathesis_given(operation)
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(
                base_url=engineless.address,
                headers=token,
                checks=(not_a_server_error, status_code_conformance, content_type_conformance),
                timeout=20,
            )

        check()
        tried += 1
    assert tried > 20


def schemathesis_given(operation: object) -> object:
    """Hypothesis over the cases of one operation, those that its schema forbids as well."""
    from hypothesis import given
    from hypothesis import strategies as st

    cases = st.one_of(
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE),  # type: ignore[attr-defined]
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),  # type: ignore[attr-defined]
    )
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]
    return lambda check: settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=quiet
    )(given(case=cases)(check))
