"""A file that is replaced in one step: whoever reads it, also after a power cut, sees the old content or the new."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

STRAY_SECONDS = 60.0  # nobody writes for so long


def replace(path: Path, text: str) -> None:
    """Write `text` to `path`, 0600 from its first byte, for the owner of the file that was there. Raises OSError."""
    _clean_up(path)
    descriptor, name = tempfile.mkstemp(".new", f"{path.name}.", path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            if path.exists():  # whose file it was, also after `sudo launcher init`
                os.fchown(descriptor, path.stat().st_uid, path.stat().st_gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # without it a power cut can bring the old name back
    finally:
        os.close(folder)


def _clean_up(path: Path) -> None:
    """Remove what a writer that was killed has left: a copy of everything that is secret in the file."""
    for stray in path.parent.glob(f"{path.name}.*.new"):
        with contextlib.suppress(OSError):
            if time.time() - stray.stat().st_mtime > STRAY_SECONDS:
                stray.unlink()
