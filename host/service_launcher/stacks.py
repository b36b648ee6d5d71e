"""`launcher stacks`: what scripts/docker/start-stacks.sh and stop-stacks.sh show, in the shape that operators know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from service_launcher.errors import UnknownPhase
from service_launcher.models import ServiceState
from service_launcher.progress import shown

if TYPE_CHECKING:
    from service_launcher.launcher import Launcher
    from service_launcher.models import OperationReport, ServiceStatus
    from service_launcher.session import Session

phases_option = click.option(
    "--phase", "phases", multiple=True, metavar="NAME", help="Only this stack; repeatable; `all`."
)
list_option = click.option("--list", "only_list", is_flag=True, help="List the phases and end; needs no Docker.")


@click.group()
def stacks() -> None:
    """Start and stop whole stacks; scripts/docker/*.sh delegate to this."""


@stacks.command()
@phases_option
@list_option
@click.pass_obj
def start(session: Session, phases: tuple[str, ...], only_list: bool) -> int:
    """Start the stacks one after the other and wait until their services are ready."""
    launcher = session.launcher
    chosen = _chosen(launcher, phases)
    if only_list:
        return _list(launcher, chosen)
    _banner(launcher, "🚀 Starting", phases)
    codes = _one_by_one(chosen, launcher.start, "start", "started")
    statuses = launcher.status(phases=chosen).statuses
    click.echo("\n📊 Container Status:")
    for status in statuses:
        words = f"{status.container}, {status.state}" if status.container else str(status.state)
        click.echo(f"  {status.container_name or status.id}: {words}: {status.message}")
    _addresses(launcher, statuses)
    if codes <= {0}:
        click.echo("\n✅ Stack startup complete")
    else:
        click.echo("\n❌ Stack startup incomplete; see above, or: launcher status", err=True)
    return _combined(codes)


@stacks.command()
@phases_option
@list_option
@click.pass_obj
def stop(session: Session, phases: tuple[str, ...], only_list: bool) -> int:
    """Stop the stacks in reverse order; data stays."""
    launcher = session.launcher
    chosen = list(reversed(_chosen(launcher, phases)))
    if only_list:
        return _list(launcher, chosen)
    _banner(launcher, "🛑 Stopping", phases)
    codes = _one_by_one(chosen, launcher.stop, "stop", "stopped")
    if codes <= {0}:
        click.echo("\n✅ Stack shutdown complete")
    return _combined(codes)


def _one_by_one(phases: Sequence[str], operate: Callable[..., OperationReport], verb: str, done: str) -> set[int]:
    """Carry out an operation for each phase in turn, say how each ended, and return the exit codes."""
    codes = set()
    for number, phase in enumerate(phases, start=1):
        title = f"{phase.title()} Stack"
        click.echo(f"\n📦 Stack {number}/{len(phases)}: {title}...")
        with shown() as listener:
            report = operate(phases=[phase], listener=listener)
        codes.add(report.exit_code)
        _outcomes(report)
        click.echo(f"✓ {title} {done}" if report.exit_code == 0 else f"❌ Failed to {verb} {title}")
    return codes


def _chosen(launcher: Launcher, phases: Sequence[str]) -> list[str]:
    known = launcher.graph.phases()
    launcher.select(phases=phases)  # an unknown phase is refused before anything is shown
    if not known:
        words = "no service is in any phase: neither a plugin nor the manifest names one with a stack"
        raise UnknownPhase(words, "launcher plugins list")
    return [phase for phase in known if not phases or "all" in phases or phase in phases]


def _list(launcher: Launcher, phases: Sequence[str]) -> int:
    for phase in phases:
        click.echo(f"{phase}: {', '.join(launcher.graph.phase(phase))}")
    return 0


def _banner(launcher: Launcher, verb: str, phases: Sequence[str]) -> None:
    line = "═" * 60
    which = "Selected Stacks" if phases else "All Stacks"
    click.echo(f"{line}\n{verb} {launcher.settings.root.name} - {which}\n{line}")


def _outcomes(report: OperationReport) -> None:
    for outcome in report.outcomes:
        click.echo(f"  ↳ {outcome.service}: {outcome.result.replace('_', ' ')}: {outcome.message}")
        for problem in outcome.problems:
            if problem.fix:
                click.echo(f"  ↳ try: {problem.fix}")
        if not outcome.good:
            click.echo(f"  ↳ try: launcher status {outcome.service}; launcher logs {outcome.service}")
    for problem in dict.fromkeys(report.problems):
        click.echo(f"  ↳ {problem.summary}" + (f"; try: {problem.fix}" if problem.fix else ""))


def _addresses(launcher: Launcher, statuses: Sequence[ServiceStatus]) -> None:
    if any(status.rehearsal for status in statuses):
        click.echo("\n⚠️  REHEARSAL: a stand-in is running, not the real service")
    groups: dict[str, list[str]] = {}
    for status in statuses:
        if status.state is ServiceState.READY:
            group = launcher.entries[status.id].type.title()
            groups.setdefault(group, []).extend(f"    {link.title}: {link.url}" for link in status.links)
    if any(groups.values()):
        click.echo("\n🌐 Access URLs")
    for group, lines in groups.items():
        if lines:
            click.echo("\n".join([f"  {group}:", *lines]))


def _combined(codes: set[int]) -> int:
    """The exit code of several stacks: their common one, else 1."""
    bad = codes - {0}
    return bad.pop() if len(bad) == 1 else int(bool(bad))
