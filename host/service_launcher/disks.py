"""The disks that services need, as far as they are to be seen from here, and whether they are filling up."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from service_launcher.containers import Mount
from service_launcher.engine_view import EngineView
from service_launcher.models import Finding, FindingVerdict

LOW_BYTES = 1_000_000_000
NO_BYTES = 200_000_000


def shared(engine: EngineView, root: Path) -> Iterator[Finding]:
    """The space that all services share: the engine's, where its folder is on this machine, and the installation's."""
    for what, place in _shared(engine, root):
        yield _space(what, place)


def own(service: str, mounts: Iterable[Mount], engine: EngineView, root: Path) -> Iterator[Finding]:
    """The space on disks that hold data of one service alone."""
    mounts = [mount for mount in mounts if mount.kind in ("volume", "bind")]
    volumes = engine.volumes() if any(mount.kind == "volume" for mount in mounts) else {}
    told = {os.stat(place).st_dev for _, place in _shared(engine, root)}
    for mount in mounts:
        volume = volumes.get(mount.source)
        place = Path(volume.mountpoint if volume else mount.source)
        if os.path.isdir(place) and os.stat(place).st_dev not in told:
            yield _space(f"{service}'s data in {mount.source}", place)


def _shared(engine: EngineView, root: Path) -> Iterator[tuple[str, Path]]:
    for what, place in (("the Docker Engine's data", Path(engine.data_root())), ("this installation", root)):
        if os.path.isdir(place):  # unlike Path's, no error where this user may not look
            yield what, place


def _space(what: str, place: Path) -> Finding:
    import shutil  # takes as long to import as a status call to the engine

    free = shutil.disk_usage(place).free
    if free >= LOW_BYTES:
        words = f"{free // 1_000_000_000} GB are free for {what} ({place})"
        return Finding(check="disk", verdict="pass", summary=words)
    verdict: FindingVerdict = "fail" if free < NO_BYTES else "warn"
    # The words of a start's own check, so that one of both is shown.
    words = f"only {free // 1_000_000} MB are free for {what} ({place})"
    return Finding(check="disk", verdict=verdict, summary=words, fix=f"df -h {place}")
