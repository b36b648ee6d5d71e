"""A Kestra that will never come up: its main thread has failed, and its process lives on.

Seen on 1.3.25 under Java 25: a thread of the flight recorder keeps the process, so that it neither ends nor answers,
and no restart policy applies. Kestra 2.0 ends with exit code 1.
"""

from __future__ import annotations

import re

from service_launcher import Host

from launcher_kestra.services import KESTRA

LINES = 300  # a stack trace of the JVM has about 100
SHOWN = 200

_UNCAUGHT = re.compile(r'^Exception in thread "main" (?:[\w$.]+\.)?([\w$]+(?:: [^\n]*)?)', re.MULTILINE)
_OWN_LINE = re.compile(r"^\d\d:\d\d:\d\d", re.MULTILINE)  # what a task prints is in one, or before another


def failure(host: Host) -> str | None:
    """What the main thread of the running container has failed with; None where it has not, or nobody can tell."""
    container = KESTRA.container(host)
    detail = host.engine.detail(container.id) if container else None
    if container is None or detail is None or detail.state != "running" or detail.health == "healthy":
        return None
    said = host.engine.log(container.id, LINES, detail.started_at)
    found = _UNCAUGHT.search(said)
    if found is None or _OWN_LINE.search(said, found.end()):
        return None
    return host.redact(found[1])[:SHOWN]
