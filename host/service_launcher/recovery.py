"""What has to be brought back, and when: patiently, a bounded number of times, and never against an operator's wish."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from service_launcher.models import ServiceState, ServiceStatus

FIRST_SECONDS = 10.0  # the engine's own restart policy comes first; each further attempt waits twice as long
ATTEMPTS = 5
RESET_SECONDS = 600.0  # who has been ready for so long may fail afresh

DOWN = (ServiceState.STOPPED, ServiceState.FAILED)


@dataclass
class _Patient:
    next_at: float
    attempts: int = 0
    ready_since: float | None = None


@dataclass
class Recovery:
    """Keeps count of who is down since when and how often it was tried."""

    _patients: dict[str, _Patient] = field(default_factory=dict)

    def down(self, statuses: Iterable[ServiceStatus]) -> set[str]:
        """Note these statuses; the services that are down now."""
        now = time.monotonic()
        found = set()
        for status in statuses:
            patient = self._patients.get(status.id)
            if status.state in DOWN:
                found.add(status.id)
                if patient is None:
                    self._patients[status.id] = _Patient(now + FIRST_SECONDS)
                else:
                    patient.ready_since = None
            elif status.state is ServiceState.READY and patient is not None:
                patient.ready_since = patient.ready_since or now
                if patient.attempts == 0 or now - patient.ready_since >= RESET_SECONDS:
                    del self._patients[status.id]
        return found

    def due(self, down: Collection[str]) -> tuple[str, ...]:
        """Of these services, those whose time for an attempt has come."""
        now = time.monotonic()
        return tuple(
            s for s in sorted(down) if self._patients[s].attempts < ATTEMPTS and self._patients[s].next_at <= now
        )

    def tried(self, services: Iterable[str]) -> tuple[str, ...]:
        """Count an attempt; those for whom it was the last."""
        now, last = time.monotonic(), []
        for service in services:
            patient = self._patients[service]
            patient.attempts += 1
            patient.next_at = now + FIRST_SECONDS * 2**patient.attempts
            if patient.attempts == ATTEMPTS:
                last.append(service)
        return tuple(last)

    def forget(self, services: Iterable[str]) -> None:
        """These are down because somebody wants it so."""
        for service in services:
            self._patients.pop(service, None)
