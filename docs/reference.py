"""Writes docs/reference from the code: commands, JSON, exit codes, environment variables, events and states.

`scripts/reference` runs it; with `--check` it names what is stale and exits with 1. Nothing is written by hand but
the meanings below, and a word without a meaning is an error.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import inspect
import json
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import click
from pydantic import BaseModel
from service_launcher import errors, health_records, hookspecs, models
from service_launcher.checks import HealthUsageError
from service_launcher.cli import launcher as root_command
from service_launcher.launcher import Launcher
from service_launcher.session import Session
from service_launcher.web.application import Api, table
from service_launcher.web.protection import Authority

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs/reference"
NOTE = "<!-- Written by scripts/reference from the code; changes belong there. -->\n"

#: What the launcher and the scripts read themselves, beside the variables of plugins.
OWN_VARIABLES = {
    "LAUNCHER_ROOT": ("launcher", "the folder of the installation (else found from the current one upwards)"),
    "LAUNCHER_ALLOW_DATA_MOVE": (
        "launcher",
        "ids of services, with commas, whose data may be left behind; for one start",
    ),
    "ALLOW_FREEZE_BYPASS": ("launcher", "`1` starts and stops by phase in spite of FREEZE-NOTICE.md"),
    "NO_COLOR": ("launcher", "set to anything: no colours"),
    "DOCKER_HOST": ("launcher, scripts", "address of the Docker Engine, as for `docker`"),
    "DOCKER_CONTEXT": ("launcher", "name of a docker context, as for `docker`; DOCKER_HOST wins"),
    "DOCKER_CONFIG": ("launcher", "folder of the configuration, as for `docker`; else `~/.docker`"),
    "SERVICE_LAUNCHER_PORT": ("launcher serve, launcher open", "the port of the API and the page; default 3500"),
    "STATUS_PORT": ("launcher serve, launcher open", "the same, where SERVICE_LAUNCHER_PORT is not set"),
    "PORT": ("launcher serve, launcher open", "the same, where neither is set"),
    "CORS_ORIGIN": ("launcher serve", "exact origins, with commas, whose pages may read what is open; default none"),
    "KESTRA_DIST": ("scripts/up, tools/images/build", "a release of Kestra (executable, jar or folder) to build from"),
    "LAUNCHER_CACHE": ("tools/images/build", "where built images are kept; default `~/.cache/service-launcher`"),
    "XDG_CACHE_HOME": ("tools/images/build", "where that default lies instead of `~/.cache`"),
    "DEBIAN_MIRROR": ("tools/engine, tools/images", "the Debian mirror, if not the machine's own"),
    "DEBIAN_SECURITY_MIRROR": ("tools/engine, tools/images", "the mirror of Debian's security updates, likewise"),
    "CI": ("scripts/check, scripts/test", "set to anything: install without asking, and leave no test out"),
}

EVENTS = {
    "operation.started": "A start, stop or restart begins; `action`, `services`.",
    "operation.finished": "It ended; `outcome` (succeeded, failed, cancelled), `exit_code`, `seconds`, `services`. "
    "For one whose launcher was killed the next operation writes it; `outcome` (failed), `message`.",
    "state.changed": "A service is in another state; `state` and, where known, `before`, `message`, `places` "
    "(where its data is), `image`, `image_id` or `requested` (somebody asked for it).",
    "container.died": "A container ended; `container`, `exit_code`.",
    "container.oom": "The kernel ended a process of a container for lack of memory; `container`.",
    "health.changed": "A container's health check changed its verdict; `container`, `health`.",
    "plugin.failed": "By the end of an operation a plugin had not loaded, or had raised, hung or answered nonsense; "
    "`plugin`, `message`.",
    "preflight.refused": "A service was not started because of what preflight found; `message`.",
}

EXIT_CODES = {
    0: "everything asked for is so; what runs already and an explicit skip count. Reading commands: they could read",
    1: "a service failed or was not ready in time; `doctor` found a failure; `manifest check` found a difference",
    2: "usage or configuration error, nothing was changed",
    3: "refused before anything was changed: preflight, credentials, a freeze",
    4: "another operation holds the project",
    5: "the Docker Engine does not answer; `status` has printed `unknown`",
    64: "`health` only: a usage error, since 2 means critical there",
    130: "interrupted by Ctrl-C",
    143: "ended by SIGTERM",
}

#: Which command prints which record with --json; a list of names is an object with these keys.
PRINTED: Mapping[str, str] = {
    "launcher list": '`{"services": [ManifestEntry]}`',
    "launcher status": '`{"services": [ServiceStatus], "problems": [Problem], "engine": {"answers", "error"}}`',
    "launcher status --watch": "the same, one object a line, after each change",
    "launcher plan": "`Plan`",
    "launcher start": "`OperationReport`",
    "launcher stop": "`OperationReport`",
    "launcher restart": "`OperationReport`",
    "launcher explain": "`Explanation`",
    "launcher events": "`Event`, one a line",
    "launcher logs": "`LogLine`, one a line",
    "launcher doctor": "`Diagnosis`",
    "launcher health": "`HealthReport`",
    "launcher config": '`{"variables": [{"name", "value", "source", "meaning"}]}`',
    "launcher manifest check": '`{"problems": [Problem]}`',
    "launcher manifest schema": "the JSON Schema of config/services-manifest.json",
    "launcher plugins list": '`{"plugins": […], "problems": [Problem]}`',
    "launcher plugins info": "what the list says of one plugin, with its variables, commands and problems",
    "launcher plugins check": "`{PLUGIN: [Problem]}`",
}

RECORDS: tuple[type[BaseModel], ...] = (
    models.ManifestEntry,
    models.ServiceStatus,
    models.Problem,
    models.Plan,
    models.OperationReport,
    models.Explanation,
    models.Event,
    models.LogLine,
    models.Diagnosis,
    health_records.HealthReport,
)


def walk(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, click.Context]]:
    """Every command below one, with its full name and the context in which it describes itself."""
    context = click.Context(
        command, parent, name, terminal_width=100, max_content_width=100, **command.context_settings
    )
    if parent is None:
        context.ensure_object(Session).root = str(ROOT)
    yield context.command_path, context
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            if (found := command.get_command(context, child)) is not None:
                yield from walk(found, child, context)


def commands() -> str:
    """What each command says of itself."""
    parts = ["# Commands\n", NOTE, "`kestra` comes from the Kestra plugin, everything else from the host.\n"]
    for path, context in walk(root_command, "launcher"):
        help_text = context.command.get_help(context)
        parts.append(f"{'##' if ' ' in path else '## The command'} `{path}`\n\n```text\n{help_text}\n```\n")
    return "\n".join(parts)


def json_page() -> str:
    """Which command prints which record, and what the records mean."""
    rows = [(f"`{command}`", record) for command, record in PRINTED.items()]
    parts = [
        "# JSON\n",
        NOTE,
        "What `--json` prints. The schemas are JSON Schema 2020-12; times are UTC in ISO 8601, secrets are masked.\n",
        _table(("command", "record"), rows),
        "## Records\n",
    ]
    for record in RECORDS:
        parts.append(f"### {record.__name__}\n\n{inspect.getdoc(record)}\n\n[Schema](schemas/{record.__name__}.json)\n")
    parts.append("### The manifest\n\n[Schema](schemas/services-manifest.json) of config/services-manifest.json\n")
    return "\n".join(parts)


def schemas() -> dict[str, str]:
    """The JSON Schema of each record and of the manifest, by file name."""
    found = {f"{r.__name__}.json": r.model_json_schema(mode="serialization") for r in RECORDS}
    found["services-manifest.json"] = Launcher.manifest_schema()
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in found.items()}


def exit_codes() -> str:
    """The codes and their meanings, and which error ends with which."""

    def below(error: type[errors.LauncherError]) -> Iterator[type[errors.LauncherError]]:
        yield error
        for child in error.__subclasses__():
            yield from below(child)

    tree = [e for e in below(errors.LauncherError) if e.__module__ == errors.__name__]
    used = {e.exit_code for e in tree} | {HealthUsageError.exit_code, 0, 2, 128 + 2, 128 + 15}
    assert used - {errors.LauncherError.exit_code} <= EXIT_CODES.keys(), "an exit code without a meaning"
    rows = [(str(code), meaning) for code, meaning in EXIT_CODES.items()]
    errors_rows = [
        *((f"`{e.__name__}`", str(e.exit_code), _first(inspect.getdoc(e))) for e in tree),
        ("`Interrupted`", "130, 143", _first(inspect.getdoc(errors.Interrupted))),
    ]
    health = "`launcher health` and scripts/maintenance/health-check-all.sh: 0 healthy, 1 degraded, 2 critical.\n"
    return "\n".join(
        [
            "# Exit codes\n",
            NOTE,
            _table(("code", "meaning"), rows),
            health,
            "## Errors\n",
            _table(("error", "code", "meaning"), errors_rows),
        ]
    )


def http() -> str:
    """Every route with the authority it needs and what it answers."""
    routes = [r for r in table(object.__new__(Api)) if r.include_in_schema]
    rows = [
        (f"`{' '.join(sorted(r.methods))} {r.path}`", str(r.authority.value), _first(inspect.getdoc(r.endpoint)))
        for r in routes
    ]
    return "\n".join(
        [
            "# HTTP API\n",
            NOTE,
            "`launcher serve` answers on 127.0.0.1 and [::1], port 3500 unless a variable says otherwise. A token is "
            "sent as `Authorization: Bearer …`; the operator's lies in `.launcher/token`, the viewer's in "
            "`.launcher/token.view`, and `launcher open` signs a browser in. `/openapi.json` is the whole "
            "description.\n",
            _table(("authority", "what a caller needs"), _commented(Authority)),
            "## Routes\n",
            _table(("route", "authority", "answer"), rows),
        ]
    )


def plugin_variables() -> Iterator[models.Variable]:
    """The variables of the plugins in this repository, as they declare them."""
    seen = set()
    for point in importlib.metadata.entry_points(group=hookspecs.ENTRY_POINTS):
        if point.dist is not None and point.dist.name == "launcher-kestra":
            for variable in point.load().launcher_variables():
                if variable.name not in seen:
                    seen.add(variable.name)
                    yield variable


def variables() -> str:
    """Every variable that is read, by whom, its default and its meaning."""
    rows = [
        (f"`{v.name}`", f"`{v.default}`" if v.default else "required" if v.required else "", _sentence(v.meaning))
        for v in plugin_variables()
    ]
    own = [(f"`{name}`", by, meaning) for name, (by, meaning) in OWN_VARIABLES.items()]
    return "\n".join(
        [
            "# Environment variables\n",
            NOTE,
            "Lowest precedence first: `config/.env.defaults`, `.env.shared`, `.env`, `.env.local`, the process "
            "environment. Accepted are `KEY=value` and `KEY='value'`, one a line; the files are never executed.\n",
            "## Of the services\n",
            _table(("variable", "default", "meaning"), rows),
            "## Of the launcher and the scripts\n",
            "Read from the process environment; most make no sense in a file.\n",
            _table(("variable", "read by", "meaning"), own),
        ]
    )


def events() -> str:
    """What is recorded, and the words for states and evidence."""
    words = typing.get_args(models.Event.model_fields["what"].annotation)
    source = "".join(
        path.read_text() for path in (ROOT / "host/service_launcher").glob("*.py") if path.name != "models.py"
    )
    rows = [
        (f"`{word}`", EVENTS[word] + ("" if f'"{word}"' in source else " Reserved: nothing records it yet."))
        for word in words
    ]
    return "\n".join(
        [
            "# Events and states\n",
            NOTE,
            "Events stand in `.launcher/events.jsonl`, one JSON object a line "
            "([schema](schemas/Event.json)), and are told to plugins by `launcher_event`. `actor` is who acted: a user "
            "of the command line, `watch`, or the engine. What the engine tells (deaths, lack of memory, health) is "
            "recorded only while `launcher watch`, `launcher serve` or `launcher events --follow` runs; "
            "it has the time at which it happened, which may be a moment before that of the line above.\n",
            "At 5 MB the file becomes `events.1.jsonl`, in place of the one before; of that one, what tells which "
            "services are wanted up and where their data is stays in `events.kept.jsonl`.\n",
            _table(("what", "when, and its detail"), rows),
            "## States of a service\n",
            _table(("state", "meaning"), _commented(models.ServiceState)),
            "## Verdicts of a layer of evidence\n",
            _table(("verdict", "meaning"), _commented(models.Verdict)),
        ]
    )


def _commented(words: type) -> list[tuple[str, str]]:
    """The values of an enumeration with the comments that stand beside them in the code."""
    found = re.findall(r'^\s+[A-Z_]+ = "(\w+)"(?:  # (.*))?$', inspect.getsource(words), re.MULTILINE)
    return [(f"`{value}`", meaning) for value, meaning in found]


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (heads, *rows)]
    lines.insert(1, "| " + " | ".join("---" for _ in heads) + " |")
    return "\n".join(lines) + "\n"


def _first(text: str | None) -> str:
    return (text or "").splitlines()[0]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def rendered() -> dict[Path, str]:
    """Every file of the reference with what belongs into it."""
    pages = {
        "commands.md": commands(),
        "json.md": json_page(),
        "exit-codes.md": exit_codes(),
        "variables.md": variables(),
        "events.md": events(),
        "http.md": http(),
    }
    files = pages | {f"schemas/{name}": text for name, text in schemas().items()}
    return {FOLDER / name: text.rstrip("\n") + "\n" for name, text in files.items()}


def stale() -> list[str]:
    """The files that differ from what the code says now, and those that it no longer has."""
    wanted = rendered()
    present = {path for path in FOLDER.rglob("*") if path.is_file()}
    differing = {path for path, text in wanted.items() if path not in present or path.read_text() != text}
    return sorted(str(path.relative_to(ROOT)) for path in differing | (present - wanted.keys()))


def main() -> None:
    """Write the files, or only compare them."""
    parser = argparse.ArgumentParser(description="Write docs/reference from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when something is stale")
    if parser.parse_args().check:
        if found := stale():
            lines = (f"{name} is not what the code says\n" for name in found)
            parser.exit(1, "".join(lines) + "Try:   scripts/reference\n")
        return
    files = rendered()
    for path in (p for p in FOLDER.rglob("*") if p.is_file()):
        path.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
