"""A launcher for services on Docker Compose whose services come from plugins. This is its public surface."""

from service_launcher.compose_service import ComposePlugin, ComposeService, with_application
from service_launcher.errors import LauncherError
from service_launcher.hookspecs import hookimpl
from service_launcher.host import Host
from service_launcher.models import (
    AutoStart,
    Cause,
    ComposeReference,
    Event,
    Evidence,
    Link,
    ManifestEntry,
    Port,
    Problem,
    ServiceState,
    ServiceStatus,
    Variable,
    Verdict,
)

__all__ = [
    "AutoStart",
    "Cause",
    "ComposePlugin",
    "ComposeReference",
    "ComposeService",
    "Event",
    "Evidence",
    "Host",
    "LauncherError",
    "Link",
    "ManifestEntry",
    "Port",
    "Problem",
    "ServiceState",
    "ServiceStatus",
    "Variable",
    "Verdict",
    "hookimpl",
    "with_application",
]
