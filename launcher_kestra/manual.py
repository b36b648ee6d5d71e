"""`launcher kestra run`: Kestra by `docker run`, as its documentation starts it, with the compose file's settings."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping
from typing import Any

import click
from service_launcher import Host, Installation, LauncherError, PreflightRefused

from launcher_kestra import credentials
from launcher_kestra.services import KESTRA, POSTGRES, PRIVILEGES

DOCKER_SECONDS = 1800.0  # --pull=always may have to fetch the whole image


@click.group()
def kestra() -> None:
    """Kestra without compose."""


@kestra.command()
@click.option("--detach", is_flag=True, help="Return when Kestra runs; otherwise its output follows until Ctrl-C.")
@click.option("--port", type=click.IntRange(1, 65535), help="Host port of the page and API (else KESTRA_HTTP_PORT).")
@click.option("--management-port", type=click.IntRange(1, 65535), help="Host port of health and metrics.")
@click.option("--dry-run", is_flag=True, help="Print the docker command, which holds no secret, and change nothing.")
@click.pass_obj
def run(session: Any, detach: bool, port: int | None, management_port: int | None, dry_run: bool) -> int:
    """Run `server standalone` by hand: refuses beside a Kestra that compose runs, brings up its PostgreSQL first."""
    installation: Installation = session.launcher
    ports = {"KESTRA_HTTP_PORT": port, "KESTRA_MANAGEMENT_PORT": management_port}
    more = {name: str(value) for name, value in ports.items() if value is not None}
    with installation.host(KESTRA.id) as host:
        _refuse(host, more)
        service, project = _described(host, more)
        argv, values = command(service, project, detach)
        if dry_run:
            click.echo(shlex.join(argv))
            return 0
    report = installation.start([POSTGRES.id])
    if report.exit_code:
        failed = "; ".join(outcome.message for outcome in report.outcomes)
        raise LauncherError(f"{POSTGRES.service} did not come up: {failed}", f"launcher status {POSTGRES.id}")
    with installation.host(KESTRA.id, "start") as host:
        for name in KESTRA.networks:
            KESTRA.compose(host).create_network(KESTRA.value(host, name))
        left = KESTRA.container(host)
        if left is not None:
            # Stopped, and made by us or by compose: all its data is in volumes and folders.
            host.run(["docker", "rm", "--", left.id], seconds=60)
        made = argv if detach else ["docker", "create", *argv[2:]]
        done = host.run(made, seconds=DOCKER_SECONDS, variables=values, terminal=not detach)
        if done.exit_code:
            said = host.redact(done.output).strip()[-500:] or f"exit code {done.exit_code}"
            raise LauncherError(f"{shlex.join(made[:2])} failed: {said}", "launcher status kestra")
    if not detach:
        # Without the lock: who follows it for days must keep nobody from stopping it.
        followed = ["docker", "start", "--attach", "--", service["container_name"]]
        try:
            return host.run(followed, seconds=10**8, terminal=True).exit_code
        finally:
            with contextlib.suppress(LauncherError):  # who holds the lock is stopping it
                installation.stop([KESTRA.id])  # whoever ends it here does not want it to be brought back
    click.echo(f"{service['container_name']} runs by hand; launcher status kestra tells when it is ready")
    return 0


def command(service: Mapping[str, Any], project: Mapping[str, Any], detach: bool) -> tuple[list[str], dict[str, str]]:
    """The docker command for a service as compose rendered it, and the values for its environment.

    Variables stand in the command by name only: docker takes the values from its own environment.
    """
    image = service["image"]
    pull = "never" if image.startswith("local/") else "always"
    argv = ["docker", "run", f"--pull={pull}", "--name", service["container_name"]]
    argv += ["--detach", "--restart", "unless-stopped"] if detach else ["--rm"]
    argv += ["--user", service["user"]] if "user" in service else []
    argv += ["--stop-timeout", str(KESTRA.grace_seconds)]
    if service.get("mem_limit", "0") != "0":
        argv += ["--memory", service["mem_limit"]]
    for name in service["environment"]:
        argv += ["--env", name]
    for name, value in {**service["labels"], "com.tradingsystem.mode": "manual"}.items():
        argv += ["--label", f"{name}={value}"]
    for port in service["ports"]:
        address = f"[{port['host_ip']}]" if ":" in port["host_ip"] else port["host_ip"]
        argv += ["--publish", f"{address}:{port['published']}:{port['target']}"]
    for volume in service["volumes"]:
        source = volume["source"] if volume["type"] == "bind" else project["volumes"][volume["source"]]["name"]
        argv += ["--mount", f"type={volume['type']},source={source},target={volume['target']}"]
    for network in service["networks"]:
        argv += ["--network", project["networks"][network]["name"]]
    health = service["healthcheck"]
    argv += ["--health-cmd", shlex.join(health["test"][1:])]
    for option in ("interval", "timeout", "retries", "start_period", "start_interval"):
        argv += [f"--health-{option.replace('_', '-')}", str(health[option])]
    for name, value in service["logging"]["options"].items():
        argv += ["--log-opt", f"{name}={value}"]
    argv += [image, *service["command"]]
    values = {name: value or "" for name, value in service["environment"].items()}
    return argv, values


def _refuse(host: Host, more: Mapping[str, str]) -> None:
    container = KESTRA.container(host)
    if container is not None and container.state in ("running", "restarting", "paused"):
        how = "by hand already" if KESTRA.by_hand(container) else "through compose"
        raise PreflightRefused(f"{container.name} runs {how}", "tools/kestra/scripts/stop.sh, or launcher stop kestra")
    if host.environment.get(PRIVILEGES) == "hardened":
        raise PreflightRefused(f"{PRIVILEGES}=hardened is kept by compose alone", "launcher start kestra")
    problems = (*KESTRA.preflight(host, more), *credentials.problems(host))
    errors = {p.summary: p.fix for p in problems if p.severity == "error"}
    if errors:
        raise PreflightRefused("; ".join(errors), next(iter(errors.values())))


def _described(host: Host, more: Mapping[str, str]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    project = _plain(KESTRA.compose(host, **more).config())
    return project["services"][KESTRA.service], project


def _plain(rendered: Any) -> Any:
    """The rendered project without the doubled dollar signs that make it a compose file again."""
    match rendered:
        case str():
            return rendered.replace("$$", "$")
        case list():
            return [_plain(item) for item in rendered]
        case dict():
            return {key: _plain(value) for key, value in rendered.items()}
    return rendered
