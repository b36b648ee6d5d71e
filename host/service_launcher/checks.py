"""`launcher doctor` and `launcher health`: print what the launcher has found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import click

from service_launcher.errors import UnknownService
from service_launcher.options import json_option

if TYPE_CHECKING:
    from service_launcher.health_records import DockerContainer, HealthReport
    from service_launcher.session import Session

MARKS = {"pass": ("✓", "green"), "warn": ("▲", "yellow"), "fail": ("✖", "red")}
SHAPES = {
    "ok": ("●", "green"),
    "degraded": ("▲", "yellow"),
    "down": ("✖", "red"),
    "skipped": ("-", "white"),
    "unmanaged": ("·", "white"),
}


@click.command()
@json_option
@click.pass_obj
def doctor(session: Session, as_json: bool) -> int:
    """What would hurt this installation now or later, each with a fix; changes nothing. Exit code 1 on a failure."""
    diagnosis = session.diagnosis()
    if as_json:
        click.echo(diagnosis.model_dump_json(indent=2))
    else:
        for finding in diagnosis.findings:
            mark, colour = MARKS[finding.verdict]
            click.echo(f"{click.style(f'{mark} {finding.verdict}', fg=colour)}  {finding.check}: {finding.summary}")
            if finding.fix and finding.verdict != "pass":
                click.echo(f"  ↳ try: {finding.fix}")
        verdicts = Counter[str](finding.verdict for finding in diagnosis.findings)
        click.echo(", ".join(f"{verdicts[verdict]} {verdict}" for verdict in MARKS))
    return 1 if diagnosis.verdict == "fail" else 0


class HealthUsageError(click.UsageError):
    """A usage error with an exit code that no health has: 2 means critical."""

    exit_code = 64


class HealthCommand(click.Command):
    """A command all of whose usage errors have that exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, but for the exit code."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise HealthUsageError(error.format_message(), ctx) from error


@click.command(cls=HealthCommand)
@click.option("--format", "form", type=click.Choice(["text", "json", "prometheus"]), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--services", "names", metavar="A,B", help="Only these services, by id or alias.")
@click.option("--containers-only", is_flag=True, help="Only the containers of the services.")
@click.option("--services-only", is_flag=True, help="Only the services, as their owners see them.")
@click.pass_obj
def health(
    session: Session,
    form: Literal["text", "json", "prometheus"],
    as_json: bool,
    names: str | None,
    containers_only: bool,
    services_only: bool,
) -> int:
    """The health of the services and their containers: exit code 0 healthy, 1 degraded, 2 critical."""
    chosen = [name.strip() for name in (names or "").split(",") if name.strip()]
    if containers_only and services_only:
        raise HealthUsageError("give --containers-only or --services-only, not both")
    if names is not None and not chosen:
        raise HealthUsageError("--services names no service")
    try:
        report = session.launcher.health(chosen, services=not containers_only, containers=not services_only)
    except UnknownService as error:
        raise HealthUsageError(error.summary) from error
    if as_json or form == "json":
        click.echo(report.model_dump_json(indent=2))
    elif form == "prometheus":
        from service_launcher.metrics import exposition

        click.echo(exposition(report), nl=False)
    else:
        for line in _lines(report):
            click.echo(line)
    return report.exit_code


def _lines(report: HealthReport) -> Iterator[str]:
    """The report for people, with the words and the numbers side by side."""
    checked = report.summary
    counts = f"{checked.services_checked} services, {checked.containers_checked} containers"
    overall = {"healthy": "green", "degraded": "yellow", "critical": "red"}[report.overall_health]
    health = click.style(report.overall_health, fg=overall, bold=True)
    yield f"{health}: {counts} checked at {report.timestamp:%H:%M:%S} UTC"
    if report.local_services:
        yield "Services:"
    for service in report.local_services:
        shape, colour = SHAPES[service.health]
        port = f"port {service.port}, " if service.port else ""
        words = click.style(f"{shape} {service.status}", fg=colour)
        yield f"  {words}  {service.name} ({port}{service.latency_seconds:.2f} s): {service.message}"
    if report.docker_containers:
        yield "Containers:"
    for container in report.docker_containers:
        yield f"  {container.name}: {container.status}, health {container.health}{_use(container)}"
    if report.databases:
        yield "Databases:"
    for database in report.databases:
        yield f"  {database.name}: {database.status}, at {database.host}" + (
            f":{database.port}" if database.port else ""
        )
    if report.remediation:
        yield "Try:"
    for remedy in report.remediation:
        yield f"  {remedy.target}: {'; '.join(remedy.actions)}"


def _use(container: DockerContainer) -> str:
    if container.cpu_percent is None or container.memory_bytes is None or container.memory_limit_bytes is None:
        return ""
    from rich.filesize import decimal

    memory, limit = decimal(container.memory_bytes), decimal(container.memory_limit_bytes)
    return f", processor {container.cpu_percent:g} % of one core, memory {memory} of {limit}"
