"""A dockerd that one test may kill, freeze or fill up, in a network namespace of its own: it harms nobody.

Its data root is kept between tests, because loading images costs more than any fault; everything else on it is removed
before and after each test. A test that wants another data root (a small disk) gives its own folder.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import database_image
from tests.engines import CACHE, PrivateEngine, _end_leftover

STAND_INS = ("kestra-rehearsal-1", "postgres-17")


@dataclass
class OwnEngine(PrivateEngine):
    """A private Engine with the ways to hurt it, and to begin it again."""

    options: tuple[str, ...] = ()

    @classmethod
    @contextlib.contextmanager
    def begun(
        cls, name: str, images: Sequence[str], folder: Path | None = None, options: tuple[str, ...] = ()
    ) -> Iterator[OwnEngine]:
        """Run an Engine with some of the cached images until the block ends, whatever has become of it meanwhile."""
        folder, run = folder or CACHE / "engines" / name, Path("/run") / f"launcher-test-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        run.mkdir(parents=True, exist_ok=True)
        _end_leftover(run / "docker.pid")
        engine = cls(folder, run, cls._spawn(folder, run, options), options)
        try:
            engine._await()
            engine.wipe()
            for image in images:
                engine._load_images(image)
            database_image.provide(engine)
            yield engine
            if engine.process.poll() is not None:
                engine.begin()
            engine.signal(signal.SIGCONT)
            engine.wipe()
        finally:
            engine.end()

    def begin(self) -> None:
        """Begin it again on the same data."""
        _end_leftover(self.run / "docker.pid")
        self.process = self._spawn(self.folder, self.run, self.options)
        self._await()

    def end(self) -> None:
        """End it the clean way, as an administrator does."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.crash()

    def crash(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait(10)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It accepts connections and never answers."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A real ext4 file system of a size, on a file that is mounted by loop."""
    folder.mkdir()
    image = folder.with_suffix(".ext4")
    with image.open("wb") as file:
        file.truncate(megabytes * 1_000_000)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        image.unlink()


def fill(folder: Path, leave: int) -> Path:
    """Fill a disk up to so many bytes; removing the returned file frees it."""
    ballast = folder / "ballast"
    size = shutil.disk_usage(folder).free - leave
    # The file system needs some blocks for itself: to the last byte it is filled by writing until that fails.
    subprocess.run(["fallocate", "--length", str(size - 2_000_000 * (leave == 0)), str(ballast)], check=True)
    if leave == 0:
        rest = ["dd", "if=/dev/zero", f"of={ballast}", "oflag=append", "conv=notrunc", "bs=4k", "status=none"]
        assert subprocess.run(rest, capture_output=True, check=False).returncode, "the disk is full"
    return ballast
