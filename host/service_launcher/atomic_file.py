"""A file that is replaced in one step: whoever reads it, also after a power cut, sees the old content or the new."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Write `text` to `path`, 0600 from its first byte, for the owner of the file that was there. Raises OSError."""
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
