"""The plugin: the hooks of the Service Launcher, answered for Kestra and its PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import click
from service_launcher import (
    AutoStart,
    Cause,
    ComposePlugin,
    Environment,
    Evidence,
    Finding,
    Host,
    ManifestEntry,
    Problem,
    ServiceState,
    ServiceStatus,
    Verdict,
    hookimpl,
    with_application,
)

from launcher_kestra import credentials, database, findings, main_thread, probe, versions
from launcher_kestra.services import DATABASE_PASSWORD, KESTRA, OLD_SKIP, POSTGRES, PRIVILEGES, SKIP

#: Kestra ends with exit code 0 between 35 and 160 s after it lost its database, and says UP in between.
AFTER_DATABASE_START = timedelta(minutes=3)

_services = ComposePlugin(KESTRA, POSTGRES)

launcher_manifest_entries = _services.launcher_manifest_entries
launcher_variables = _services.launcher_variables
launcher_prepare = _services.launcher_prepare
launcher_stop = _services.launcher_stop
launcher_drift = _services.launcher_drift


@hookimpl
def launcher_auto_start(entry: ManifestEntry, env: Environment) -> AutoStart | None:
    """SKIP_KESTRA_AUTO_START leaves Kestra out of starts by phase, its database never."""
    if entry.id != KESTRA.id:
        return None
    new, old = env.get(SKIP), env.get(OLD_SKIP)
    name, value = (SKIP, new) if new is not None else (OLD_SKIP, old)
    if value is None:
        return None
    warning = f"{SKIP} and {OLD_SKIP} differ; {SKIP} counts" if None not in (new, old) and new != old else ""
    match value.strip().lower():
        case "" | "0" | "false" | "no" | "off":
            return AutoStart(start=True, warning=warning)
        case "1" | "true" | "yes" | "on":
            return AutoStart(start=False, reason=f"{name}={value}", warning=warning)
    unclear = f"{name} is neither yes nor no, so Kestra is left out"
    return AutoStart(start=False, reason=unclear, warning=warning or unclear)


@hookimpl
def launcher_preflight(entry: ManifestEntry, action: str, host: Host) -> list[Problem]:
    """What every compose service checks, and Kestra's rules for credentials and privileges."""
    service = _services.services.get(entry.id)
    if service is None or action == "stop":
        return []
    # The credentials concern both services: the database keeps the password that it is first started with.
    # Both ways of looking name what is not set in the same words: once is enough.
    found = list({p.summary: p for p in (*service.preflight(host), *credentials.problems(host))}.values())
    if entry.id == POSTGRES.id:
        found += database.problems(host)
    if entry.id == KESTRA.id:
        found += findings.holes_of_image(host)
    if entry.id == KESTRA.id and host.environment.get(PRIVILEGES, "docker") not in ("docker", "hardened"):
        found.append(
            Problem(severity="error", summary=f"{PRIVILEGES} is neither docker nor hardened", fix=f"unset {PRIVILEGES}")
        )
    return found


@hookimpl
def launcher_start(entry: ManifestEntry, host: Host) -> None:
    """`compose up`, to which a Kestra that lives on without its main thread is running."""
    if entry.id == KESTRA.id and main_thread.failure(host):
        KESTRA.stop(host)
    _services.launcher_start(entry, host)


@hookimpl
def launcher_findings(entry: ManifestEntry, host: Host) -> list[Finding]:
    """What every compose service needs; Kestra's version, privileges and memory; the database's data."""
    own = findings.of_kestra(host) if entry.id == KESTRA.id else findings.of_database(host)
    return [*_services.launcher_findings(entry, host), *own]


