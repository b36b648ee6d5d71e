"""Docker Engines of the tests' own: own socket, data root and containers; stopping or freezing one harms nobody."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker

from tests import database_image

CACHE = Path(
    os.environ.get("LAUNCHER_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "service-launcher"
)
READY_SECONDS = 60

#: What this process calls its Engines: two that run side by side never share one.
SUITE = "-".join(filter(None, [os.environ.get("LAUNCHER_TEST_ENGINE", "suite"), os.environ.get("PYTEST_XDIST_WORKER")]))


def wait_for(condition: Callable[[], object], seconds: float, what: str, every: float = 0.05) -> object:
    """Poll a condition that has no event until it is true, and return its value; fails the test at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(every)  # the one place that polls


@dataclass
class PrivateEngine:
    """A running dockerd and how to reach it."""

    folder: Path
    run: Path
    process: subprocess.Popen[bytes]

    @property
    def socket(self) -> Path:
        """The Engine's socket."""
        return self.run / "docker.sock"

    @property
    def address(self) -> str:
        """The Engine's address for DOCKER_HOST."""
        return f"unix://{self.socket}"

    @classmethod
    @contextlib.contextmanager
    def started(cls, name: str, images: bool = False) -> Iterator[PrivateEngine]:
        """Start an Engine whose data root is kept in the cache, so that images are loaded once."""
        folder, run = CACHE / "engines" / name, Path("/run") / f"launcher-test-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        run.mkdir(parents=True, exist_ok=True)
        _end_leftover(run / "docker.pid")
        engine = cls(folder, run, cls._spawn(folder, run))
        try:
            engine._await()
            engine.wipe()
            if images:
                engine._load_images()
                database_image.provide(engine)
            yield engine
            engine.wipe()
        finally:
            engine.process.send_signal(signal.SIGCONT)
            engine.process.terminate()
            try:
                engine.process.wait(30)
            except subprocess.TimeoutExpired:
                engine.process.kill()
                engine.process.wait(10)

    def docker(self, *arguments: str, check: bool = True, input: bytes | None = None) -> str:
        """Run the docker command against this Engine and return its output."""
        done = subprocess.run(
            ["docker", *arguments],
            env={**os.environ, "DOCKER_HOST": self.address},
            capture_output=True,
            input=input,
            check=False,
            timeout=300,
        )
        if check and done.returncode:
            raise AssertionError(f"docker {' '.join(arguments)}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def inspect(self, name: str, template: str) -> str:
        """One value of an object's inspection."""
        return self.docker("inspect", "--format", template, name)

    def events(self, since: float) -> list[dict[str, object]]:
        """The container events since a moment (seconds since the epoch)."""
        lines = self.docker(
            "events", "--since", f"{since:.3f}", "--until", f"{time.time():.3f}", "--format", "{{json .}}"
        )
        return [json.loads(line) for line in lines.splitlines()]

    def wipe(self) -> None:
        """Remove everything but images and the class-data archive, which only makes starts quicker."""
        found = docker.APIClient(base_url=self.address, timeout=60)
        with contextlib.closing(found):
            containers = [c["Id"] for c in found.containers(all=True)]
            volumes = [v["Name"] for v in found.volumes()["Volumes"] or ()]
            networks = [n["Id"] for n in found.networks(filters={"type": "custom"})]
            # Images that a registry of a test gave: their layers must not be here when another wants to see them come.
            pulled = [t for i in found.images(filters={"reference": "127.0.0.1:*/*/*"}) for t in i["RepoTags"] or ()]
        if containers:
            self.docker("rm", "-f", "-v", *containers)
        named = [v for v in volumes if v != "tools-kestra-cds"]
        if named:  # by force: those without a name went with their containers
            self.docker("volume", "rm", "--force", *named)
        if pulled:
            self.docker("image", "rm", "--force", *pulled)
        if networks:
            self.docker("network", "rm", *networks)

    def remove(self, kind: str, listing: str, option: str, removal: list[str]) -> None:
        """Remove every object that a listing names."""
        names = self.docker(kind, listing, option).split()
        if names:
            self.docker(*removal, *names)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the Engine itself: STOP freezes it, CONT lets it go on."""
        self.process.send_signal(number)

    @staticmethod
    def _spawn(folder: Path, run: Path, options: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        command = [
            "dockerd",
            f"--host=unix://{run}/docker.sock",
            f"--data-root={folder}/data",
            f"--exec-root={run}/exec",
            f"--pidfile={run}/docker.pid",
            f"--containerd-namespace=launcher-test-{folder.name}",
            f"--containerd-plugins-namespace=launcher-test-plugins-{folder.name}",
            "--default-address-pool=base=10.213.0.0/16,size=24",
            "--bip=10.212.0.1/24",
            *options,
        ]
        with (folder / "dockerd.log").open("wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _await(self) -> None:
        def answers() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"dockerd ended: {(self.folder / 'dockerd.log').read_text()[-2000:]}")
            done = subprocess.run(["docker", "--host", self.address, "version"], capture_output=True, check=False)
            return done.returncode == 0

        wait_for(answers, READY_SECONDS, "a private dockerd answers", every=0.2)

    def _load_images(self, pattern: str = "*") -> None:
        for tar in sorted((CACHE / "images").glob(f"{pattern}.tar")):
            digest, loaded = Path(f"{tar}.digest").read_text(), self.folder / f"{tar.name}.loaded"
            noted, *names = loaded.read_text().splitlines() if loaded.exists() else [""]
            # A run that was killed may have left the Engine without an image that a test had taken away.
            if noted == digest.strip() and self._has(names):
                continue
            said = self.docker("load", "--input", str(tar))
            names = [line.partition(": ")[2] for line in said.splitlines() if line.startswith("Loaded image: ")]
            loaded.write_text("\n".join([digest.strip(), *names]))

    def _has(self, images: Sequence[str]) -> bool:
        """Whether some images are named, and all of these are here."""
        ids = self.docker("image", "inspect", "--format", "{{.Id}}", *images, check=False) if images else ""
        return 0 < len(images) == len(ids.split())


def _end_leftover(pidfile: Path) -> None:
    """End the Engine of a run that was killed, and remove its pid file, which would keep a new one from starting."""
    with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
        pid = int(pidfile.read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() == "dockerd":
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not Path(f"/proc/{pid}").exists(), 60, "the Engine of an earlier run ends")
    pidfile.unlink(missing_ok=True)
