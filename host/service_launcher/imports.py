"""What surrounds the import of a plugin: a note of it, its host range, and pluggy as it was before."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import sys
from email.message import Message
from functools import cache
from importlib import import_module
from pathlib import Path

import pluggy

from service_launcher.errors import PluginFailed
from service_launcher.redaction import printable


class Loading:
    """Leaves a note of which plugin is being loaded: one that ends the process cannot be contained, only named.

    `os._exit`, a signal or a crash in a C library take the launcher along. The next one finds the note of a process
    that is gone and says, before it imports anything, which plugin that was and how to leave it out.
    """

    def __init__(self, state: Path | None) -> None:
        # Where nothing has been started yet there is no folder, and a reading command makes none.
        self._folder = state / "loading" if state is not None and state.is_dir() else None
        self._note: Path | None = None
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.mkdir(mode=0o700, exist_ok=True)
                self._tell_of_the_dead(self._folder)

    def begin(self, name: str) -> None:
        """Note that a plugin is being imported, or asked for its services, from now on."""
        if self._folder is not None:
            self._note = self._folder / str(os.getpid())
            with contextlib.suppress(OSError):  # on a read-only tree nobody is named
                self._note.write_text(name, encoding="utf-8")

    def done(self) -> None:
        """All are loaded, or loading was ended by somebody else."""
        if self._note is not None:
            with contextlib.suppress(OSError):
                self._note.unlink(missing_ok=True)

    @staticmethod
    def _tell_of_the_dead(folder: Path) -> None:
        for note in folder.iterdir():
            if note.name.isdigit() and not Path(f"/proc/{note.name}").exists():
                name = printable(note.read_text(encoding="utf-8"))[:100]
                note.unlink(missing_ok=True)
                # Before the import, which may end this process too, and then nothing more could be said.
                print(  # noqa: T201
                    f"Warning: an earlier launcher ended while it loaded the plugin {name}; if this one ends too\n"
                    f"Try:     launcher plugins disable {name}",
                    file=sys.stderr,
                    flush=True,
                )


def loaded(entry_point: importlib.metadata.EntryPoint) -> object:
    """What an entry point names. Raises what the import raises, and LookupError for a name that the module has not."""
    module = import_module(entry_point.module)
    found: object = module
    for name in filter(None, (entry_point.attr or "").split(".")):
        if not hasattr(found, name):
            raise LookupError(
                f"its entry point is {entry_point.value}, and {entry_point.module} has no {name}: "
                "change one of them, and install it again"
            )
        found = getattr(found, name)
    return found


def host_requirement(metadata: importlib.metadata.PackageMetadata | Message) -> str:
    """The dependency by which a plugin declares its host; empty where it declares none."""
    for line in metadata.get_all("Requires-Dist") or ():
        if re.match(r"service[-_.]launcher(?![\w-])", line, re.IGNORECASE):
            return str(line)
    return ""


@cache
def own_version() -> str:
    return importlib.metadata.version("service-launcher")


@cache  # most plugins ask for the same
def host_mismatch(line: str) -> str | None:
    """What is wrong with the declared host range, if anything."""
    if not line:
        return None
    from packaging.requirements import InvalidRequirement, Requirement

    own = own_version()
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return f"its dependency {line!r} cannot be read"
    if own not in requirement.specifier:
        return f"it needs service-launcher {requirement.specifier}, this is {own}: install a matching version"
    return None


#: pluggy as it was before any plugin was imported.
_PLUGGY = [(owner, dict(vars(owner))) for owner in (pluggy, pluggy.PluginManager, pluggy.HookCaller)]


def restore_pluggy(name: str) -> None:
    """Undo what an import did to pluggy, on which everybody else rests. Raises PluginFailed when it did anything."""
    if all(vars(owner) == before for owner, before in _PLUGGY):
        return
    changed = [
        (owner, attribute, value)
        for owner, before in _PLUGGY
        for attribute, value in before.items()
        if vars(owner).get(attribute) is not value
    ]
    for owner, attribute, value in changed:
        setattr(owner, attribute, value)
    if changed:
        owner, attribute, _ = changed[0]
        raise PluginFailed(f"plugin {name} changed pluggy itself ({owner.__name__}.{attribute}) on import")
