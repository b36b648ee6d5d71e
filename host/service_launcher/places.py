"""Where a service's data is, and whether a start would quietly use another place, or none beside some.

Paths and volume names are those of the Engine's machine; what cannot be seen from here is not judged.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from service_launcher.containers import Mount, Volume
from service_launcher.host import Host
from service_launcher.models import Problem

#: Ids of services, with commas, whose data may be left behind: deliberate, and for one start.
ALLOW = "LAUNCHER_ALLOW_DATA_MOVE"

SHORTEST = 8  # characters of a volume's name below which likeness says nothing


def problems(
    host: Host, service: str, config: Mapping[str, object], wanted: Iterable[Mapping[str, str]], now: Iterable[Mount]
) -> Iterable[Problem]:
    """What a start of `service` would do to its data unasked.

    `config` is the rendered compose file, `wanted` the mounts of the service in it that hold data, `now` those of the
    present container. Where there is none, what was recorded when the service was last ready counts.
    """
    may = allowed(host, service)
    before = {mount.target: mount.source for mount in now} or host.last_ready().places
    volumes: dict[str, Volume] | None = None
    for mount in wanted:
        source, target = _source(mount, config), mount["target"]
        old = before.get(target)
        if old is not None and _real(old) != _real(source):
            yield _problem(
                service,
                may,
                f"{service} would use {source} for {target} instead of {old}, where its data is",
                f"set it back to {old}, or move the data there first",
            )
        elif mount["type"] == "volume":
            volumes = host.engine.volumes() if volumes is None else volumes
            if source in before.values() and source not in volumes:
                yield _problem(
                    service,
                    may,
                    f"the volume {source}, where the data of {service} was, is gone; a start would begin without data",
                    "docker volume ls; restore it from a backup",
                )
            elif _empty(volumes.get(source)) and (other := _look_alike(source, volumes)):
                yield _problem(
                    service,
                    may,
                    f"{service} would begin with the empty volume {source} beside {other}, which looks like its data",
                    f"copy {other} into {source}, or remove the one that is not wanted",
                )


def allowed(host: Host, service: str) -> bool:
    """Whether the operator lets the data of a service be left behind."""
    return service in (host.environment.get(ALLOW) or "").split(",")


def _real(source: str) -> str:
    """A folder without the links on the way to it; the name of a volume as it is."""
    return os.path.realpath(source) if os.path.isabs(source) else source


def _problem(service: str, allowed: bool, summary: str, fix: str) -> Problem:
    if allowed:
        return Problem(severity="warn", summary=f"{summary} ({ALLOW} allows it)", service=service)
    fix = f"{fix}; to leave it behind all the same: {ALLOW}={service} launcher start {service}"
    return Problem(severity="error", summary=summary, fix=fix, service=service)


def _source(mount: Mapping[str, str], config: Mapping[str, object]) -> str:
    """The folder, or the volume's real name: compose's file names it by a key."""
    if mount["type"] != "volume":
        return mount["source"]
    declared = config.get("volumes")
    volume = declared.get(mount["source"]) if isinstance(declared, Mapping) else None
    return str((volume or {}).get("name") or mount["source"])


def _look_alike(name: str, volumes: Mapping[str, Volume]) -> str | None:
    """A volume with data whose name is the wanted one but for a project's prefix, as renamed projects leave behind."""
    for other, volume in sorted(volumes.items()):
        short, long = sorted((name, other), key=len)
        alike = len(short) >= SHORTEST and long.endswith((f"_{short}", f"-{short}"))
        if alike and other != name and not _empty(volume):
            return other
    return None


def _empty(volume: Volume | None) -> bool:
    """Whether a volume is missing or has nothing in it; one that cannot be looked into counts as full."""
    if volume is None:
        return True
    try:
        return not any(Path(volume.mountpoint).iterdir())
    except OSError:
        return False
