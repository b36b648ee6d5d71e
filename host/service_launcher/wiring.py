"""Puts the parts of one launcher together; the only place where they are chosen."""

from __future__ import annotations

import os
from collections.abc import Callable

from service_launcher import envfile, settings
from service_launcher.engine import Engine
from service_launcher.errors import ConfigurationError
from service_launcher.events import EventLog
from service_launcher.launcher import Launcher
from service_launcher.models import Diagnosis
from service_launcher.plugins import HookCall, Plugins
from service_launcher.redaction import Redactor


def build(
    root: str | None = None, actor: str | None = None, on_call: Callable[[HookCall], None] | None = None
) -> Launcher:
    """A launcher for the installation at a root that is given or found; `on_call` hears of each call into a plugin.

    Raises ConfigurationError.
    """
    found = settings.load(root, actor)
    environment = envfile.load(found.root, os.environ)
    redact = Redactor(environment.secret_values())
    plugins = Plugins.discover(found.root, on_call, found.state, redact)
    events = EventLog(found.state / "events.jsonl", redact)
    events.listen(plugins.tell)
    return Launcher(found, environment, plugins, Engine(), events)


def redactor(root: str | None = None) -> Redactor:
    """What takes this installation's secrets out of text. Raises ConfigurationError."""
    return Redactor(envfile.load(settings.find_root(root), os.environ).secret_values())


def diagnose(root: str | None = None) -> Diagnosis:
    """`Launcher.doctor`, and what can be said without a launcher where the configuration cannot be read.

    Raises RootNotFound.
    """
    found = settings.find_root(root)
    try:
        return build(root).doctor()
    except ConfigurationError as error:
        from service_launcher import doctor

        return doctor.without_installation(found, Engine(), error)
