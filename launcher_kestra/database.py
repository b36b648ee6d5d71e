"""The data of PostgreSQL: a server of one major version never opens the files of another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from service_launcher import Host, Problem

from launcher_kestra.services import DATA_TARGET, POSTGRES, tagged_major

VOLUME = "tools-kestra-postgres-data"


def problems(host: Host) -> Iterator[Problem]:
    """Where image and data are of different majors; nothing where one of them cannot be found out."""
    wanted = image_major(host)
    yield from _place(host, wanted)
    try:
        present = data_major(host) or _container_major(host)
    except OSError:
        present = last_major(host)
    if wanted and present and wanted != present:
        image = POSTGRES.value(host, "KESTRA_POSTGRES_IMAGE")
        summary = f"the image {image} is PostgreSQL {wanted}, and the data in the volume {VOLUME} is of {present}"
        fix = f"set KESTRA_POSTGRES_IMAGE to an image of PostgreSQL {present}; another major needs dump and restore"
        yield Problem(severity="error", summary=summary, fix=fix)


def _place(host: Host, major: int | None) -> Iterator[Problem]:
    """Where the volume would be mounted beside the folder in which this major keeps its files, which would be lost."""
    target = host.environment.get(DATA_TARGET)
    expected = "/var/lib/postgresql" if (major or 0) >= 18 else "/var/lib/postgresql/data"
    if major and target and target.rstrip("/") != expected:
        words = f"{DATA_TARGET} is {target}, and PostgreSQL {major} keeps its data in {expected}"
        fix = f"take {DATA_TARGET} out of .env: the launcher knows the place by the image"
        yield Problem(severity="error", summary=f"{words}: it would not be in the volume {VOLUME}", fix=fix)


def image_major(host: Host) -> int | None:
    """The major version of the image that a start would take: what it says of itself, else its tag."""
    return _major(host, POSTGRES.value(host, "KESTRA_POSTGRES_IMAGE"))


def data_major(host: Host) -> int | None:
    """The major version of the files in the volume, None where it has none. Raises OSError where it cannot be read.

    Up to 17 the official image keeps the files in the volume itself, from 18 on in `18/docker` below it.
    """
    volume = host.engine.volumes().get(VOLUME)
    if volume is None:
        return None
    root = Path(volume.mountpoint)
    next(root.iterdir(), None)  # glob passes over what it may not read
    files = [file for file in (root / "PG_VERSION", *root.glob("*/docker/PG_VERSION")) if file.is_file()]
    return max((_number(file.read_text().strip()) or 0 for file in files), default=None)


def last_major(host: Host) -> int | None:
    """The major version of the present container, else of the image by which the database was last ready.

    For data that cannot be read; whoever leaves them behind deliberately is not held to what they were.
    """
    last = host.last_ready()
    held = last.image and not POSTGRES.may_leave_data(host)
    remembered = _major(host, last.image, last.image_id) if held else None
    return _container_major(host) or remembered


def _container_major(host: Host) -> int | None:
    container = POSTGRES.container(host)
    return _major(host, container.image, container.image_id) if container is not None else None


def _major(host: Host, image: str, image_id: str = "") -> int | None:
    """What the image says of itself, else its tag; by its id, where that is known, because a name can move on."""
    facts = host.engine.image(image_id or image)
    return _number(facts.environment.get("PG_MAJOR", "")) if facts is not None else tagged_major(image)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d+", text) else None