@hookimpl
def launcher_status(entry: ManifestEntry, host: Host) -> ServiceStatus:
    """Container, health check, and for Kestra an authenticated call and the age of its database."""
    if entry.id == POSTGRES.id:
        return _database_status(host)
    status = KESTRA.status(host)
    if status.container in (None, "exited", "created") or status.state is ServiceState.STOPPING:
        return status
    if failed := main_thread.failure(host):
        words = f"its main thread has ended, and its process goes on without it: {failed}"
        status = status.model_copy(update={"state": ServiceState.FAILED, "message": words})
    loss = _database_loss(host, status.since)
    if status.container != "running" or status.state in (ServiceState.STARTING, ServiceState.FAILED):
        if not loss:
            return status
        worse = ServiceState.FAILED if status.state is ServiceState.FAILED else ServiceState.DEGRADED
        return status.model_copy(update={"state": worse, "message": f"{loss}; Kestra: {status.message}"})
    address = KESTRA.address(status, 8080)
    if address is None:
        missing = Evidence(layer="application", verdict=Verdict.UNKNOWN, detail="port 8080 is not published")
        return with_application(
            status, missing, ServiceState.DEGRADED, loss or "running, but its port is not published"
        )
    answered = probe.ask(host, address)
    ill = answered.evidence.verdict is not Verdict.OK
    state, message = _judge(status, answered, loss, just_healthy=ill and _just_healthy(host))
    return with_application(status, answered.evidence, state, message, version=answered.version)


@hookimpl
def launcher_causes(entry: ManifestEntry) -> tuple[Cause, ...]:
    """The lines that Kestra and PostgreSQL write when they fail, and what they mean."""
    from launcher_kestra import causes  # only who explains something needs them

    return causes.KESTRA if entry.id == KESTRA.id else causes.DATABASE


@hookimpl
def launcher_commands() -> Iterable[click.Command]:
    """`launcher kestra run`: the manual mode behind tools/kestra/scripts/run.sh."""
    from launcher_kestra.manual import kestra

    return [kestra]


def _database_status(host: Host) -> ServiceStatus:
    status = POSTGRES.status(host)
    if status.container == "running" and "password authentication failed" in status.message:
        differs = f"{DATABASE_PASSWORD} is not the password that the database was first started with: {status.message}"
        return status.model_copy(update={"state": ServiceState.FAILED, "message": differs})
    return status


def _judge(
    status: ServiceStatus, answered: probe.Answered, loss: str | None, just_healthy: bool
) -> tuple[ServiceState, str]:
    if answered.refused:
        return ServiceState.FAILED, answered.evidence.detail
    if loss:
        return ServiceState.DEGRADED, loss
    if status.state is not ServiceState.READY:
        return status.state, status.message
    if answered.evidence.verdict is Verdict.OK:
        version = versions.parse(answered.version or "")
        holes = "; its version has known holes: launcher doctor" if version and versions.holes(version) else ""
        return ServiceState.READY, f"running, healthy, and the API answers with our credentials{holes}"
    if just_healthy:
        return ServiceState.STARTING, f"running and healthy; {answered.evidence.detail} yet"
    return ServiceState.DEGRADED, f"running and healthy, but {answered.evidence.detail}"


def _just_healthy(host: Host) -> bool:
    """Whether the health check has passed only once so far; the API follows it by up to 5 s, the next check by 10."""
    container = KESTRA.container(host)
    detail = host.engine.detail(container.id) if container else None
    passed = [check.exit_code == 0 for check in detail.health_log] if detail is not None else []
    return passed.count(True) == 1 and passed[-1]


def _database_loss(host: Host, kestra_since: datetime | None) -> str | None:
    """What is wrong with the database as Kestra sees it, although Kestra may still answer."""
    database = POSTGRES.container(host)
    if database is None or database.state != "running":
        words = "has no container" if database is None else f"is {database.state}"
        return f"its database {POSTGRES.service} {words}"
    detail = host.engine.detail(database.id)
    if detail is None or detail.started_at is None or kestra_since is None or kestra_since >= detail.started_at:
        return None
    age = datetime.now(UTC) - detail.started_at
    if age < AFTER_DATABASE_START:
        ago = f"{max(0, round(age.total_seconds()))} s ago"
        advice = "if it stays so: launcher restart kestra"
        return f"it is older than its database's last start {ago} and may still end; {advice}"
    return None
