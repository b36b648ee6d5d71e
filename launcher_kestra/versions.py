"""Which versions of Kestra have holes that are known, from its advisories and release pages."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: A line of releases, of which each hole was mended in one: 1.0 and 1.3 have long support, and 2.0 came last.
Version = tuple[int, int, int]

#: The last hole was mended on 2026-09-08 in 1.0.60 and 1.3.38, the day of 2.0.0; nobody has said in which 2.0.
NEW_LINE, TRUSTED = (2, 0, 0), (2, 0, 3)


@dataclass(frozen=True)
class Hole:
    """A hole, and the first versions of the lines 1.0 and 1.3 that do not have it."""

    name: str
    mended: tuple[Version, Version]


HOLES = (
    Hole("CVE-2026-34612, CVE-2026-38428: SQL injection up to running code", ((1, 0, 35), (1, 3, 4))),
    Hole(
        "CVE-2026-53576, CVE-2026-49869: whoever reaches it runs code as root, without a login",
        ((1, 0, 45), (1, 3, 21)),
    ),
    Hole("whoever reaches it runs code, without a login, by an encoded path (1.3.38 notes)", ((1, 0, 60), (1, 3, 38))),
)


def parse(text: str) -> Version | None:
    """A whole version such as `v1.3.25` or `2.0.0-SNAPSHOT`; None for anything else, rolling tags included."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)(?![\d.])", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def tag(image: str) -> str:
    """The tag of an image's name, `latest` where it has none."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[2] or "latest"


def holes(version: Version) -> list[str]:
    """The known holes of a version. Lines between 1.0 and 1.3 were never mended."""
    if version >= NEW_LINE:
        return []
    on_long_line = (1, 0, 0) <= version < (1, 1, 0)
    return [hole.name for hole in HOLES if version < (hole.mended[0] if on_long_line else hole.mended[1])]


def doubt(version: Version) -> str | None:
    """Why a version without a known hole is not trusted either."""
    if not NEW_LINE <= version < TRUSTED:
        return None
    return "whether it has the last hole that 1.3.38 mends is not known; 2.0.3 and newer came later"


def rolling(image: str) -> str | None:
    """What an image's rolling tag can turn into; None for a tag of one release, or of this machine."""
    if "@" in image or image.startswith("local/"):
        return None
    name = tag(image).removesuffix("-slim").removesuffix("-no-plugins")
    if name == "latest-full":
        return "stands still at 0.20, which gets no fixes and has no login"
    if name in ("latest", "latest-lts", "develop") or re.fullmatch(r"v?\d+(\.\d+)?", name):
        return "is a rolling tag: the next pull can be another version"
    return None


def text(version: Version) -> str:
    """A version as Kestra writes it."""
    return ".".join(map(str, version))
