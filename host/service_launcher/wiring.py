"""Puts the parts of one launcher together; the only place where they are chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from service_launcher import compose, envfile, settings
from service_launcher.engine import Engine
from service_launcher.errors import ConfigurationError
from service_launcher.events import EventLog
from service_launcher.launcher import Launcher
from service_launcher.models import Diagnosis
from service_launcher.plugins import HookCall, Plugins
from service_launcher.redaction import Redactor
from service_launcher.settings import Settings


def build(
    root: str | None = None, actor: str | None = None, on_call: Callable[[HookCall], None] | None = None
) -> Launcher:
    """A launcher for the installation at a root that is given or found; `on_call` hears of each call into a plugin.

    Raises ConfigurationError.
    """
    found = settings.load(root, actor)
    return _assembled(found, on_call, found.state)


def _assembled(found: Settings, on_call: Callable[[HookCall], None] | None, notes: Path | None) -> Launcher:
    environment = envfile.load(found.root, compose.own_environment())
    redact = Redactor(environment.secret_values())
    plugins = Plugins.discover(found.root, on_call, notes, redact)
    events = EventLog(found.state / "events.jsonl", redact)
    events.listen(lambda event: plugins.tell(event, environment))
    return Launcher(found, environment, plugins, Engine(), events)


def redactor(root: str | None = None) -> Redactor:
    """What takes this installation's secrets out of text. Raises ConfigurationError."""
    return Redactor(envfile.load(settings.find_root(root), compose.own_environment()).secret_values())


def diagnose(root: str | None = None) -> Diagnosis:
    """`Launcher.doctor`, and what can be said without a launcher where the configuration cannot be read.

    Raises RootNotFound.
    """
    found = settings.load(root)
    try:
        # Not even a note of which plugin is being imported: doctor leaves nothing behind.
        return _assembled(found, None, None).doctor()
    except ConfigurationError as error:
        from service_launcher import doctor

        return doctor.without_installation(found.root, Engine(), error)
