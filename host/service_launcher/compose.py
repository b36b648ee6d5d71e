"""Writes to Docker through `docker compose`, with deadlines and a clean environment; no other module starts processes.

python-on-whales is imported at the first write: reading commands never pay for it.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service_launcher.errors import ComposeFailed, ConfigurationError
from service_launcher.models import Phase
from service_launcher.redaction import Redactor

if TYPE_CHECKING:
    from python_on_whales import DockerClient

READ_SECONDS = 20.0
KILL_AFTER_SECONDS = 2
#: Reading files needs no Engine, but the docker command asks it all the same, and waits 2 s for a frozen one.
NO_ENGINE = "unix:///dev/null"

#: What a child may inherit; everything else could redirect compose (COMPOSE_FILE and its kin).
INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_[A-Z]+|TZ|TMPDIR|XDG_(RUNTIME_DIR|CONFIG_HOME)|SSL_CERT_(FILE|DIR)|SSH_AUTH_SOCK"
    r"|DOCKER_(HOST|CONTEXT|CONFIG|CERT_PATH|TLS_VERIFY)"
)

_CONTAINER_LINE = re.compile(r"Container (?P<name>\S+)\s+(?P<word>[A-Z]\w+)")
_PHASES: dict[str, Phase] = {
    "Creating": "creating",
    "Recreate": "creating",
    "Starting": "starting",
    "Stopping": "stopping",
}

Report = Callable[[Phase, str], None]  # phase, message

_spawning = threading.Lock()
_lending = threading.Lock()
_lent: dict[str, str | None] = {}  # what stood in this process' environment before a child was lent other values


def own_environment() -> dict[str, str]:
    """This process' environment as whoever began it gave it, without what a child is lent just now."""
    with _lending:
        own = {**os.environ, **_lent}
    return {name: value for name, value in own.items() if value is not None}


def clean_environment() -> dict[str, str]:
    """What of this process' environment a child may see."""
    return {name: value for name, value in os.environ.items() if INHERITED.fullmatch(name)}


