"""Decides what an operation does, in which order and why; pure: no Docker, no files, no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from service_launcher.errors import DependencyCycle, UnknownPhase, UnknownService
from service_launcher.models import AutoStart, ManifestEntry, Plan, ServiceState, Step

#: There is nothing that a start could take away from others.
AT_REST = (ServiceState.STOPPED, ServiceState.SKIPPED, ServiceState.UNMANAGED)


class Graph:
    """The services and who needs whom; refuses unknown dependencies and circles at birth."""

    def __init__(self, entries: Iterable[ManifestEntry]) -> None:
        self.entries = {entry.id: entry for entry in entries}
        aliases = {alias: e.id for e in self.entries.values() for alias in e.aliases}
        self._names = aliases | {service: service for service in self.entries}  # an id is nobody else's alias
        self._needs = {e.id: self._resolved_needs(e) for e in self.entries.values()}
        self._dependants: dict[str, list[str]] = {service: [] for service in self.entries}
        for service, needed in self._needs.items():
            for need in needed:
                self._dependants[need].append(service)
        try:
            self.order = tuple(TopologicalSorter(self._needs).static_order())
        except CycleError as error:
            circle = " → ".join(reversed(error.args[1]))
            refused = DependencyCycle(f"services wait for one another: {circle}", "remove one depends_on")
            refused.services = frozenset(error.args[1])
            raise refused from error

    def _resolved_needs(self, entry: ManifestEntry) -> tuple[str, ...]:
        try:
            return tuple(self.resolve(name, f"{entry.id} depends on ") for name in entry.depends_on)
        except UnknownService as error:
            error.services = frozenset({entry.id})
            raise

    def resolve(self, name: str, context: str = "") -> str:
        """The id that a name or alias means. Raises UnknownService."""
        try:
            return self._names[name]
        except KeyError:
            known = ", ".join(self.entries) or "none"
            raise UnknownService(f"{context}{name!r} is no service (known: {known})", "launcher list") from None

    def phase(self, name: str) -> tuple[str, ...]:
        """The services of a phase; `all` is every phase. Raises UnknownPhase."""
        found = tuple(e.id for e in self.entries.values() if e.stack and name in ("all", e.stack))
        if not found and name != "all":
            known = ", ".join(self.phases()) or "none"
            raise UnknownPhase(f"{name!r} is no phase (known: {known})", "launcher list")
        return found

    def phases(self) -> tuple[str, ...]:
        """Every phase once, in the order of the manifest."""
        return tuple(dict.fromkeys(e.stack for e in self.entries.values() if e.stack))

    def needs(self, service: str) -> tuple[str, ...]:
        """What a service depends on directly."""
        return self._needs[service]

    def with_needs(self, services: Iterable[str]) -> tuple[str, ...]:
        """The services and everything below them, in starting order."""
        return self._closure(services, self._needs)

    def with_dependants(self, services: Iterable[str]) -> tuple[str, ...]:
        """The services and everything above them, in starting order."""
        return self._closure(services, self._dependants)

    def above(self, services: Collection[str]) -> tuple[str, ...]:
        """What depends on one of the services, over however many others, in starting order."""
        return self.with_dependants(above for service in services for above in self._dependants[service])

    def _closure(self, services: Iterable[str], edges: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        found, waiting = set(), list(services)
        while waiting:
            service = waiting.pop()
            if service not in found:
                found.add(service)
                waiting.extend(edges[service])
        return tuple(service for service in self.order if service in found)


def plan_start(
    graph: Graph,
    wanted: Iterable[str],
    states: Mapping[str, ServiceState],
    auto_start: Mapping[str, AutoStart],
    drift: Mapping[str, str],
    owned: Iterable[str],
    broken: Mapping[str, str] | None = None,
) -> Plan:
    """The steps that make the wanted services ready.

    `auto_start` holds the owners' answers where a phase was asked for and is empty for services that were named;
    `drift` the reason why a running service would be made anew; `broken` why a service's plugin cannot be asked.
    What runs and may be made anew takes the running services above it along: they are stopped first, and started again.
    """
    owned = set(owned)
    skipped = {s for s in wanted if s in auto_start and not auto_start[s].start}
    steps = []
    for service in graph.with_needs(s for s in wanted if s not in skipped):
        if broken and service in broken:
            steps.append(Step(service=service, do="refuse", reason=broken[service]))
        elif service not in owned:
            steps.append(Step(service=service, do="skip", reason="no plugin manages it"))
        elif states[service] is ServiceState.READY and service not in drift:
            steps.append(Step(service=service, do="keep", reason="ready, nothing has changed"))
        else:
            steps.append(Step(service=service, do="start", reason=drift.get(service, f"it is {states[service]}")))
    known = states.get
    anew = {
        step.service
        for step in steps
        if step.do == "start" and known(step.service) not in (*AT_REST, ServiceState.STARTING)
    }
    along = [s for s in graph.above(anew) if s in owned and known(s, ServiceState.STOPPED) not in AT_REST]
    if along:
        reasons = {
            s: f"what it needs is started anew ({', '.join(sorted(anew & set(graph.with_needs([s]))))})" for s in along
        }
        again = {step.service: step for step in steps if step.service not in along}
        again |= {s: Step(service=s, do="start", reason=reasons[s]) for s in along}
        stops = [Step(service=s, do="stop", reason=reasons[s]) for s in reversed(along)]
        steps = [*stops, *(again[s] for s in graph.order if s in again)]
    planned = {step.service for step in steps}
    steps += [Step(service=s, do="skip", reason=auto_start[s].reason) for s in graph.order if s in skipped - planned]
    return Plan(action="start", steps=tuple(steps))


def plan_stop(graph: Graph, wanted: Iterable[str], states: Mapping[str, ServiceState], owned: Iterable[str]) -> Plan:
    """The steps that stop the wanted services and whatever depends on them, dependants first."""
    owned, wanted = set(owned), set(wanted)
    steps = []
    stopped = graph.with_dependants(wanted)
    for service in reversed(stopped):
        if service not in owned:
            steps.append(Step(service=service, do="skip", reason="no plugin manages it"))
        elif states[service] in (ServiceState.STOPPED, ServiceState.SKIPPED):
            steps.append(Step(service=service, do="keep", reason="it is stopped"))
        else:
            below = [n for n in graph.needs(service) if n in stopped]
            why = "asked for" if service in wanted else f"it depends on {', '.join(below)}"
            steps.append(Step(service=service, do="stop", reason=why))
    return Plan(action="stop", steps=tuple(steps))
