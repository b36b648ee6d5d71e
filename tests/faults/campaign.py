"""The table of the campaign: what a row is, what a case offers to it, and what was seen."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.engines import wait_for
from tests.faults.own_engine import OwnEngine
from tests.installations import Done, Installation

KESTRA, POSTGRES = "tools-kestra", "tools-kestra-postgres"
COMPOSE_FILE = Path("tools/compose/docker-compose.tools.yml")
DATA = "tools-kestra-postgres-data"
STORAGE = Path("tools/kestra/storage/witness")  # a file of ours among Kestra's own
WITNESSES = 1000  # rows of a table of our own in the database, counted afterwards


@dataclass(frozen=True)
class Seen:
    """What the launcher said of a fault: state, exit code, and how many seconds after the fault."""

    state: str
    code: int
    seconds: float


Story = Callable[["Case"], Iterator[Seen]]


@dataclass(frozen=True)
class Row:
    """One fault: its number in the list of faults, how it is injected, and what has to be seen.

    `story` injects the fault, yields what was seen, and then removes the cause. `without` are invariants that cannot
    hold for this fault, by their number. `kestra` rows run the real Kestra, `slow` ones take more than 10 s,
    `prepared` ones begin with everything ready. `disk` is the size in MB of a disk for the Engine alone, `takes` the
    volume that the fault itself removes.
    """

    fault: str
    name: str
    injected: str
    state: str
    code: int
    story: Story
    slow: bool = False
    kestra: bool = False
    prepared: bool = True
    without: frozenset[str] = frozenset()
    disk: int = 0
    takes: str = ""

    @property
    def id(self) -> str:
        """What pytest calls it."""
        return f"{self.fault}-{self.name}".replace(" ", "-")


ROWS: list[Row] = []


def row(
    fault: str,
    name: str,
    injected: str,
    *,
    state: str,
    code: int = 0,
    slow: bool = False,
    kestra: bool = False,
    prepared: bool = True,
    without: str = "",
    disk: int = 0,
    takes: str = "",
) -> Callable[[Story], Story]:
    """Put a story into the table."""

    def put(story: Story) -> Story:
        invariants = frozenset(without.split())
        slow_too = slow or kestra
        ROWS.append(Row(fault, name, injected, state, code, story, slow_too, kestra, prepared, invariants, disk, takes))
        return story

    return put


@dataclass
class Command:
    """A launcher command that a case ran, for the invariants to judge."""

    argv: tuple[str, ...]
    done: Done


@dataclass
class Recorded(Installation):
    """An installation that remembers how each of its commands ended."""

    commands: list[Command] = field(default_factory=list)

    def launcher(self, *arguments: str, cwd: Path | None = None, seconds: float = 400, **exported: str) -> Done:
        """Run the launcher, and remember how it ended."""
        done = super().launcher(*arguments, cwd=cwd, seconds=seconds, **exported)
        self.commands.append(Command(arguments, done))
        return done


@dataclass
class Terminal:
    """A launcher command on a terminal: Ctrl-C there reaches it and every process that it has begun."""

    pid: int
    screen: int
    began: float = field(default_factory=time.monotonic)
    shown: str = ""
    code: int = -1

    @classmethod
    def begun(cls, installation: Installation, arguments: Sequence[str]) -> Terminal:
        """Begin it, and show from now on what it prints."""
        program = str(Path(sys.executable).with_name("launcher"))
        pid, screen = pty.fork()
        if pid == 0:
            # A background shell hands down an ignored SIGINT, which no terminal does.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.chdir(installation.root)
            os.execve(program, [program, "--root", str(installation.root), *arguments], installation.environment)
        terminal = cls(pid, screen)
        threading.Thread(target=terminal._read, daemon=True).start()
        return terminal

    def ctrl_c(self) -> None:
        """Press Ctrl-C."""
        os.write(self.screen, b"\x03")

    def wait(self, seconds: float) -> int:
        """The exit code, of a command that has to end within so many seconds."""
        wait_for(self._ended, seconds, "the command on the terminal ends")
        return self.code

    def end(self) -> None:
        """Kill what is left."""
        if not self._ended():
            os.kill(self.pid, signal.SIGKILL)
            self.wait(10)
        os.close(self.screen)

    def _ended(self) -> bool:
        if self.code == -1:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if ended else -1
        return self.code != -1

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # how a terminal says that nobody is there any more
            while piece := os.read(self.screen, 65536):
                self.shown += piece.decode("utf-8", "replace")


@dataclass
class Case:
    """One row under way: its Engine, its installation, and the verbs in which stories are told."""

    row: Row
    engine: OwnEngine
    installation: Recorded
    folder: Path
    _injected: float = 0.0
    executions: int = 0
    volume: str = ""  # the database's, once there is something in it that must not be lost

    # Before the fault.

    def up(self) -> None:
        """Bring everything to ready, and leave witnesses in the database."""
        done = self.installation.launcher("start")
        assert done.code == 0, done.text
        if self.row.kestra:
            assert self.installation.run_flow() == "SUCCESS"
            self.executions = self.installation.executions()
        self.sql(f"create table witness as select generate_series(1, {WITNESSES}) as number")
        (self.installation.root / STORAGE).write_text("kept")
        self.volume = self.present_volume()

    def stand_in(self, service: str = "", **variables: str) -> None:
        """Give the stand-in a behaviour from its start on, through the compose file."""
        lines = "".join(f'      {name}: "{value}"\n' for name, value in variables.items())
        self.edit("      LANG: C.UTF-8\n", f"      LANG: C.UTF-8\n{lines}")

    def edit(self, old: str, new: str, file: Path = COMPOSE_FILE, count: int = 1) -> None:
        """Replace a part of a file of the installation."""
        path = self.installation.root / file
        text = path.read_text()
        assert old in text, old
        path.write_text(text.replace(old, new, count))

    def environment(self, **variables: str) -> None:
        """Add lines to `.env`."""
        path = self.installation.root / ".env"
        path.write_text(path.read_text() + "".join(f"{name}={value}\n" for name, value in variables.items()))

    # The fault.

    def injected(self) -> None:
        """From now on the time to truth runs."""
        self._injected = time.monotonic()

    @property
    def since(self) -> float:
        """Seconds since the fault."""
        return round(time.monotonic() - self._injected, 2) if self._injected else 0.0

    def tell(self, name: str, value: str) -> None:
        """Change the stand-in's behaviour while it runs."""
        script = f"mkdir -p /run/standin && printf %s '{value}' > /run/standin/{name}"
        self.engine.docker("exec", KESTRA, "sh", "-c", script)

    # What is seen.

    def read(self, service: str = "kestra", **exported: str) -> Seen:
        """What `status` says now."""
        done = self.installation.launcher("status", service, "--json", **exported)
        return Seen(done.json()["services"][0]["state"], done.code, self.since or done.seconds)

    def status(self, service: str = "kestra") -> dict[str, Any]:
        """The status of a service as JSON."""
        return dict(self.installation.launcher("status", service, "--json").json()["services"][0])

    def until(self, state: str, seconds: float, service: str = "kestra", words: str = "") -> Seen:
        """Read the status until it has a state and says some words; the last one read counts.

        Words that never came are part of what was seen, so that no row takes the state alone.
        """
        seen: list[Seen] = []

        def reached() -> bool:
            done = self.installation.launcher("status", service, "--json")
            status = done.json()["services"][0]
            told = words in status["message"]
            seen[:] = [Seen(status["state"] if told else f"{status['state']}, not {words!r}", done.code, self.since)]
            return status["state"] == state and told

        with contextlib.suppress(AssertionError):
            wait_for(reached, seconds, f"{service} is {state} with {words!r}", every=0.1)
        return seen[0]

    def start(
        self, *arguments: str, says: str = "", cause: str = "", service: str = "kestra-orchestrator", **exported: str
    ) -> Seen:
        """What `start --json` says of a service in the end; the words, and the id of the cause, must stand in it."""
        done = self.installation.launcher("start", *arguments, "--json", **exported)
        assert says in done.text, done.text
        if not done.out:
            return Seen("no report", done.code, self.since or done.seconds)
        outcome = next((o for o in done.json()["outcomes"] if o["service"] == service), {"result": "none"})
        if cause:
            assert outcome["explanation"]["cause_id"] == cause, outcome["explanation"]
        return Seen(outcome["result"], done.code, self.since or done.seconds)

    def holds(self, process: subprocess.Popen[str]) -> bool:
        """Whether a launcher has the project's lock, read without touching it."""
        lock = self.installation.root / ".launcher/locks/tools.lock"
        return lock.exists() and f'"pid": {process.pid},' in lock.read_text()

    def busy(self) -> bool:
        """Whether somebody holds the project, asked without a launcher."""
        lock = self.installation.root / ".launcher/locks/tools.lock"
        free = subprocess.run(["flock", "--exclusive", "--nonblock", str(lock), "true"], check=False)
        return lock.exists() and free.returncode != 0

    @contextlib.contextmanager
    def starting(self, *arguments: str, **exported: str) -> Iterator[subprocess.Popen[str]]:
        """A start under way; at the end of the block it has ended, by itself or by Ctrl-C."""
        with self.installation.popen(*(arguments or ("start",)), **exported) as process:
            began = time.monotonic()
            yield process
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
            done = Done(process.returncode, out, err, time.monotonic() - began)
            self.installation.commands.append(Command(arguments or ("start",), done))

    @contextlib.contextmanager
    def on_a_terminal(self, *arguments: str) -> Iterator[Terminal]:
        """A launcher command in the foreground of a terminal of its own."""
        terminal = Terminal.begun(self.installation, arguments)
        try:
            yield terminal
        finally:
            terminal.end()
            done = Done(terminal.code, "", terminal.shown, time.monotonic() - terminal.began)
            self.installation.commands.append(Command(arguments, done))

    # What must not be lost.

    def present_volume(self) -> str:
        """When the database's volume was made; empty where there is none."""
        return self.engine.docker("volume", "inspect", "--format", "{{.CreatedAt}}", DATA, check=False)

    def storage_is_whole(self) -> bool:
        """Whether what `up` left in Kestra's folder of files is there."""
        kept = self.installation.root / STORAGE
        return kept.is_file() and kept.read_text() == "kept"

    def sql(self, statement: str, check: bool = True) -> str:
        """Run a statement in the database."""
        return self.engine.docker(
            "exec",
            POSTGRES,
            "psql",
            "--no-psqlrc",
            "-qtA",
            "-U",
            "kestra",
            "-d",
            "kestra",
            "-c",
            statement,
            check=check,
        )

    def ids(self) -> dict[str, str]:
        """The containers of the project, name to id."""
        listed = self.engine.docker(
            "ps",
            "-a",
            "--no-trunc",
            "--filter",
            "label=com.docker.compose.project=tools",
            "--format",
            "{{.Names}} {{.ID}}",
        )
        return dict(line.split() for line in listed.splitlines())

    def records(self) -> list[dict[str, Any]]:
        """The events that the launcher has recorded."""
        path = self.installation.root / ".launcher/events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
