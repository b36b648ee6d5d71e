"""Plans: what is done, in which order, and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_launcher.errors import DependencyCycle, UnknownPhase, UnknownService
from service_launcher.models import AutoStart, ManifestEntry, Plan, ServiceState
from service_launcher.planner import Graph, plan_start, plan_stop

READY, STOPPED = ServiceState.READY, ServiceState.STOPPED


def service(id: str, *needs: str, stack: str | None = None, aliases: tuple[str, ...] = ()) -> ManifestEntry:
    """A service of which only the graph matters."""
    return ManifestEntry(id=id, type="t", path=".", start="true", depends_on=needs, stack=stack, aliases=aliases)


def started(graph: Graph, *wanted: str, **more: object) -> Plan:
    """A plan to start services that are all owned and stopped, but for what is said otherwise."""
    known: dict[str, Any] = {
        "states": dict.fromkeys(graph.entries, STOPPED),
        "auto_start": {},
        "drift": {},
        "owned": graph.entries,
    }
    return plan_start(graph, wanted, **(known | more))


def stopped(graph: Graph, *wanted: str, **more: object) -> Plan:
    """A plan to stop services that are all owned and ready, but for what is said otherwise."""
    known: dict[str, Any] = {"states": dict.fromkeys(graph.entries, READY), "owned": graph.entries}
    return plan_stop(graph, wanted, **(known | more))


def steps(plan: Plan) -> list[tuple[str, str, str]]:
    """A plan as plain tuples."""
    return [(step.do, step.service, step.reason) for step in plan.steps]


#: web → app → database, report → database, and a stranger.
SHOP = Graph(
    [
        service("web", "app", stack="front", aliases=("page",)),
        service("app", "database", stack="back"),
        service("report", "db", stack="back"),
        service("database", stack="data", aliases=("db",)),
        service("stranger"),
    ]
)


def test_names_and_aliases_mean_services_and_others_are_refused_by_name() -> None:
    assert SHOP.resolve("db") == SHOP.resolve("database") == "database"
    with pytest.raises(UnknownService, match=r"'dbx' is no service \(known: web, app, report, database, stranger\)"):
        SHOP.resolve("dbx")
    with pytest.raises(UnknownService, match="web depends on 'gone' is no service"):
        Graph([service("web", "gone")])


def test_an_alias_never_takes_the_id_of_another_service() -> None:
    one, other = service("a"), service("b", aliases=("a",))
    assert Graph([one, other]).resolve("a") == Graph([other, one]).resolve("a") == "a"


def test_a_phase_is_a_stack_and_all_is_every_stack() -> None:
    assert SHOP.phases() == ("front", "back", "data")
    assert SHOP.phase("back") == ("app", "report")
    assert SHOP.phase("all") == ("web", "app", "report", "database")
    with pytest.raises(UnknownPhase, match=r"'tools' is no phase \(known: front, back, data\)"):
        SHOP.phase("tools")


def test_a_circle_is_refused_and_told_in_its_order() -> None:
    with pytest.raises(DependencyCycle) as refused:
        Graph([service("a", "b"), service("b", "c"), service("c", "a"), service("d")])
    told = refused.value.summary.split(": ")[1].split(" → ")
    assert told[0] == told[-1]
    assert all(pair in [("a", "b"), ("b", "c"), ("c", "a")] for pair in pairwise(told))
    assert len(told) == 4
    with pytest.raises(DependencyCycle):
        Graph([service("a", "a")])


def test_closures_go_down_and_up_in_starting_order() -> None:
    assert SHOP.with_needs(["web"]) == ("database", "app", "web")
    assert SHOP.with_needs(["report"]) == ("database", "report")
    assert set(SHOP.with_dependants(["database"])) == {"database", "app", "report", "web"}
    assert SHOP.with_dependants(["app"]) == ("app", "web")
    assert SHOP.with_dependants(["stranger"]) == SHOP.with_needs(["stranger"]) == ("stranger",)


def test_a_start_includes_what_is_needed_first() -> None:
    assert steps(started(SHOP, "web")) == [
        ("start", "database", "it is stopped"),
        ("start", "app", "it is stopped"),
        ("start", "web", "it is stopped"),
    ]


@pytest.mark.parametrize("state", ServiceState)
def test_only_what_is_ready_and_unchanged_is_kept(state: ServiceState) -> None:
    plan = started(SHOP, "database", states={"database": state})
    kept = [("keep", "database", "ready, nothing has changed")]
    assert steps(plan) == (kept if state is READY else [("start", "database", f"it is {state.value}")])


def test_what_has_changed_is_started_anew_with_the_reason() -> None:
    states = dict.fromkeys(SHOP.entries, READY)
    plan = started(SHOP, "app", states=states, drift={"app": "its image has changed"})
    assert steps(plan) == [
        ("stop", "web", "what it needs is started anew (app)"),
        ("keep", "database", "ready, nothing has changed"),
        ("start", "app", "its image has changed"),
        ("start", "web", "what it needs is started anew (app)"),
    ]


@pytest.mark.parametrize("state", [ServiceState.DEGRADED, ServiceState.FAILED, ServiceState.UNKNOWN])
def test_what_runs_on_something_that_is_started_anew_is_stopped_first(state: ServiceState) -> None:
    states = {"database": state, "app": READY, "web": ServiceState.DEGRADED, "report": STOPPED, "stranger": READY}
    plan = [step[:2] for step in steps(started(SHOP, "database", states=states))]
    assert plan == [("stop", "web"), ("stop", "app"), ("start", "database"), ("start", "app"), ("start", "web")]


@pytest.mark.parametrize("state", [STOPPED, ServiceState.STARTING])
def test_what_is_only_begun_takes_nothing_along(state: ServiceState) -> None:
    states = {"database": state, "app": READY, "web": READY, "report": STOPPED, "stranger": READY}
    assert steps(started(SHOP, "database", states=states)) == [("start", "database", f"it is {state}")]


def test_a_declined_service_is_skipped_with_its_owners_reason_and_takes_nothing_along() -> None:
    no = AutoStart(start=False, reason="SKIP_WEB=1")
    assert steps(started(SHOP, "web", "report", auto_start={"web": no, "report": AutoStart(start=True)})) == [
        ("start", "database", "it is stopped"),
        ("start", "report", "it is stopped"),
        ("skip", "web", "SKIP_WEB=1"),
    ]


def test_a_declined_service_is_started_where_another_needs_it() -> None:
    plan = started(SHOP, "app", "database", auto_start={"database": AutoStart(start=False, reason="no")})
    assert [step[:2] for step in steps(plan)] == [("start", "database"), ("start", "app")]


@pytest.mark.parametrize("make", [started, stopped])
def test_what_no_plugin_manages_is_skipped(make: Callable[..., Plan]) -> None:
    assert steps(make(SHOP, "stranger", owned=[], states={})) == [("skip", "stranger", "no plugin manages it")]


def test_a_stop_goes_the_other_way_and_includes_what_depends_on_it() -> None:
    plan = steps(stopped(SHOP, "database"))
    assert [name for _, name, _ in plan] == list(reversed(SHOP.with_dependants(["database"])))
    reasons = {name: reason for _, name, reason in plan}
    assert reasons["web"] == "it depends on app"
    assert reasons["app"] == reasons["report"] == "it depends on database"
    assert reasons["database"] == "asked for"


@pytest.mark.parametrize("state", ServiceState)
def test_only_what_is_stopped_is_not_stopped(state: ServiceState) -> None:
    plan = steps(stopped(SHOP, "stranger", states={"stranger": state}))
    if state in (STOPPED, ServiceState.SKIPPED):
        assert plan == [("keep", "stranger", "it is stopped")]
    else:
        assert plan == [("stop", "stranger", "asked for")]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, list[str], dict[str, ServiceState]]:
    """A graph without circles whose services stand in any order, some of them wanted, each in some state."""
    names = [f"s{number}" for number in range(draw(st.integers(1, 12)))]
    needs = {
        name: draw(st.lists(st.sampled_from(names[:i]), unique=True, max_size=4)) if i else []
        for i, name in enumerate(names)
    }
    entries = [service(name, *needs[name]) for name in draw(st.permutations(names))]
    wanted = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    states = {name: draw(st.sampled_from(ServiceState)) for name in names}
    return Graph(entries), wanted, states


def reachable(graph: Graph, wanted: list[str], edges: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Everything along the edges, found in the plainest way."""
    found = set(wanted)
    for _ in graph.entries:
        found |= {after for name in found for after in edges[name]}
    return found


