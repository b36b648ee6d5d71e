"""What a hook is given to work with: a narrow view of one installation, made for one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from service_launcher.compose import Finished
from service_launcher.engine_view import EngineView
from service_launcher.envfile import Environment
from service_launcher.events import LastReady
from service_launcher.models import Action, OperationReport, Phase
from service_launcher.prober import Answer


class Compose(Protocol):
    """Services of one compose project; `up` and `stop` go through python-on-whales with a deadline."""

    def up(self, *, seconds: float, stop_seconds: float) -> None:
        """Pull what is missing, create and start the services without waiting for their health.

        A container that runs and cannot get well by itself is stopped first, for at most `stop_seconds`.
        """

    def pull(self) -> None:
        """Pull the images that are missing, or that their pull policy wants anew; `up` does so too."""

    def stop(self, *, seconds: float) -> None:
        """Stop the services and keep their containers; needs neither the files nor their variables."""

    def changed(self) -> str | None:
        """Why `up` would make a running container anew; None when it would not."""

    def config(self) -> Mapping[str, Any]:
        """The rendered project with its secrets: for a child process, never for showing.

        Raises ConfigurationError, naming the file, where compose refuses it.
        """

    def create_network(self, name: str) -> None:
        """Create a network where there is none of that name."""


class Host(Protocol):
    """The installation as a hook sees it. Nothing here names or reaches another plugin."""

    @property
    def root(self) -> Path:
        """The folder of the installation."""

    @property
    def environment(self) -> Environment:
        """Every variable's effective value; secrets are wrapped."""

    @property
    def engine(self) -> EngineView:
        """The Docker Engine, for reading; all reads of one call see the same list of containers."""

    def compose(
        self, project: str, files: Sequence[Path], services: Sequence[str], variables: Mapping[str, str]
    ) -> Compose:
        """Services of a compose project, whose files are filled with `variables` and nothing else."""

    def probe_http(
        self,
        url: str,
        *,
        seconds: float = 2.0,
        credentials: tuple[str, SecretStr] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """GET a URL, without redirects, 64 KiB at most."""

    def probe_tcp(self, address: str, port: int, *, seconds: float = 1.0) -> Answer:
        """Whether something accepts connections there."""

    def run(
        self, argv: Sequence[str], *, seconds: float, variables: Mapping[str, str] | None = None, terminal: bool = False
    ) -> Finished:
        """Run a command with a clean environment plus `variables`: the only safe way for a secret to reach it."""

    def last_ready(self) -> LastReady:
        """What was remembered of this service when it was last ready: where its data was, and its image."""

    def report(self, phase: Phase, message: str = "", done: int | None = None, total: int | None = None) -> None:
        """Show a waiting person what is happening to the service."""

    def redact(self, text: str) -> str:
        """Text without this installation's secrets and without control characters."""


class Installation(Protocol):
    """What a plugin's click commands find as `ctx.obj.launcher`: verbs, and a host with the lock held."""

    def host(self, service: str, action: Action | None = None) -> AbstractContextManager[Host]:
        """The host of one service; its compose project is locked inside the block. Raises Busy.

        A command that starts or stops something says so by `action`, and is recorded as such an operation.
        """

    def start(self, names: Sequence[str]) -> OperationReport:
        """Start services and wait until they are ready."""

    def stop(self, names: Sequence[str]) -> OperationReport:
        """Stop services and what depends on them."""
