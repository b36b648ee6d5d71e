"""The strict `.env` reader and atomic writer, and the environment merged from every source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from pydantic import SecretStr

from service_launcher import atomic_file
from service_launcher.errors import EnvFileError

#: Lowest precedence first; the process environment comes last and wins.
FILES = ("config/.env.defaults", ".env.shared", ".env", ".env.local")

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
#: Not even quotes keep python-dotenv from filling in `${NAME}`, and from reading a carriage return as a newline.
_QUOTED = re.compile(r"'(?:[^'\\\n\r\0$\ud800-\udfff]|\$(?!\{))*'")
_SECRET_NAME = re.compile(
    r"PASSWO?R?D|PASSPHRASE|_PASS$|SECRET|TOKEN|API_?KEY|(PRIVATE|ACCESS|ENCRYPTION)_KEY|CREDENTIAL", re.IGNORECASE
)
#: Names that would steer docker, the dynamic linker or an interpreter instead of the services.
_CONTROL = re.compile(
    r"(COMPOSE_|DOCKER_|LD_|PYTHON|BASH|ENV$|IFS$|PATH$|HOME$|SHELL"
    # bash keeps these for itself, so that it would see another value than compose
    r"|(_|E?UID|PPID|GROUPS|S?RANDOM|SECONDS|EPOCH(SECONDS|REALTIME)|LINENO|SHLVL|DIRSTACK|FUNCNAME|HISTCMD)$)"
)


def is_secret(name: str) -> bool:
    """Whether a variable's value must never be shown; judged by its name."""
    return bool(_SECRET_NAME.search(name))


@dataclass(frozen=True)
class Variable:
    """A value and the file (relative to the root) or "process environment" that it came from."""

    value: str
    source: str


class Environment(Mapping[str, str]):
    """Every variable's effective value; reading a secret needs `secret()`, and nothing here prints one."""

    def __init__(self, variables: Mapping[str, Variable]) -> None:
        self._variables = dict(variables)

    def __getitem__(self, name: str) -> str:
        if is_secret(name):
            raise KeyError(f"{name} is a secret: use secret({name!r})")
        return self._variables[name].value

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._variables if not is_secret(name))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Environment of {len(self._variables)} variables>"

    def secret(self, name: str) -> SecretStr | None:
        """The wrapped value of a secret, or None where it is not set."""
        variable = self._variables.get(name)
        return SecretStr(variable.value) if variable else None

    def source(self, name: str) -> str | None:
        """Where the effective value of a variable came from."""
        variable = self._variables.get(name)
        return variable.source if variable else None

    def select(self, names: Iterable[str]) -> dict[str, str]:
        """The raw values of the named variables, secrets included: only for handing to a child process."""
        return {name: self._variables[name].value for name in names if name in self._variables}

    def secret_values(self) -> tuple[str, ...]:
        """The raw values of all secrets, for the redactor."""
        return tuple(v.value for name, v in self._variables.items() if is_secret(name) and v.value)


def parse(text: str, name: str) -> dict[str, str]:
    """Read the subset of the `.env` grammar on which compose, python-dotenv and bash agree.

    Raises EnvFileError with the line number and the key, never the value.
    """
    from dotenv.parser import parse_stream

    def refuse(line: int, key: str | None, why: str) -> EnvFileError:
        where = f"{name}, line {line}" + (f", {key}" if key else "")
        return EnvFileError(f"{where}: {why}", f"write KEY=value or KEY='value' in {name}; see .env.example")

    if text.startswith("\ufeff"):
        raise refuse(1, None, "the file begins with a byte order mark")
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if "\r" in line:
            name_of = line.partition("=")[0]
            raise refuse(number, name_of if _KEY.fullmatch(name_of) else None, "the line holds a carriage return")
        bare = line.strip(" \t")
        if not bare or bare.startswith("#"):
            continue
        key, equals, raw = line.partition("=")
        if not equals or not _KEY.fullmatch(key):
            raise refuse(number, None, "not of the form KEY=value")
        if _CONTROL.match(key):
            raise refuse(number, key, "this name steers docker or the system and is not accepted in a file")
        if key in found:
            raise refuse(number, key, "defined twice")
        if not (_BARE.fullmatch(raw) or _QUOTED.fullmatch(raw)):
            raise refuse(number, key, "the value needs single quotes, or holds a character no quoting makes safe")
        binding = next(iter(parse_stream(StringIO(line))))
        if binding.error or binding.key != key or binding.value is None:
            raise refuse(number, key, "cannot be parsed")
        found[key] = binding.value
    return found


def read(path: Path, name: str) -> dict[str, str]:
    """The variables of one file; an absent file has none. Raises EnvFileError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise EnvFileError(f"{name} cannot be read: {error.strerror}", f"ls -l {name}") from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise EnvFileError(f"{name}, line {line}: not UTF-8", "save the file as UTF-8") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise EnvFileError(f"{name}, line {line}: holds a NUL byte", "remove it")
    return parse(text, name)


def load(root: Path, process: Mapping[str, str]) -> Environment:
    """Merge the files of a root and the process environment, which wins. Raises EnvFileError."""
    merged: dict[str, Variable] = {}
    for name in FILES:
        for key, value in read(root / name, name).items():
            merged[key] = Variable(value, name)
    for key, value in process.items():
        merged[key] = Variable(value, "process environment")
    return Environment(merged)


def add_absent(path: Path, wanted: Mapping[str, tuple[str, str]], header: str = "") -> list[str]:
    """Add the variables that a file does not have yet; `wanted` maps names to (value, comment).

    Never changes a line that is there. The file is 0600 from its first byte and replaced in one step, so a
    reader or a power cut sees the old content or the new one. Returns the names that were added. Raises EnvFileError.
    """
    present = read(path, path.name)
    missing = {name: wanted[name] for name in wanted if name not in present}
    if not missing:
        return []
    if path.is_symlink():
        raise EnvFileError(f"{path.name} is a symbolic link", "put a real file there")
    old = path.read_text(encoding="utf-8") if path.exists() else header
    lines = [old if not old or old.endswith("\n") else old + "\n"]
    for name, (value, comment) in missing.items():
        lines.append((f"# {comment}\n" if comment else "") + f"{name}={quote(name, value)}\n")
    text = "".join(lines)
    parse(text, path.name)
    try:
        atomic_file.replace(path, text)
    except OSError as error:
        raise EnvFileError(f"{path.name} cannot be written: {error.strerror}", f"df -h {path.parent}") from error
    return list(missing)


def quote(name: str, value: str) -> str:
    """The value as it stands in a file; EnvFileError where the accepted grammar has no form for it."""
    if _BARE.fullmatch(value):
        return value
    if _QUOTED.fullmatch(f"'{value}'"):
        return f"'{value}'"
    raise EnvFileError(
        f"{name}: a value with a quote, a backslash, ${{ or a line's end has no safe form in a file",
        f"export {name} in the environment of the launcher",
    )
