"""`launcher serve` and `launcher open`: the HTTP API and the page as a process, and the way into it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service_launcher import atomic_file
from service_launcher.errors import ConfigurationError, LauncherError

if TYPE_CHECKING:
    from service_launcher.session import Session
    from service_launcher.settings import Settings

PORT = 3500
ASK_SECONDS = 5.0
LOG_BYTES = 5_000_000

port_option = click.option(
    "--port", type=click.IntRange(1, 65535), help=f"Else SERVICE_LAUNCHER_PORT, STATUS_PORT, PORT, else {PORT}."
)


@click.command()
@port_option
@click.option("--host", metavar="ADDRESS", help="Listen there instead of on loopback; then everything needs a token.")
@click.option("--name", "names", multiple=True, metavar="HOST[:PORT]", help="With --host: a name it is reached by.")
@click.option("--detach", is_flag=True, help="Go on in the background; the log is .launcher/serve.log.")
@click.pass_obj
def serve(session: Session, port: int | None, host: str | None, names: tuple[str, ...], detach: bool) -> int:
    """Serve the HTTP API and the page until interrupted."""
    from service_launcher.settings import own_folder
    from service_launcher.web import server
    from service_launcher.web.tokens import Tokens

    if names and host is None:
        raise click.UsageError("--name goes with --host")
    number = port or _port()
    cors = [origin for origin in os.environ.get("CORS_ORIGIN", "").replace(",", " ").split() if origin]
    reached = server.addresses(host, number, names, cors)
    installation = session.installation("launcher (web)")
    launcher, _ = installation.readable()
    tokens = Tokens.of(own_folder(launcher.settings))
    sockets = server.listen(server.LOOPBACK if host is None else [host], number)
    address = f"http://{host or '127.0.0.1'}:{number}"
    if detach and (child := _detached(launcher.settings)):
        click.echo(f"{address} is served by process {child}; its log is {launcher.settings.state / 'serve.log'}")
        click.echo(f"  ↳ sign in: launcher open\n  ↳ end it: kill {child}")
        return 0
    if not detach:
        click.echo(f"{address} is served; sign in with: launcher open", err=True)
    server.run(installation, tokens, reached, sockets)
    return 0


@click.command("open")
@port_option
@click.option("--view", is_flag=True, help="With the viewer's token, which cannot change anything.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.pass_obj
def open_(session: Session, port: int | None, view: bool, no_browser: bool) -> int:
    """Print and open the page's address, signed in: the code in it works once, for a minute."""
    from service_launcher.web.tokens import Role, path, read

    settings: Settings = session.launcher.settings
    file = path(settings.state, Role.VIEWER if view else Role.OPERATOR)
    address = f"http://127.0.0.1:{port or _port()}"
    if not file.exists():
        raise LauncherError(f"nothing has been served here yet: there is no {file}", "launcher serve --detach")
    signed_in = f"{address}/#code={_code(address, read(file), file)}"
    click.echo(signed_in)
    if not no_browser and (os.environ.get("DISPLAY") or sys.platform == "darwin"):
        _browse(signed_in, settings.state / "open.html")
    return 0


def _browse(address: str, page: Path) -> None:
    """Have the browser go there by a page that only we can read: everybody can read its arguments."""
    import webbrowser  # it brings half of the standard library

    atomic_file.replace(page, f'<!doctype html><meta http-equiv="refresh" content="0;url={address}">\n')
    webbrowser.open(page.as_uri())


def _port() -> int:
    for name, value in (
        ("SERVICE_LAUNCHER_PORT", os.environ.get("SERVICE_LAUNCHER_PORT")),
        ("STATUS_PORT", os.environ.get("STATUS_PORT")),
        ("PORT", os.environ.get("PORT")),
    ):
        if value:
            if not value.isdecimal() or not 0 < int(value) < 65536:
                raise ConfigurationError(f"{name}={value} is no port", f"unset {name}, or set it to 1 … 65535")
            return int(value)
    return PORT


def _code(address: str, token: str, file: Path) -> str:
    """A one-use code from the running server. Raises LauncherError."""
    import urllib3

    from service_launcher import ports

    port = int(address.rpartition(":")[2])
    for holder in ports.holders(port):
        if holder.user != os.geteuid():  # whoever came first has a port, and would be told the token
            words = f"port {port} is held by {holder}, which is not yours: it is not told the token"
            raise LauncherError(words, "launcher serve --detach --port PORT; launcher open --port PORT")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        with urllib3.PoolManager(retries=False, timeout=ASK_SECONDS) as http:
            answer = http.request("POST", f"{address}/api/codes", body=b"{}", headers=headers)
            found: object = answer.json() if answer.status == 200 else None
    except (urllib3.exceptions.HTTPError, ValueError):
        raise LauncherError(f"nobody answers at {address}", "launcher serve --detach") from None
    if not isinstance(found, dict) or not isinstance(found.get("code"), str):
        words = f"what answers at {address} does not know the token in {file}"
        raise LauncherError(words, "end the other server, or name its port: launcher open --port PORT")
    return str(found["code"])


def _detached(settings: Settings) -> int:
    """Go on in a child that belongs to no terminal and logs to a file; its process number here, 0 in the child."""
    log = settings.state / "serve.log"
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".1.log"))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if child := os.fork():
        os.close(descriptor)
        return child
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    # The command's results have a descriptor of their own, which would keep whoever reads them waiting.
    for source, target in ((nothing, 0), (descriptor, 1), (descriptor, 2), (descriptor, sys.stdout.fileno())):
        os.dup2(source, target)
    return 0
