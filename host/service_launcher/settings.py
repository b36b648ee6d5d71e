"""Where an installation is: its root, the launcher's own folder, the people who act, the Engine's address."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from pathlib import Path

from service_launcher.errors import ConfigurationError, RootNotFound

MANIFEST = Path("config/services-manifest.json")


@dataclass(frozen=True)
class Settings:
    """What the launcher needs to know before it reads anything; `state` is its own folder, 0700."""

    root: Path
    actor: str

    @property
    def state(self) -> Path:
        """The launcher's own folder below the root."""
        return self.root / ".launcher"

    @property
    def manifest(self) -> Path:
        """The list of all services of this installation."""
        return self.root / MANIFEST


def find_root(given: str | None = None) -> Path:
    """The root: `given`, else LAUNCHER_ROOT, else upwards from the current folder to the manifest.

    Raises RootNotFound.
    """
    named = given or os.environ.get("LAUNCHER_ROOT")
    if named:
        root = Path(named).expanduser().resolve()
        if not root.is_dir():
            raise RootNotFound(f"{named} is not a folder", "launcher --root FOLDER, or set LAUNCHER_ROOT")
        return root
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / MANIFEST).is_file():
            return folder.resolve()
    raise RootNotFound(
        f"no {MANIFEST} in {here} or any folder above it",
        "launcher --root FOLDER, or set LAUNCHER_ROOT",
    )


def load(root: str | None = None, actor: str | None = None) -> Settings:
    """Settings for a root that is given or found; the actor is the user of this process unless named."""
    return Settings(root=find_root(root), actor=actor or f"{getpass.getuser()} (cli)")


def own_folder(settings: Settings) -> Path:
    """Make the launcher's folder, readable by its owner only, and return it. Raises ConfigurationError."""
    try:
        settings.state.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the launcher's own folder {settings.state} cannot be made: {error.strerror}", f"ls -ld {settings.root}"
        ) from error
    return settings.state