@dataclass(frozen=True)
class ComposeProject:
    """A compose project: its name, files and folder, and the values that its files are filled with.

    `lock` is the operation's lock file, shared with every child that writes; without it only reads are possible.
    Without `files` compose knows the project by the labels of its containers, which is enough to stop it.
    """

    name: str
    files: tuple[Path, ...]
    folder: Path
    values: Mapping[str, str]
    redact: Redactor
    lock: Path | None = None

    def hashes(self) -> dict[str, str]:
        """The configuration hash that compose would give each service now. Raises ConfigurationError."""
        lines = self._read("config", "--hash", "*").splitlines()
        return dict(line.split(" ", 1) for line in lines if " " in line)

    def config(self) -> dict[str, Any]:
        """The rendered project, secrets included: never to be shown. Raises ConfigurationError."""
        import json

        rendered: dict[str, Any] = json.loads(self._read("config", "--format", "json"))
        return rendered

    def up(self, services: Sequence[str], *, seconds: float, report: Report) -> None:
        """Create and start services after what they need in compose. Raises ComposeFailed."""
        self._up(services, seconds=seconds, report=report, start=True)

    def create(self, services: Sequence[str], *, seconds: float, report: Report) -> None:
        """Create the containers of services, or make them anew where they have changed. Raises ComposeFailed."""
        self._up(services, seconds=seconds, report=report, start=False)

    def start_containers(self, ids: Sequence[str], *, seconds: float) -> None:
        """Start containers that are there. Raises ComposeFailed."""
        with self._client(seconds) as (docker, _):
            docker.container.start(list(ids))

    def remove_containers(self, ids: Sequence[str], *, seconds: float) -> None:
        """Remove containers that do not run; volumes stay, those without a name too. Raises ComposeFailed."""
        with self._client(seconds) as (docker, _):
            docker.container.remove(list(ids))

    def stop(self, services: Sequence[str], *, seconds: float, report: Report) -> None:
        """Stop services and keep their containers. Raises ComposeFailed."""
        with self._client(seconds) as (docker, lent):
            _follow(docker.compose.stop(list(services), stream_logs=True), report, lent)

    def create_network(self, name: str) -> None:
        """Create a bridge network; one that is there already is left as it is. Raises ComposeFailed."""
        with self._client(READ_SECONDS) as (docker, _):
            if not docker.network.exists(name):
                docker.network.create(name)

    def _up(self, services: Sequence[str], *, seconds: float, report: Report, start: bool) -> None:
        # With --no-deps the configuration hash would differ, and `docker compose up` by hand would then make every
        # container anew. Images are here already: the launcher pulls them, because only its stream has the bytes.
        with self._client(seconds) as (docker, lent):
            lines = docker.compose.up(
                list(services), detach=start, start=start, pull="never", no_build=True, color=False, stream_logs=True
            )
            _follow(lines, report, lent)

    def _read(self, *arguments: str) -> str:
        command = ["docker", "compose", *self._options(), *arguments]
        try:
            done = subprocess.run(
                command,
                env=clean_environment() | dict(self.values) | {"DOCKER_HOST": NO_ENGINE},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=READ_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ComposeFailed(
                f"docker compose config gave no answer in {READ_SECONDS:.0f} s", "launcher status"
            ) from error
        except FileNotFoundError as error:
            raise ConfigurationError(
                "the docker command is not on PATH", "install the Docker CLI with its compose plugin"
            ) from error
        if done.returncode and done.stderr.startswith("unknown"):
            # What the docker command says to options that it cannot hand on to a plugin.
            raise ConfigurationError("the docker command here has no compose plugin", "tools/engine/ensure")
        if done.returncode:
            files = ", ".join(map(str, self.files))
            raise ConfigurationError(
                f"docker compose refuses {files}: {self._last_words(done.stderr)}", "launcher init"
            )
        return done.stdout

    def _options(self) -> list[str]:
        files = [option for file in self.files for option in ("--file", str(file))]
        # In front of a subcommand that reads; python-on-whales writes the same options for the others.
        return [*files, "--project-name", self.name, "--project-directory", str(self.folder), "--env-file", os.devnull]

    @contextlib.contextmanager
    def _client(self, seconds: float) -> Iterator[tuple[DockerClient, contextlib.ExitStack]]:
        """A client whose commands have a deadline and share the lock, and what ends the loan of their environment."""
        from python_on_whales import DockerClient
        from python_on_whales.exceptions import DockerException

        if self.lock is None:
            raise ComposeFailed(f"project {self.name} is open for reading only", "start and stop through the launcher")
        # python-on-whales has no time-out and no environment of its own, but takes any argv prefix. Only names
        # of variables stand here: values on a command line could be read by every user of the machine.
        foreign = [n for n in os.environ if not INHERITED.fullmatch(n) and n not in self.values]
        # From / no compose file is picked up where none is named.
        prefix = ["sh", "-c", 'echo >&2; exec "$@"', "sh"]  # a line as soon as it has its environment
        prefix += ["env", "-C", "/", *(word for name in foreign for word in ("-u", name))]
        prefix += ["flock", "--shared", "--no-fork", str(self.lock)]
        prefix += ["timeout", "-k", str(KILL_AFTER_SECONDS), f"{seconds:.0f}", "docker"]
        client = DockerClient(
            compose_files=list(self.files),
            compose_project_name=self.name,
            compose_project_directory=self.folder,
            compose_env_files=[os.devnull],
            client_call=prefix,
        )
        try:
            with contextlib.ExitStack() as lent:
                lent.enter_context(_added_to_environment(self.values))
                yield client, lent
        except DockerException as error:
            # The exception itself carries the command line and all output: it must not travel further.
            words = self._last_words(error.stderr or error.stdout or "")
            if error.return_code in (124, 137):
                raise ComposeFailed(
                    f"docker compose was ended after {seconds:.0f} s: {words}", "launcher status"
                ) from None
            raise ComposeFailed(f"docker compose failed ({error.return_code}): {words}", "launcher status") from None
        except UnicodeDecodeError:  # python-on-whales reads what the failed command said as strict UTF-8
            raise ComposeFailed("docker compose failed and said why in no known encoding", "launcher status") from None

    def _last_words(self, output: str) -> str:
        lines = [line.strip() for line in self.redact(output).splitlines() if line.strip()]
        telling = [line for line in lines if not _CONTAINER_LINE.search(line) or "Error" in line]
        return " / ".join((telling or lines)[-3:])[:600] or "it gave no reason"


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    exit_code: int
    output: str


def run(argv: Sequence[str], *, seconds: float, values: Mapping[str, str], terminal: bool = False) -> Finished:
    """Run a command with a clean environment plus `values`; exit code 124 when it passed its deadline.

    With `terminal` the command keeps this process' terminal and `output` stays empty.
    """
    try:
        done = subprocess.run(
            list(argv),
            env=clean_environment() | dict(values),
            stdout=sys.stdout if terminal else subprocess.PIPE,  # descriptor 1 is standard error by now
            stderr=None if terminal else subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finished(124, f"no end within {seconds:.0f} s")
    except OSError as error:
        return Finished(127, f"{argv[0]}: {error.strerror}")
    return Finished(done.returncode, done.stdout or "")


@contextlib.contextmanager
def _added_to_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Lend values to this process' environment, the only way into python-on-whales' children.

    They are there until the child has begun; the lock keeps two operations of one process from mixing theirs.
    """
    with _spawning:
        with _lending:
            _lent.update({name: os.environ.get(name) for name in values})
            os.environ.update(values)
        try:
            yield
        finally:
            with _lending:
                for name, value in _lent.items():
                    if value is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = value
                _lent.clear()


def _follow(lines: Iterable[tuple[str, bytes]] | None, report: Report, lent: contextlib.ExitStack) -> None:
    for _, line in lines or ():
        lent.close()  # it has what it needs, and may take minutes: other projects' commands must not wait for it
        found = _CONTAINER_LINE.search(line.decode("utf-8", "replace"))
        if found and found["word"] in _PHASES:
            report(_PHASES[found["word"]], found["name"])
