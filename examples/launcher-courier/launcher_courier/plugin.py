"""Courier: a service with a probe and commands of its own, which also tells a webhook what happens to services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service_launcher import (
    ComposePlugin,
    ComposeService,
    Environment,
    Event,
    Evidence,
    Host,
    Installation,
    LauncherError,
    ManifestEntry,
    ServiceState,
    ServiceStatus,
    Variable,
    Verdict,
    hookimpl,
    with_application,
)

if TYPE_CHECKING:
    import click

PORT = 8080
WEBHOOK = "COURIER_WEBHOOK_URL"
TOLD = ("container.died", "container.oom", "preflight.refused")  # an operator's own starts and stops are no news

SERVICE = ComposeService(
    id="courier",
    title="Courier",
    stack="courier",
    project="courier",
    service="courier",
    file="tools/compose/docker-compose.courier.yml",
    package="launcher_courier",
    path="tools/courier",
    variables=(
        Variable(name="COURIER_IMAGE", default="local/kestra-rehearsal:1", meaning="image of Courier"),
        Variable(name="COURIER_PORT", default="8080", meaning="port of Courier"),
        Variable(name=WEBHOOK, meaning="where events are posted as JSON (unset: nowhere)"),
    ),
    published={PORT: "COURIER_PORT"},
    link_port=PORT,
    start_seconds=60,
)

_services = ComposePlugin(SERVICE)
launcher_manifest_entries = _services.launcher_manifest_entries
launcher_variables = _services.launcher_variables
launcher_preflight = _services.launcher_preflight
launcher_findings = _services.launcher_findings
launcher_drift = _services.launcher_drift
launcher_prepare = _services.launcher_prepare
launcher_start = _services.launcher_start
launcher_stop = _services.launcher_stop


@hookimpl
def launcher_status(entry: ManifestEntry, host: Host) -> ServiceStatus:
    """Container and health check, and then the service's own answer."""
    status = SERVICE.status(host)
    address = SERVICE.address(status, PORT)
    if status.state is not ServiceState.READY or address is None:
        return status
    answer = host.probe_http(f"http://{address[0]}:{address[1]}/", seconds=1.0)
    if answer.status is not None and answer.status < 500:  # a redirection to a login is an answer, too
        evidence = Evidence(layer="application", verdict=Verdict.OK, detail=f"it answers {answer.status}")
        return with_application(status, evidence, ServiceState.READY, "running, and it answers")
    words = answer.failure or f"it answers {answer.status}"
    evidence = Evidence(layer="application", verdict=Verdict.BAD, detail=words)
    return with_application(status, evidence, ServiceState.DEGRADED, f"running, but: {words}")


@hookimpl
def launcher_event(event: Event, env: Environment) -> None:
    """Post what an operator would want to know to the webhook; the host cuts this off after 1 s."""
    address = env.get(WEBHOOK)
    if address and event.what in TOLD:
        _post(address, event.model_dump_json().encode())


@hookimpl
def launcher_commands() -> list[click.Command]:
    """`launcher courier ping` and `launcher courier notify`."""
    import click

    @click.group()
    def courier() -> None:
        """Courier: ask it, and try its webhook."""

    @courier.command()
    @click.pass_obj
    def ping(session: Any) -> int:
        """Ask the service itself; exit code 1 when it does not answer."""
        installation: Installation = session.launcher
        with installation.host(SERVICE.id) as host:
            status = launcher_status(SERVICE.entry(), host)
        click.echo(f"{status.state}: {status.message}")
        return 0 if status.state is ServiceState.READY else 1

    @courier.command()
    @click.argument("words")
    @click.pass_obj
    def notify(session: Any, words: str) -> int:
        """Post WORDS to the webhook, to see whether it is there."""
        address = session.launcher.environment.get(WEBHOOK)
        if not address:
            raise LauncherError(f"{WEBHOOK} is not set", f"{WEBHOOK}=http://… in .env")
        _post(address, words.encode())
        click.echo("posted")
        return 0

    return [courier]


def _post(address: str, body: bytes) -> None:
    from urllib.request import Request, urlopen

    with urlopen(Request(address, data=body, headers={"Content-Type": "application/json"}), timeout=0.8):
        pass
