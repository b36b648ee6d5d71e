"""A temporary installation: a folder with a manifest and a `.env` of its own, and the real launcher for it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from service_launcher import wiring
from service_launcher.compose import Finished, run
from service_launcher.launcher import Launcher
from service_launcher.models import ManifestEntry, Variable
from service_launcher.ports import free_port
from service_launcher.settings import MANIFEST

_FIRST_PORT = 20000


class TemporaryInstallation:
    """An installation below `root` that nobody else uses."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write_manifest([])

    @property
    def manifest(self) -> Path:
        """The private manifest."""
        return self.root / MANIFEST

    def write_manifest(self, entries: Iterable[ManifestEntry | Mapping[str, Any]]) -> Path:
        """Write the private manifest with these entries, and return its path."""
        services = [e.model_dump(mode="json") if isinstance(e, ManifestEntry) else dict(e) for e in entries]
        self.manifest.parent.mkdir(parents=True, exist_ok=True)
        self.manifest.write_text(json.dumps({"version": 1, "services": services}, indent=2) + "\n", encoding="utf-8")
        return self.manifest

    def set(self, **values: str) -> None:
        """Add variables to `.env`; what is there already stays."""
        self.launcher().add_variables({name: (value, "") for name, value in values.items()})

    def launcher(self) -> Launcher:
        """A launcher made anew, as each command makes one."""
        return wiring.build(str(self.root), actor="test")

    def fill(self, variables: Iterable[Variable], settings: Mapping[str, str]) -> dict[str, str]:
        """Give each declared variable a value that gets in nobody's way, `settings` first; returns the new ones.

        A name that ends with PORT gets a free port, a network a name of its own, a password is made up.
        """
        made: dict[str, str] = {}
        port = _FIRST_PORT + os.getpid() % 10000
        for variable in variables:
            if variable.name in settings or variable.name in made:
                continue
            if variable.name.endswith("PORT"):
                port = free_port(port) + 1
                made[variable.name] = str(port - 1)
            elif variable.kind == "network":
                made[variable.name] = f"contract-{os.getpid()}"
            elif variable.kind == "password":
                made[variable.name] = f"Canary1{variable.name.title().replace('_', '')}{os.getpid()}"
        made |= dict(settings)
        self.set(**made)
        return made

    def run(self, *arguments: str, seconds: float = 60) -> Finished:
        """Run the launcher's command for this installation, as an operator would; both outputs in one."""
        command = [sys.executable, "-m", "service_launcher", "--root", str(self.root), *arguments]
        return run(command, seconds=seconds, values={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
