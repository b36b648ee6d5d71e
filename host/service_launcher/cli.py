"""The `launcher` command: prints what the launcher says, and decides nothing."""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from service_launcher.checks import doctor, health
from service_launcher.errors import EngineUnavailable, LauncherError
from service_launcher.manifest_commands import manifest
from service_launcher.models import now
from service_launcher.options import EXPRESSION, MOMENT, json_option, names_argument, phase_option
from service_launcher.plugin_commands import plugins
from service_launcher.printing import print_json, print_problems, print_table
from service_launcher.serving import open_, serve
from service_launcher.session import Session
from service_launcher.stacks import stacks
from service_launcher.wording import event_line, explanation_lines, log_line, status_lines

if TYPE_CHECKING:
    from service_launcher.installation import Installation
    from service_launcher.launcher import Launcher
    from service_launcher.models import Action, Event, OperationReport
    from service_launcher.observation import Reading


class Commands(click.Group):
    """The host's commands, and those of the plugins, which can take none of the host's names."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The host's commands, then the plugins'; without an installation, as for --help, the host's alone."""
        own = super().list_commands(ctx)
        try:
            return [*own, *sorted(self._of_plugins(ctx).keys() - self.commands.keys())]
        except LauncherError:
            return own

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The host's command, else a plugin's. Raises LauncherError where nobody can tell whether there is one."""
        return super().get_command(ctx, name) or self._of_plugins(ctx).get(name)

    def _of_plugins(self, ctx: click.Context) -> Mapping[str, click.Command]:
        session = ctx.ensure_object(Session)
        session.root = session.root or ctx.params.get("root")
        return session.plugin_commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--root", metavar="FOLDER", help="The installation (else LAUNCHER_ROOT, else found from here upwards).")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="service-launcher", prog_name="launcher")
@click.pass_context
def launcher(ctx: click.Context, root: str | None, debug: bool) -> None:
    """Start, stop and watch the services of an installation on Docker Compose."""
    ctx.ensure_object(Session).root = root
    if os.environ.get("NO_COLOR"):
        ctx.color = False


@launcher.command("list")
@json_option
@click.pass_obj
def list_(session: Session, as_json: bool) -> None:
    """Every service with its stack, its owner and what it needs; asks neither Docker nor the services."""
    entries = session.launcher.entries.values()
    if as_json:
        print_json({"services": [e.model_dump(mode="json", exclude_none=True) for e in entries]})
        return
    rows = [
        (e.stack or "", e.id, e.plugin or "not managed here", ", ".join(e.depends_on), ", ".join(e.aliases))
        for e in entries
    ]
    print_table(["STACK", "SERVICE", "PLUGIN", "NEEDS", "ALIASES"], rows)


@launcher.command()
@names_argument
@phase_option
@click.option("--watch", is_flag=True, help="Print again after each change, until interrupted; with --json one a line.")
@json_option
@click.pass_obj
def status(session: Session, names: tuple[str, ...], phases: tuple[str, ...], watch: bool, as_json: bool) -> int:
    """What is true of the services now, with the evidence. Exit code 5 when the engine is silent."""
    if watch:
        # It records nothing: one that is held up by its terminal would be deaf, and keep others from recording.
        for reading in _changed(_live(session.installation(), names, phases, record=False)):
            if as_json:
                print_json(_as_json(reading), indent=None)
            else:
                click.echo(f"--- {now():%Y-%m-%d %H:%M:%S} UTC")
                _print_reading(reading)
    reading = session.launcher.status(names, phases)
    if as_json:
        print_json(_as_json(reading))
    else:
        _print_reading(reading)
    return reading.engine_error.exit_code if reading.engine_error else 0


@launcher.command()
@click.argument("name", metavar="SERVICE")
@json_option
@click.pass_obj
def explain(session: Session, name: str, as_json: bool) -> int:
    """Why a service is not ready: the cause, what shows it, the next command. Exit code 5 when the engine is silent."""
    told = session.launcher.explain(name)
    if as_json:
        print_json(told.model_dump(mode="json"))
    else:
        click.echo("\n".join(explanation_lines(told)))
    return EngineUnavailable.exit_code if told.engine_silent else 0


@launcher.command()
@click.argument("name", metavar="[SERVICE]", required=False)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="How many of the last events.")
@click.option("--follow", "-f", is_flag=True, help="Go on until interrupted.")
@json_option
@click.pass_obj
def events(session: Session, name: str | None, limit: int, follow: bool, as_json: bool) -> None:
    """What happened: operations, deaths of containers, changes of health and state; with --json one a line."""

    def show(event: Event) -> None:
        click.echo(event.model_dump_json() if as_json else event_line(event))

    coming = session.launcher.recorded_events(threading.Event(), name) if follow else ()
    if follow:  # somebody has to record meanwhile what the engine tells
        arguments = (_live(session.installation()), 0)
        threading.Thread(target=deque, args=arguments, daemon=True, name="event recorder").start()
    for event in session.launcher.events(name, limit):
        show(event)
    for event in coming:
        show(event)


@launcher.command()
@names_argument
@phase_option
@json_option
@click.pass_obj
def start(session: Session, names: tuple[str, ...], phases: tuple[str, ...], as_json: bool) -> int:
    """Start services and what they need, and wait until they are ready."""
    return _operate(session, "start", names, phases, as_json)


@launcher.command()
@names_argument
@phase_option
@json_option
@click.pass_obj
def stop(session: Session, names: tuple[str, ...], phases: tuple[str, ...], as_json: bool) -> int:
    """Stop services, after everything that depends on them; data stays."""
    return _operate(session, "stop", names, phases, as_json)


@launcher.command()
@names_argument
@phase_option
@json_option
@click.pass_obj
def restart(session: Session, names: tuple[str, ...], phases: tuple[str, ...], as_json: bool) -> int:
    """Stop services with what depends on them, and start all of these again."""
    return _operate(session, "restart", names, phases, as_json)


@launcher.command()
@click.argument("action", type=click.Choice(["start", "stop", "restart"]), default="start")
@names_argument
@phase_option
@json_option
@click.pass_obj
def plan(session: Session, action: Action, names: tuple[str, ...], phases: tuple[str, ...], as_json: bool) -> None:
    """What an operation would do now, and why; changes nothing."""
    made = session.launcher.plan(action, names, phases)
    if as_json:
        print_json(made.model_dump(mode="json"))
        return
    print_table(["DO", "SERVICE", "BECAUSE"], [(step.do, step.service, step.reason) for step in made.steps])


@launcher.command()
@click.pass_obj
def watch(session: Session) -> None:
    """Bring back what was up after a crash of the engine or the machine, until interrupted; prints each event.

    What an operator stopped stays down; a service that does not come back is tried five times.
    """

    def show(event: Event) -> None:
        click.echo(event_line(event))

    installation = session.installation("watch")
    while True:
        launcher, _ = installation.readable()

        def outdated(present: Launcher = launcher) -> bool:
            return installation.readable()[0] is not present

        launcher.watch(threading.Event(), show, outdated)


@launcher.command()
@names_argument
@click.option(
    "--tail", default=100, show_default=True, type=click.IntRange(0, 100_000), help="How many of the last lines."
)
@click.option("--since", type=MOMENT, metavar="TIME", help="Only from then on: 10m, 2h, 1d, or 2026-01-31T12:00:00.")
@click.option("--grep", type=EXPRESSION, metavar="REGEX", help="Only lines in which this is found.")
@click.option("--follow", "-f", is_flag=True, help="Go on until interrupted, also over restarts.")
@json_option
@click.pass_obj
def logs(
    session: Session,
    names: tuple[str, ...],
    tail: int,
    since: datetime | None,
    grep: re.Pattern[str] | None,
    follow: bool,
    as_json: bool,
) -> None:
    """The output of services' containers, several merged by time, secrets masked; with --json one a line."""
    several = len(names) != 1
    found = session.launcher.logs(names, tail, since, grep, threading.Event() if follow else None)
    lines = (line.model_dump_json() if as_json else log_line(line, several) for line in found)
    for line in lines:
        # Each write costs as much as reading a line; who follows sees each one at once.
        click.echo(line if follow else "\n".join([line, *islice(lines, 999)]))


