"""`launcher manifest`: config/services-manifest.json compared with the plugins, written, and described."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from service_launcher.options import json_option
from service_launcher.printing import print_json, print_problems

if TYPE_CHECKING:
    from service_launcher.session import Session


@click.group()
def manifest() -> None:
    """Check, write and describe config/services-manifest.json."""


@manifest.command()
@json_option
@click.pass_obj
def check(session: Session, as_json: bool) -> int:
    """Compare the file with the plugins and the tree; exit code 1 when they differ."""
    found = session.launcher.manifest_drift()
    if as_json:
        print_json({"problems": [p.model_dump(mode="json") for p in found]})
    else:
        print_problems(found)
        if not found:
            click.echo("the manifest agrees with the plugins")
    return 1 if found else 0


@manifest.command()
@click.pass_obj
def sync(session: Session) -> None:
    """Write the plugins' entries into the file; everything else in it stays."""
    changed = session.launcher.manifest_sync()
    click.echo(f"written: {', '.join(changed)}" if changed else "nothing to write")


@manifest.command()
def schema() -> None:
    """Print the JSON Schema of the file."""
    from service_launcher.launcher import Launcher

    print_json(Launcher.manifest_schema())
