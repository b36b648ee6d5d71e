"""config/plugins.toml: which installed plugins are used. It is obeyed, and changed, without importing any of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service_launcher.errors import ConfigurationError

FILE = Path("config/plugins.toml")


@dataclass(frozen=True)
class Selection:
    """The `only` plugins that are allowed (None: all), and the `disabled` ones."""

    only: tuple[str, ...] | None = None
    disabled: tuple[str, ...] = ()

    def refusal(self, name: str) -> str | None:
        """Why a plugin is left out; None when it is used."""
        if name in self.disabled:
            return f"disabled in {FILE}"
        if self.only is not None and name not in self.only:
            return f"not among `only` in {FILE}"
        return None


def read(path: Path) -> Selection:
    """What the file says; an absent one leaves out nobody. Raises ConfigurationError."""
    if not path.exists():
        return Selection()
    import tomllib

    try:
        with path.open("rb") as file:
            raw = tomllib.load(file)
    except (OSError, ValueError) as error:  # no TOML, or no UTF-8
        raise ConfigurationError(f"{FILE} cannot be read: {error}", f"edit {FILE}") from error
    if unknown := raw.keys() - {"only", "disabled"}:
        raise ConfigurationError(f"{FILE}: unknown key {sorted(unknown)[0]!r}", "use only and disabled")
    for key, names in raw.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ConfigurationError(f"{FILE}: {key} is no list of names", f'write {key} = ["name"]')
    only = raw.get("only")
    return Selection(None if only is None else tuple(only), tuple(raw.get("disabled", ())))


def change(path: Path, name: str, *, enabled: bool) -> bool:
    """Leave a plugin out or take it in; what else is in the file stays. Whether anything had to be written.

    Raises ConfigurationError.
    """
    chosen = read(path)
    if (chosen.refusal(name) is None) == enabled:
        return False
    disabled = [other for other in chosen.disabled if other != name]
    wanted: dict[str, list[str]] = {"disabled": disabled if enabled else [*disabled, name]}
    if enabled and chosen.only is not None and name not in chosen.only:
        wanted["only"] = [*chosen.only, name]
    _write(path, wanted)
    return True


def _write(path: Path, wanted: Mapping[str, list[str]]) -> None:
    import tomlkit  # keeps comments and order

    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
        for key, names in wanted.items():
            document[key] = names
        path.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as new:
            new.write(tomlkit.dumps(document))
            os.fchmod(new.fileno(), path.stat().st_mode & 0o777 if path.exists() else 0o644)
        Path(new.name).replace(path)
    except OSError as error:
        raise ConfigurationError(f"{FILE} cannot be written: {error.strerror}", f"ls -l {path.parent}") from error