@launcher.command()
@click.option(
    "--default",
    "defaults",
    multiple=True,
    metavar="KEY=VALUE",
    help="Also add this variable if it is absent; repeatable.",
)
@click.option("--file", default=".env", type=click.Choice([".env", ".env.local"]), help="Where --default writes to.")
@click.pass_obj
def init(session: Session, defaults: tuple[str, ...], file: str) -> None:
    """Write what is missing into .env (0600, generated passwords) and create missing networks.

    Nothing that is there is changed.
    """
    pairs = dict(pair.partition("=")[::2] for pair in defaults)
    if pairs:
        for line in session.launcher.add_variables({key: (value, "") for key, value in pairs.items()}, file):
            click.echo(line)
    for line in session.launcher.initialise():
        click.echo(line)


@launcher.command()
@click.argument("name", required=False)
@click.option("--source", is_flag=True, help="With NAME: where the value came from instead of the value.")
@json_option
@click.pass_obj
def config(session: Session, name: str | None, source: bool, as_json: bool) -> None:
    """The effective value of each variable and where it came from, secrets masked; one NAME prints its bare value."""
    settings = session.launcher.config()
    if name is not None:
        chosen = [setting for setting in settings if setting.name == name]
        if not chosen:
            raise click.UsageError(f"{name} is read by no plugin")
        click.echo(chosen[0].source if source else chosen[0].value or "")
    elif as_json:
        print_json({"variables": [vars(setting) for setting in settings]})
    else:
        print_table(
            ["VARIABLE", "VALUE", "FROM", "MEANING"], [(s.name, s.value or "", s.source, s.meaning) for s in settings]
        )
        print_problems(session.launcher.plugins.problems)


