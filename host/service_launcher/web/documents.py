"""A service as the API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service_launcher.launcher import Launcher
    from service_launcher.models import ServiceStatus
    from service_launcher.observation import Reading


def service_document(launcher: Launcher, status: ServiceStatus, reading: Reading) -> dict[str, Any]:
    """A service as the API shows it: its manifest fields, who needs it, its commands, and what is true of it now."""
    entry, took = launcher.entries[status.id], reading.seconds.get(status.id)
    above = [s for s in launcher.graph.with_dependants([status.id]) if s != status.id]
    return {
        **entry.model_dump(mode="json"),
        "title": entry.title or entry.id,
        "dependants": above,
        "managed_here": status.id in launcher.plugins.owners or bool(entry.plugin),
        "plugin_failed": status.id in reading.without_plugin,
        "commands": {action: f"launcher {action} {status.id}" for action in ("start", "stop", "restart")},
        "state": status.state,
        "message": status.message,
        "latency_ms": None if took is None else round(took * 1000),
        "current": status.model_dump(mode="json"),
    }


def without_ages(document: Mapping[str, Any]) -> dict[str, Any]:
    """A service's document without what differs in every reading, to tell whether anything else does."""
    current = dict(document["current"])
    current["evidence"] = [
        {key: value for key, value in evidence.items() if key not in ("observed_at", "age_seconds")}
        for evidence in current["evidence"]
    ]
    if current["last_known"]:
        current["last_known"] = current["last_known"]["state"]
    return {**document, "current": current, "latency_ms": None}
