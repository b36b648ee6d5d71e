"""The contract between the host and its plugins: every hook, when it is asked, of whom, and the answer.

A plugin is a module or object named by an entry point of the group `service_launcher`. It marks the hooks that it
answers with `service_launcher.hookimpl` and may leave out arguments that it does not need.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

from service_launcher.models import (
    Action,
    AutoStart,
    Cause,
    Event,
    Finding,
    ManifestEntry,
    Problem,
    ServiceStatus,
    Variable,
)

if TYPE_CHECKING:
    import click

    from service_launcher.envfile import Environment
    from service_launcher.host import Host

PROJECT = "service_launcher"
ENTRY_POINTS = "service_launcher"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def launcher_manifest_entries() -> Iterable[ManifestEntry]:  # type: ignore[empty-body]
    """The services that this plugin owns.

    Asked once, at load, of every plugin. Who supplies an entry owns that service: the hooks about it are asked of
    this plugin alone. An id that two plugins claim is used for neither.
    """


@hookspec
def launcher_variables() -> Iterable[Variable]:  # type: ignore[empty-body]
    """The environment variables that this plugin reads; it is given no others for its compose files.

    Asked of every plugin by `launcher init`, which writes what is missing into `.env`, and for the reference.
    """


@hookspec
def launcher_auto_start(entry: ManifestEntry, env: Environment) -> AutoStart | None:
    """Whether a start by phase includes this service, and why not.

    Asked of the owner when a phase is started, never when the service is named. None means yes.
    """


@hookspec
def launcher_preflight(entry: ManifestEntry, action: Action, host: Host) -> Iterable[Problem]:  # type: ignore[empty-body]
    """What an action on this service would trip over.

    Asked before anything changes: of the owner first, whose errors block the service and what depends on it, then
    of everyone else, whose failures are only warnings. It must change nothing.
    """


@hookspec
def launcher_drift(entry: ManifestEntry, host: Host) -> str | None:
    """Why a start would make this running service anew; None when it would be left alone.

    Asked of the owner when a start is planned and the service is ready.
    """


@hookspec
def launcher_prepare(entry: ManifestEntry, host: Host) -> None:
    """Fetch what a start of this service needs and may not get, such as its image; change nothing that runs.

    Asked of the owner before other services are stopped for the start, or the service itself for a restart: if it
    raises, nothing is stopped.
    """


@hookspec
def launcher_start(entry: ManifestEntry, host: Host) -> None:
    """Start this service and return as soon as the work is handed over; the host waits for `launcher_status`.

    Asked of the owner. It is also asked when the service runs but has changed.
    """


@hookspec
def launcher_stop(entry: ManifestEntry, host: Host) -> None:
    """Stop this service and return when it is stopped; its data stays.

    Asked of the owner, after everything that depends on the service has been stopped.
    """


@hookspec
def launcher_status(entry: ManifestEntry, host: Host) -> ServiceStatus:  # type: ignore[empty-body]
    """The state of this service, with evidence for it.

    Asked of the owner: for status, after each event while waiting, and every 0.2 s once only the application is
    awaited. It has to answer within 3 s. `ready` is believed only while none of the evidence says otherwise.
    """


@hookspec
def launcher_findings(entry: ManifestEntry, host: Host) -> Iterable[Finding]:  # type: ignore[empty-body]
    """What would hurt this service sooner or later, with a fix, and what was looked at and is well.

    Asked of the owner by `launcher doctor`, after `launcher_preflight`, whose problems it need not repeat. It must
    change nothing. EngineUnavailable may pass through: doctor says once that the engine is silent.
    """


@hookspec
def launcher_causes(entry: ManifestEntry) -> Iterable[Cause]:  # type: ignore[empty-body]
    """The causes that this service is known to fail from, the narrower ones first.

    Asked of the owner when a service that is not ready is explained. They are looked for before the host's own in
    what the engine, the health check and the last 300 lines of the container's log say (1000 where it was restarted).
    """


@hookspec
def launcher_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]
    """Click commands, mounted as `launcher NAME …`; the host's own names cannot be taken.

    Asked of every plugin when a command is called that the host does not have, and for `launcher --help`.
    """


@hookspec
def launcher_event(event: Event, env: Environment) -> None:
    """Something happened and was recorded.

    Told to every plugin, within 1 s. Whatever it does cannot affect the action; a failure is a warning.
    """
