"""The launcher of an installation as its files are now: who edits `.env` need not start anything again."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from service_launcher import envfile
from service_launcher.errors import ConfigurationError

if TYPE_CHECKING:
    from service_launcher.launcher import Launcher
    from service_launcher.observation import Reading


Complain = Callable[["Launcher", ConfigurationError], None]


def _ignore(launcher: Launcher, wrong: ConfigurationError) -> None:
    """The complaint of who asks for what is wrong."""


class Installation:
    """Builds the launcher anew when one of the files that it has read is another one.

    Where that fails it tells `complain` once, with the launcher that stays in use.
    """

    def __init__(self, build: Callable[[], Launcher], complain: Complain = _ignore) -> None:
        self._build, self._complain = build, complain
        self._lock = threading.Lock()
        began = time.time_ns()
        self._launcher = build()
        # What is changed while it is read counts as not read.
        self._stamps = {
            file: stamp if stamp is None or stamp[1] < began else None for file, stamp in self._present().items()
        }
        self._wrong: ConfigurationError | None = None

    def current(self) -> Launcher:
        """The launcher that the files describe now. Raises ConfigurationError where they are wrong."""
        launcher, wrong = self.readable()
        if wrong is not None:
            raise wrong.with_traceback(None)  # else it would grow with every caller
        return launcher

    def readable(self) -> tuple[Launcher, ConfigurationError | None]:
        """The present launcher, else the last one that could be built, with what is wrong with the files.

        As long as the files stay the same, so do both.
        """
        with self._lock:
            news = None
            if (present := self._present()) != self._stamps:
                try:
                    self._launcher, self._wrong = self._build(), None
                except ConfigurationError as error:
                    self._wrong = news = error
                self._stamps = present
            found = self._launcher, self._wrong
        if news is not None:
            with contextlib.suppress(OSError):  # nobody reads what is said there any more
                self._complain(found[0], news)
        return found

    def live(
        self, stop: threading.Event, names: Iterable[str] = (), phases: Iterable[str] = (), record: bool = True
    ) -> Iterator[tuple[Launcher, ConfigurationError | None, Reading]]:
        """The readings of `Launcher.live`, each with the launcher that read it and what is wrong with the files now.

        Raises UnknownService or UnknownPhase when the files no longer know what was asked for.
        """
        from service_launcher.live import Heard

        heard = Heard()
        while not stop.is_set():
            present = self.readable()
            with contextlib.closing(present[0].live(stop, names, phases, heard, record)) as readings:
                for reading in readings:
                    yield *present, reading
                    if self.readable() != present:
                        break

    def _present(self) -> dict[Path, tuple[int, int, int] | None]:
        settings = self._launcher.settings
        files = [
            *(settings.root / name for name in envfile.FILES),
            settings.manifest,
            settings.root / "config/plugins.toml",
        ]
        return {file: _stamp(file) for file in files}


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    # Unlike the time of its content, nobody can set that of its change back.
    return found.st_ino, found.st_ctime_ns, found.st_size