@given(graphs())
def test_a_start_comes_after_everything_that_it_needs(drawn: tuple[Graph, list[str], dict[str, ServiceState]]) -> None:
    graph, wanted, states = drawn
    plan = started(graph, *wanted, states=states).steps
    order = [step.service for step in plan if step.do != "stop"]
    stops = [step.service for step in plan if step.do == "stop"]
    assert [step.service for step in plan] == stops + order, "what is stopped for it is stopped before anything begins"
    assert {s.service: s.do for s in plan if s.service in stops} == dict.fromkeys(stops, "start"), "and started again"
    below = {name: graph.needs(name) for name in graph.entries}
    assert len(order) == len(set(order))
    assert set(order) == reachable(graph, wanted, below) | set(stops)
    assert all(order.index(need) < order.index(name) for name in order for need in below[name] if need in order)


@given(graphs())
def test_a_stop_comes_before_everything_that_it_needs(drawn: tuple[Graph, list[str], dict[str, ServiceState]]) -> None:
    graph, wanted, states = drawn
    order = [step.service for step in stopped(graph, *wanted, states=states).steps]
    above = {name: tuple(n for n in graph.entries if name in graph.needs(n)) for name in graph.entries}
    assert len(order) == len(set(order))
    assert set(order) == reachable(graph, wanted, above)
    assert all(order.index(user) < order.index(name) for name in order for user in above[name])


def test_a_plan_for_five_hundred_services_is_made_at_once() -> None:
    graph = Graph([service(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(500)])
    began = time.monotonic()
    started(graph, "s499")
    stopped(graph, "s0")
    assert time.monotonic() - began < 1
