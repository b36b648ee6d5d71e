"""Throw-away compose projects on the real Docker Engine, and taking away what a project left there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from service_launcher.compose import run
from service_launcher.errors import ComposeFailed

_PROJECT = "com.docker.compose.project"
_SECONDS = 300.0


def docker(*arguments: str, seconds: float = _SECONDS, variables: Mapping[str, str] | None = None) -> str:
    """What the docker command says. Raises ComposeFailed."""
    done = run(["docker", *arguments], seconds=seconds, values=variables or {})
    if done.exit_code:
        raise ComposeFailed(f"docker {' '.join(arguments[:3])} failed: {done.output.strip()[-400:]}", "docker info")
    return done.output.strip()


def left_by(project: str) -> list[str]:
    """The containers and volumes that a compose project has on the Engine."""
    label = ("--filter", f"label={_PROJECT}={project}")
    containers = docker("ps", "--all", *label, "--format", "{{.Names}}").split()
    return containers + docker("volume", "ls", *label, "--format", "{{.Name}}").split()


def remove(projects: Sequence[str], networks: Sequence[str] = ()) -> None:
    """Take away everything that compose made for these projects, data included; then the networks."""
    for project in projects:
        label = ("--filter", f"label={_PROJECT}={project}", "--quiet")
        for listing, removal in (
            (("ps", "--all", *label), ("rm", "--force", "--volumes")),
            (("volume", "ls", *label), ("volume", "rm", "--force")),
            (("network", "ls", *label), ("network", "rm")),
        ):
            if names := docker(*listing).split():
                docker(*removal, *names)
    for name in networks:
        run(["docker", "network", "rm", name], seconds=60, values={})


class ThrowAwayProject:
    """A compose project of one test, under a name that nobody else has."""

    def __init__(self, folder: Path, text: str, number: int) -> None:
        self.name = f"throwaway-{os.getpid()}-{number}"
        self.file = folder / f"docker-compose.{self.name}.yml"
        self.file.write_text(text, encoding="utf-8")

    def compose(self, *arguments: str, **variables: str) -> str:
        """What `docker compose` on the project says. Raises ComposeFailed."""
        options = ("--file", str(self.file), "--project-name", self.name, "--env-file", os.devnull)
        return docker("compose", *options, *arguments, variables=variables)

    def up(self, *services: str, **variables: str) -> None:
        """Start, and return when the containers run and are healthy. Raises ComposeFailed."""
        self.compose("up", "--detach", "--wait", *services, **variables)

    def port(self, service: str, container_port: int) -> int:
        """The port of this machine on which a container's port is published."""
        return int(self.compose("port", service, str(container_port)).rpartition(":")[2])

    def state(self, service: str) -> str:
        """The Engine's word for a service's container; empty where there is none."""
        listed = self.compose("ps", "--all", "--format", "json", service)
        return str(json.loads(listed.splitlines()[0])["State"]) if listed else ""

    def kill(self, service: str) -> None:
        """End a service's container behind everybody's back."""
        self.compose("kill", service)
