"""`launcher plugins`: what is installed and why it does not work, which are used, what they do, and a new one."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service_launcher.errors import ConfigurationError
from service_launcher.options import json_option
from service_launcher.printing import print_json, print_problems, print_table

if TYPE_CHECKING:
    from service_launcher.launcher import Launcher
    from service_launcher.plugins import HookCall, Plugin
    from service_launcher.session import Session

KINDS = ("compose", "probe", "process")


@click.group()
def plugins() -> None:
    """The installed plugins, and a new one."""


@plugins.command("list")
@json_option
@click.pass_obj
def list_(session: Session, as_json: bool) -> None:
    """Every plugin with its state and, if it does not work, the reason."""
    launcher = session.launcher
    found = [asdict(plugin) for plugin in launcher.plugins.found.values()]
    problems = launcher.plugins.problems
    if as_json:
        print_json({"plugins": found, "problems": [p.model_dump(mode="json") for p in problems]})
        return
    rows = [
        (p["name"], p["state"], f"{p['distribution']} {p['version']}", ", ".join(p["services"]), p["reason"])
        for p in found
    ]
    print_table(["PLUGIN", "STATE", "DISTRIBUTION", "SERVICES", "REASON"], rows)
    print_problems(problems)


@plugins.command()
@click.argument("name", metavar="PLUGIN")
@json_option
@click.pass_obj
def info(session: Session, name: str, as_json: bool) -> None:
    """Where a plugin comes from, what it answers, and what is wrong with it."""
    launcher = session.launcher
    plugin = _known(launcher, name)
    variables = launcher.plugins.variables().get(name, [])
    commands = [n for n, (owner, _) in launcher.plugins.commands().items() if owner == name]
    told = asdict(plugin) | {
        "variables": [variable.name for variable in variables],
        "commands": commands,
        "copies": launcher.plugins.copies(name),
    }
    problems = launcher.plugin_problems(plugin.name)
    if as_json:
        print_json(told | {"problems": [p.model_dump(mode="json") for p in problems]})
        return
    for key, value in told.items():
        if value:
            words = ", ".join(value) if isinstance(value, list | tuple) else value
            click.echo(f"{key.replace('_', ' ') + ':':14}{words}")
    print_problems(problems)


@plugins.command()
@click.argument("names", nargs=-1, metavar="[PLUGIN]...")
@json_option
@click.pass_obj
def check(session: Session, names: tuple[str, ...], as_json: bool) -> int:
    """Whether plugins work, with the sentence that mends each that does not; policy warnings change no exit code."""
    launcher = session.launcher
    chosen = [_known(launcher, name) for name in names] or list(launcher.plugins.found.values())
    launcher.plugins.variables()
    launcher.plugins.commands()
    found = {plugin.name: launcher.plugin_problems(plugin.name) for plugin in chosen}
    if not names:  # such as two that claim one service
        shown = {problem.summary for problems in found.values() for problem in problems}
        found[""] = [p for p in launcher.plugins.problems if p.summary not in shown]
    if as_json:
        print_json({name: [p.model_dump(mode="json") for p in problems] for name, problems in found.items() if name})
    else:
        for plugin in chosen:
            well = not found[plugin.name] and plugin.state == "active"
            click.echo(f"{'✓' if well else '•'} {plugin.name}: {plugin.state}, {plugin.distribution} {plugin.version}")
            print_problems(found[plugin.name])
        print_problems(found.get("", []))
    return int(any(p.severity == "error" for problems in found.values() for p in problems))


@plugins.command()
@click.argument("name", metavar="PLUGIN")
@click.pass_obj
def enable(session: Session, name: str) -> None:
    """Use a plugin (config/plugins.toml); imports none."""
    _select(session, name, enabled=True)


@plugins.command()
@click.argument("name", metavar="PLUGIN")
@click.pass_obj
def disable(session: Session, name: str) -> None:
    """Leave a plugin out (config/plugins.toml); imports none, so that it works whatever the plugin does."""
    _select(session, name, enabled=False)


@plugins.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND [ARGUMENT]...")
@click.pass_context
def trace(ctx: click.Context, command: tuple[str, ...]) -> Any:
    """Run another launcher command and print each hook call to stderr: duration, plugin, hook, answer.

    launcher plugins trace status --json
    """

    session: Session = ctx.obj
    redact = session.redactor()  # before any plugin is imported

    def show(call: HookCall) -> None:
        about = f"({call.service})" if call.service else ""
        words = redact(call.failure or _short(call))
        mark = "✖" if call.failure else "→"
        click.echo(f"{call.seconds * 1000:9.1f} ms  {call.plugin}  {call.hook}{about} {mark} {words}", err=True)

    session.on_call = show
    top = ctx.find_root()
    options = ["--root", session.root] if session.root else []
    with top.command.make_context(top.info_name, [*options, *command], obj=session) as inner:
        return top.command.invoke(inner)


@plugins.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="compose",
    show_default=True,
    help="compose: described by data; probe: with a probe and commands of its own; process: no container.",
)
@click.option("--image", default="nginx:1.27", show_default=True, help="The image of the service.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535), help="The service's own port.")
@click.option("--health", default="", metavar="COMMAND", help="The health check's command inside the container.")
@click.option("--into", default=".", type=click.Path(file_okay=False, path_type=Path), help="The folder it is made in.")
def new(name: str, kind: str, image: str, port: int, health: str, into: Path) -> None:
    """Make a distribution with a plugin, its tests and its CI in a new folder launcher-NAME."""
    from service_launcher import scaffold

    folder = scaffold.make(name, kind, into, image=image, port=port, health=health)
    click.echo(f"{folder}: a plugin of the kind {kind}. Next:\n")
    click.echo(f"  cd {folder}\n  pip install --editable '.[test]'\n  python -m pytest")


def _select(session: Session, name: str, *, enabled: bool) -> None:
    from service_launcher import selection, settings
    from service_launcher.hookspecs import ENTRY_POINTS

    path = settings.find_root(session.root) / selection.FILE
    installed = {point.name for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    chosen = selection.read(path)
    if name not in {*installed, *chosen.disabled, *(chosen.only or ())}:
        raise ConfigurationError(
            f"no plugin is named {name} (installed: {', '.join(sorted(installed)) or 'none'})", "launcher plugins list"
        )
    changed = selection.change(path, name, enabled=enabled)
    word = "enabled" if enabled else "disabled"
    click.echo(f"{name}: {word} in {selection.FILE}" if changed else f"{name}: {word} already")


def _known(launcher: Launcher, name: str) -> Plugin:
    if name not in launcher.plugins.found:
        installed = ", ".join(launcher.plugins.found) or "none"
        raise ConfigurationError(f"no plugin is named {name} (installed: {installed})", "launcher plugins list")
    return launcher.plugins.found[name]


def _short(call: HookCall) -> str:
    words = getattr(call.answer, "__name__", "loaded") if call.hook == "load" else repr(call.answer)
    return words if len(words) <= 300 else f"{words[:300]}… ({len(words)} characters)"
