"""The freeze guard: while a freeze is announced at the root, nothing is started or stopped by phase."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from service_launcher.errors import PreflightRefused

NOTICE = "FREEZE-NOTICE.md"
BYPASS = "ALLOW_FREEZE_BYPASS"

_STATUS = re.compile(r"^[\s>*_-]*Status[*_]*\s*:[*_\s]*(?P<value>[A-Za-z ]+?)[*_\s.!]*$", re.IGNORECASE | re.MULTILINE)
_FROZEN = {"ACTIVE", "IN PROGRESS", "ONGOING"}


def check(root: Path, env: Mapping[str, str]) -> None:
    """Refuse when the notice's status *value* says that the freeze is on. Raises PreflightRefused."""
    try:
        text = (root / NOTICE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    status = _STATUS.search(text)
    if status and status["value"].strip().upper() in _FROZEN and env.get(BYPASS) != "1":
        raise PreflightRefused(f"{NOTICE} says: Status: {status['value'].strip()}", f"{BYPASS}=1 overrides the freeze")
