"""Reads, checks and writes config/services-manifest.json."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from service_launcher.errors import ManifestError
from service_launcher.models import ManifestEntry, Problem, Record

MAX_BYTES = 256 * 1024

Json = dict[str, Any]


class Manifest(Record):
    """The file as a whole: every service of the installation, whoever manages it."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    version: int = Field(ge=1, le=1)
    services: tuple[ManifestEntry, ...]


def read(path: Path) -> Manifest:
    """Read the manifest. Raises ManifestError, with the place, for anything but one sound document."""
    raw = _document(path)
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ManifestError(f"{path.name}: {_place(raw, first['loc'])}: {first['msg']}", f"edit {path}") from error
    names = Counter(name for e in manifest.services for name in (e.id, *e.aliases))
    for name, count in names.items():
        if count > 1:
            raise ManifestError(f"{path.name}: the id or alias {name!r} stands {count} times", f"edit {path}")
    return manifest


def drift(path: Path, entries: Iterable[ManifestEntry], root: Path) -> list[Problem]:
    """Every way in which the file disagrees with the plugins and with the tree around it."""
    manifest = read(path)
    written = {e.id: e for e in manifest.services}
    problems: list[Problem] = []

    def problem(service: str, summary: str, fix: str) -> None:
        problems.append(Problem(severity="error", summary=summary, fix=fix, service=service, raised_by="manifest"))

    for entry in entries:
        if entry.id not in written:
            problem(
                entry.id, f"{entry.id} is supplied by a plugin and missing in {path.name}", "launcher manifest sync"
            )
            continue
        ours, theirs = _fields(entry), _fields(written[entry.id])
        # What a plugin leaves open is for people to fill in.
        differing = sorted(k for k in ours if k not in theirs or ours[k] != theirs[k])
        if differing:
            problem(entry.id, f"{entry.id} differs from its plugin in {', '.join(differing)}", "launcher manifest sync")
    for entry in manifest.services:
        if not (root / entry.path).exists():
            problem(entry.id, f"{entry.id}: path {entry.path} does not exist", f"edit {path}")
        if entry.compose and not (root / entry.compose.file).is_file():
            problem(entry.id, f"{entry.id}: compose file {entry.compose.file} does not exist", f"edit {path}")
        script = root / entry.status if entry.status else None
        if script is not None and not (script.is_file() and os.access(script, os.X_OK)):
            problem(entry.id, f"{entry.id}: status script {entry.status} is missing or not executable", "chmod +x")
    ports = Counter(e.port for e in manifest.services if e.port is not None)
    for port, count in ports.items():
        if count > 1:
            who = ", ".join(e.id for e in manifest.services if e.port == port)
            problem(who.split(",")[0], f"port {port} stands {count} times: {who}", f"edit {path}")
    return problems


def sync(path: Path, entries: Sequence[ManifestEntry]) -> list[str]:
    """Write the plugins' entries into the file; other services and unknown fields stay. Returns changed ids."""
    raw: Json = _document(path) if path.exists() else {"version": 1, "services": []}
    if path.exists():
        read(path)
    changed = []
    for entry in entries:
        fields = _fields(entry)
        for place, service in enumerate(raw["services"]):
            if service.get("id") == entry.id:
                if service | fields != service:
                    raw["services"][place] = service | fields
                    changed.append(entry.id)
                break
        else:
            raw["services"].append(fields)
            changed.append(entry.id)
    if changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(json.dumps(raw, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    return changed


def schema() -> Json:
    """The JSON Schema of the file, made from the same model that reads it."""
    return Manifest.model_json_schema()


def _document(path: Path) -> Json:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}", f"ls -l {path}") from error
    if len(data) > MAX_BYTES:
        raise ManifestError(f"{path.name} is larger than {MAX_BYTES} bytes", f"edit {path}")

    def unique(pairs: list[tuple[str, Any]]) -> Json:
        for key, count in Counter(key for key, _ in pairs).items():
            if count > 1:
                raise ManifestError(f"{path.name}: the key {key!r} stands {count} times in one object", f"edit {path}")
        return dict(pairs)

    def no_constant(name: str) -> Any:
        raise ManifestError(f"{path.name}: {name} is not JSON", f"edit {path}")

    def finite(text: str) -> float:
        return float(text) if math.isfinite(float(text)) else no_constant(text)

    try:
        raw = json.loads(data, object_pairs_hook=unique, parse_constant=no_constant, parse_float=finite)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ManifestError(f"{path.name}: {where}: {error.msg}", f"edit {path}") from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ManifestError(
            f"{path.name}: not a usable JSON document ({type(error).__name__})", f"edit {path}"
        ) from error
    if not isinstance(raw, dict) or not isinstance(raw.get("services"), list):
        raise ManifestError(f"{path.name}: expected an object with a list named services", f"edit {path}")
    return raw


def _place(raw: Json, location: tuple[int | str, ...]) -> str:
    match location:
        case ("services", int(index), *rest):
            service = raw["services"][index]
            name = service.get("id", f"number {index + 1}") if isinstance(service, dict) else f"number {index + 1}"
            return ": ".join([f"service {name}", *map(str, rest)])
        case _:
            return ".".join(map(str, location)) or "the document"


def _fields(entry: ManifestEntry) -> Json:
    return entry.model_dump(mode="json", exclude_unset=True)
