"""A new plugin's distribution, rendered by copier from plugin_template: what is shared, then what its kind adds."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from service_launcher.errors import ConfigurationError

TEMPLATE = Path(__file__).with_name("plugin_template")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def make(name: str, kind: str, into: Path, *, image: str, port: int, health: str) -> Path:
    """Make the folder launcher-NAME in `into` and return it. Raises ConfigurationError."""
    if not _NAME.fullmatch(name) or len(name) > 40:
        raise ConfigurationError(f"{name!r} is no plugin name", "use lower-case letters, digits and single hyphens")
    folder = into / f"launcher-{name}"
    if folder.exists():
        raise ConfigurationError(f"{folder} is there already", "choose another name, or --into another folder")
    try:
        from copier import run_copy
    except ImportError as error:
        raise ConfigurationError(
            "making a plugin needs more than running one", "pip install 'service-launcher[authoring]'"
        ) from error
    host = importlib.metadata.version("service-launcher")
    major, minor = host.split(".")[:2]
    answers = {
        "name": name,
        "module": f"launcher_{name.replace('-', '_')}",
        "variable": name.replace("-", "_").upper(),
        "title": name.replace("-", " ").title(),
        "kind": kind,
        "image": image,
        "port": port,
        "health": health,
        "host_range": f">={major}.{minor},<{int(major) + 1}",
    }
    for part in ("shared", kind):
        run_copy(str(TEMPLATE / part), folder, data=answers, defaults=True, overwrite=True, quiet=True)
    return folder
