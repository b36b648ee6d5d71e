"""A launcher for services on Docker Compose whose services come from plugins. This is its public surface."""

import os

# Before pydantic makes the first record: its own plugins are foreign code without a guard, and would see every secret.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from service_launcher.compose_service import ComposePlugin, ComposeService, with_application
from service_launcher.envfile import Environment
from service_launcher.errors import ConfigurationError, EngineUnavailable, LauncherError, PreflightRefused
from service_launcher.events import LastReady
from service_launcher.hookspecs import hookimpl
from service_launcher.host import Compose, Host, Installation
from service_launcher.models import (
    AutoStart,
    Cause,
    ComposeReference,
    Event,
    Evidence,
    Finding,
    Link,
    ManifestEntry,
    Port,
    Problem,
    ServiceState,
    ServiceStatus,
    Variable,
    Verdict,
)
from service_launcher.prober import Answer

__all__ = [
    "Answer",
    "AutoStart",
    "Cause",
    "Compose",
    "ComposePlugin",
    "ComposeReference",
    "ComposeService",
    "ConfigurationError",
    "EngineUnavailable",
    "Environment",
    "Event",
    "Evidence",
    "Finding",
    "Host",
    "Installation",
    "LastReady",
    "LauncherError",
    "Link",
    "ManifestEntry",
    "Port",
    "PreflightRefused",
    "Problem",
    "ServiceState",
    "ServiceStatus",
    "Variable",
    "Verdict",
    "hookimpl",
    "with_application",
]
