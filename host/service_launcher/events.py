"""The append-only record of operations, and telling whoever listens; listeners can never affect the action."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service_launcher.models import Event
from service_launcher.redaction import Redactor

Listener = Callable[[Event], None]

#: The record is turned over once at this size, so it never takes more than twice as much.
MAX_BYTES = 5_000_000


class EventLog:
    """Writes events as JSON lines, 0600, then tells the listeners in turn."""

    def __init__(self, path: Path, redact: Redactor) -> None:
        self._path = path
        self._redact = redact
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every event after it is recorded; it must not raise."""
        self._listeners.append(listener)

    def record(self, event: Event) -> None:
        """Append one event and tell the listeners. A full disk loses the line, not the operation."""
        line = json.dumps(self._redacted(event.model_dump(mode="json")), ensure_ascii=False) + "\n"
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
                self._path.replace(self._path.with_suffix(".1.jsonl"))
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                written = os.write(descriptor, line.encode())  # one write: lines of two processes do not mix
                if written < len(line.encode()):
                    os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(descriptor)
        except OSError as error:
            self.lost = f"events are not recorded: {self._path.name}: {error.strerror}"
        for listener in self._listeners:
            listener(event)

    def _redacted(self, value: Any) -> Any:
        """Value by value: masks and escapes in finished JSON could break it."""
        match value:
            case str():
                return self._redact(value)
            case dict():
                return {key: self._redacted(item) for key, item in value.items()}
            case list():
                return [self._redacted(item) for item in value]
        return value

    #: Why the last event could not be written, for the report of the operation.
    lost: str | None = None
