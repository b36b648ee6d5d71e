"""The launcher of an installation as its files are now: who edits `.env` need not start the server again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service_launcher import envfile
from service_launcher.errors import ConfigurationError

if TYPE_CHECKING:
    from service_launcher.launcher import Launcher
    from service_launcher.models import ServiceStatus
    from service_launcher.observation import Reading


class Installation:
    """Builds the launcher anew when one of the files that it has read is another one."""

    def __init__(self, build: Callable[[], Launcher]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._launcher = build()
        self._stamps = self._present()

    def current(self) -> Launcher:
        """The launcher that the files describe now. Raises ConfigurationError where they are wrong."""
        with self._lock:
            if (present := self._present()) != self._stamps:
                self._launcher = self._build()
                self._stamps = present
            return self._launcher

    def readable(self) -> tuple[Launcher, ConfigurationError | None]:
        """The present launcher, else the last one that could be built, with what is wrong with the files."""
        try:
            return self.current(), None
        except ConfigurationError as error:
            return self._launcher, error

    def _present(self) -> dict[Path, tuple[int, int] | None]:
        settings = self._launcher.settings
        files = [
            *(settings.root / name for name in envfile.FILES),
            settings.manifest,
            settings.root / "config/plugins.toml",
        ]
        return {file: _stamp(file) for file in files}


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


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