launcher.add_command(stacks)
launcher.add_command(doctor)
launcher.add_command(health)
launcher.add_command(serve)
launcher.add_command(open_)
launcher.add_command(plugins)
launcher.add_command(manifest)


def _operate(session: Session, action: Action, names: Sequence[str], phases: Sequence[str], as_json: bool) -> int:
    from service_launcher.progress import shown

    if names and phases:
        raise click.UsageError("give services or --phase, not both")
    operate = {"start": session.launcher.start, "stop": session.launcher.stop, "restart": session.launcher.restart}[
        action
    ]
    with shown(quiet=as_json) as listener:
        report = operate(names, phases, listener)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        _print_report(report)
    return report.exit_code


def _print_report(report: OperationReport) -> None:
    """Each service's outcome, what to try where one failed, and the links of what is ready."""
    for outcome in report.outcomes:
        took = f" ({outcome.seconds:.1f} s)" if outcome.seconds >= 0.05 else ""
        mark, result = "✓" if outcome.good else "❌", outcome.result.replace("_", " ")
        line = f"{mark} {outcome.service}: {result}{took}: {outcome.message}"
        click.secho(line, fg=None if outcome.good else "red", err=not outcome.good)
        for problem in outcome.problems:
            if problem.fix:
                click.echo(f"  ↳ try: {problem.fix}", err=True)
        if outcome.explanation:
            for told in explanation_lines(outcome.explanation)[1:]:
                click.echo(told, err=True)
        elif outcome.result == "failed":
            click.echo(f"  ↳ try: launcher status {outcome.service}; launcher logs {outcome.service}", err=True)
        for link in outcome.status.links if outcome.status else ():
            click.echo(f"  ↳ {link.title}: {link.url}")
    print_problems(report.problems)


def _as_json(reading: Reading) -> dict[str, Any]:
    error = reading.engine_error
    return {
        "services": [s.model_dump(mode="json") for s in reading.statuses],
        "problems": [p.model_dump(mode="json") for p in reading.problems],
        "engine": {"answers": error is None, "error": error.summary if error else None},
    }


def _print_reading(reading: Reading) -> None:
    for line in status_lines(reading.statuses):
        click.echo(line)
    print_problems(reading.problems)
    if error := reading.engine_error:
        click.echo(f"Error: {error.summary}\nTry:   {error.fix}", err=True)


def _live(
    installation: Installation, names: Iterable[str] = (), phases: Iterable[str] = (), record: bool = True
) -> Iterator[Reading]:
    for _, _, reading in installation.live(threading.Event(), names, phases, record):
        yield reading


def _changed(readings: Iterable[Reading]) -> Iterator[Reading]:
    """The first reading, and each in which a state, its message or its link differs from the one before."""
    shown = None
    for reading in readings:
        seen = [(s.id, s.state, s.message, s.links) for s in reading.statuses]
        if seen != shown:
            shown = seen
            yield reading
