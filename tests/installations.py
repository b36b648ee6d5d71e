"""An installation for a test: a copy of the checkout with its own `.env`, driven through the real commands."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.database_image import DATABASE_PASSWORD, MADE, POSTGRES
from tests.engines import PrivateEngine, wait_for

REAL_KESTRA = "local/kestra:1.3.25"
NEXT_KESTRA = "local/kestra:2.0.0-SNAPSHOT"
STAND_IN = "local/kestra-rehearsal:1"
NEWER_POSTGRES = "local/postgres:18"
#: Without it, half of a Kestra's processor time in a test goes into optimising code that hardly runs.
QUICK_JVM = "-XX:TieredStopAtLevel=1"
PASSWORD = "Right1Password2of3tests"
USERNAME = "admin@kestra.local"

FLOW = """\
id: hello
namespace: tests.launcher
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: hello
"""


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float

    @classmethod
    def of(cls, argv: Sequence[str], environment: Mapping[str, str], folder: Path | None, seconds: float) -> Done:
        """Run a command to its end, with nobody to answer its questions. Raises subprocess.TimeoutExpired."""
        began = time.monotonic()
        done = subprocess.run(
            argv,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return cls(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    @property
    def text(self) -> str:
        """Everything that was printed."""
        return self.out + self.err

    def json(self) -> Any:
        """The standard output as JSON."""
        return json.loads(self.out)


@dataclass
class Installation:
    """A root, the Engine that it uses, and the environment that its operator's shell has."""

    root: Path
    engine: PrivateEngine
    shell: dict[str, str] = field(default_factory=dict)

    @classmethod
    def copied(cls, checkout: Path, root: Path, engine: PrivateEngine, kestra: str = REAL_KESTRA) -> Installation:
        """Copy what git tracks (and would track) and write a `.env` that names local images."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=checkout, check=True, capture_output=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.decode().split("\0")):
            source, target = checkout / name, root / name
            if source.is_symlink() or source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        installation = cls(root, engine)
        installation.write_env(kestra)
        return installation

    def write_env(self, kestra: str, **more: str | None) -> None:
        """Write `.env` anew, as `launcher init` would have, with known passwords; None leaves a variable out."""
        values = {
            "KESTRA_IMAGE": kestra,
            "KESTRA_POSTGRES_IMAGE": MADE if kestra == STAND_IN else POSTGRES,
            "KESTRA_DB_PASSWORD": DATABASE_PASSWORD,
            "KESTRA_BASICAUTH_USERNAME": USERNAME,
            "KESTRA_BASICAUTH_PASSWORD": PASSWORD,
            "KESTRA_DOCKER_SOCKET": str(self.engine.socket),
            "KESTRA_JAVA_OPTS": None if kestra == STAND_IN else QUICK_JVM,
            **more,
        }
        path = self.root / ".env"
        path.write_text("".join(f"{name}={value}\n" for name, value in values.items() if value is not None))
        path.chmod(0o600)

    def edited(self, old: str, new: str) -> None:
        """Change the compose file as an operator might."""
        file = self.root / "tools/compose/docker-compose.tools.yml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def stand_in(self, **variables: str) -> None:
        """Give the stand-in its behaviour through the compose file, where its environment is set."""
        file = self.root / "tools/compose/docker-compose.tools.yml"
        lines = "".join(f'      {name}: "{value}"\n' for name, value in variables.items())
        file.write_text(file.read_text().replace("      LANG: C.UTF-8\n", f"      LANG: C.UTF-8\n{lines}", 1))

    @property
    def environment(self) -> dict[str, str]:
        """What a command gets: a plain shell's environment, the Engine, and what the test exported."""
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**keep, "LANG": "C.UTF-8", "DOCKER_HOST": self.engine.address, **self.shell}

    def run(self, *argv: str, cwd: Path | None = None, seconds: float = 400, **exported: str) -> Done:
        """Run a command as an operator would; a relative first word is looked up in the installation."""
        command = [str(self.root / argv[0]) if "/" in argv[0] and not argv[0].startswith("/") else argv[0], *argv[1:]]
        return Done.of(command, {**self.environment, **exported}, cwd or self.root, seconds)

    def launcher(self, *arguments: str, cwd: Path | None = None, seconds: float = 400, **exported: str) -> Done:
        """Run the launcher for this installation."""
        program = str(Path(sys.executable).with_name("launcher"))
        return self.run(program, "--root", str(self.root), *arguments, cwd=cwd, seconds=seconds, **exported)

    @contextlib.contextmanager
    def popen(
        self, *arguments: str, into: IO[str] | int = subprocess.PIPE, **exported: str
    ) -> Iterator[subprocess.Popen[str]]:
        """Begin a launcher command and go on; whatever is left of it at the end of the block is killed."""
        program = str(Path(sys.executable).with_name("launcher"))
        with subprocess.Popen(
            [program, "--root", str(self.root), *arguments],
            cwd=self.root,
            env={**self.environment, **exported},
            stdin=subprocess.DEVNULL,
            stdout=into,
            stderr=subprocess.PIPE,
            text=True,
            # A background shell hands down an ignored SIGINT, which no terminal does.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def compose(self, *arguments: str, **exported: str) -> Done:
        """Run docker compose by hand on the tools file."""
        return self.compose_file("tools/compose/docker-compose.tools.yml", *arguments, **exported)

    def compose_file(self, file: str, *arguments: str, **exported: str) -> Done:
        """Run docker compose by hand on a file of the installation."""
        return self.run("docker", "compose", "-f", file, *arguments, **exported)

    def status(self, service: str, **exported: str) -> dict[str, Any]:
        """The status of one service as JSON."""
        done = self.launcher("status", service, "--json", **exported)
        return dict(done.json()["services"][0])

    def state(self, service: str) -> str:
        """The state of one service."""
        return str(self.status(service)["state"])

    def await_state(self, service: str, state: str, seconds: float) -> dict[str, Any]:
        """Follow the status until it has a state; the last one read. Asking anew each time would slow down a start."""
        with self.popen("status", service, "--watch", "--json") as watch:
            deadline = threading.Timer(seconds, watch.kill)
            deadline.start()
            assert watch.stdout is not None
            read = (dict(json.loads(line)["services"][0]) for line in watch.stdout)
            found = next((status for status in read if status["state"] == state), None)
            deadline.cancel()
        assert found is not None, f"not within {seconds:g} s: {service} is {state}"
        return found

    # Kestra's own API, as its operators and flows use it.

    def api(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str = "application/x-yaml",
        credentials: tuple[str, str] | None = (USERNAME, PASSWORD),
        port: int = 8080,
    ) -> tuple[int, Any]:
        """Call Kestra's API; status and decoded body, (0, reason) when nobody answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body, method=method)
        if body is not None:
            request.add_header("Content-Type", kind)
        if credentials:
            token = b64encode(":".join(credentials).encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, _decoded(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _decoded(error.read())
        except OSError as error:
            return 0, str(error)

    def run_flow(self) -> str:
        """Create the test flow if it is not there, run it to its end, and return its final state."""
        status, body = self.api("POST", "/api/v1/main/flows", FLOW.encode())
        assert status in (200, 422), body
        status, execution = self.api("POST", "/api/v1/main/executions/tests.launcher/hello", b"", "multipart/form-data")
        assert status == 200, execution

        def ended() -> str:
            _, found = self.api("GET", f"/api/v1/main/executions/{execution['id']}")
            state = str(found["state"]["current"]) if isinstance(found, dict) else ""
            return state if state in ("SUCCESS", "FAILED", "KILLED", "WARNING") else ""

        return str(wait_for(ended, 60, "the flow's execution ends", every=0.2))

    def executions(self) -> int:
        """How many executions of the test flow Kestra knows."""
        status, found = self.api("GET", "/api/v1/main/executions/search?namespace=tests.launcher&flowId=hello")
        assert status == 200, found
        return int(found["total"])


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
