"""The data of PostgreSQL: a server of one major version never opens the files of another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from service_launcher import Host, Problem

from launcher_kestra.services import POSTGRES, image_major

VOLUME = "tools-kestra-postgres-data"


def problems(host: Host) -> Iterable[Problem]:
    """Where image and data are of different majors; nothing where one of them cannot be found out."""
    image = POSTGRES.value(host, "KESTRA_POSTGRES_IMAGE")
    facts = host.engine.image(image)
    wanted = int(facts.environment["PG_MAJOR"]) if facts and "PG_MAJOR" in facts.environment else image_major(image)
    present = data_major(host)
    if wanted is None or present is None or wanted == present:
        return []
    summary = f"the image {image} is PostgreSQL {wanted}, and the data in the volume {VOLUME} is of {present}"
    fix = f"set KESTRA_POSTGRES_IMAGE to an image of PostgreSQL {present}; another major needs dump and restore"
    return [Problem(severity="error", summary=summary, fix=fix)]


def data_major(host: Host) -> int | None:
    """The major version of the files in the volume, else of the container's image; None when neither can be seen.

    Up to 17 the official image keeps the files in the volume itself, from 18 on in `18/docker` below it.
    """
    volume = host.engine.volumes().get(VOLUME)
    if volume is not None:
        root = Path(volume.mountpoint)
        try:
            files = [root / "PG_VERSION", *root.glob("*/docker/PG_VERSION")]
            versions = [int(file.read_text()) for file in files if file.is_file()]
        except (OSError, ValueError):
            versions = []
        if versions:
            return max(versions)
    container = POSTGRES.container(host)
    detail = host.engine.detail(container.id) if container is not None else None
    facts = host.engine.image(detail.image_id) if detail is not None else None
    major = facts.environment.get("PG_MAJOR", "") if facts is not None else ""
    return int(major) if re.fullmatch(r"\d+", major) else None
