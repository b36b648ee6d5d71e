"""The two tokens of an installation, operator's and viewer's, and the one-use codes that a browser trades for one."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from service_launcher.errors import ConfigurationError

CODE_SECONDS = 60
CODES = 32  # that wait for their use at once; an older one gives way
FEWEST_CHARACTERS = 32


class Role(StrEnum):
    """What the bearer of a token may do."""

    OPERATOR = "operator"  # everything that the command line can
    VIEWER = "viewer"  # read everything, change nothing


FILES = {Role.OPERATOR: "token", Role.VIEWER: "token.view"}


def path(folder: Path, role: Role) -> Path:
    """The file of a role's token in the launcher's own folder."""
    return folder / FILES[role]


def read(file: Path) -> str:
    """A token from its file. Raises ConfigurationError where it is not ours alone, or is none."""
    again = f"rm {file}, then start the server again: it writes a new one"
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigurationError(f"the token {file} cannot be read: {error.strerror}", f"ls -l {file}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise ConfigurationError(f"the token {file} is not a plain file of its own", again)
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise ConfigurationError(f"others can read the token {file}", again)
        token = os.read(descriptor, 1000).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)
    if len(token) < FEWEST_CHARACTERS:
        raise ConfigurationError(f"the token {file} is shorter than {FEWEST_CHARACTERS} characters", again)
    return token


def ensure(file: Path) -> str:
    """The token in a file, which is made where there is none: 256 random bits, 0600 from the first byte.

    Raises ConfigurationError.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return read(file)
    except OSError as error:
        raise ConfigurationError(
            f"the token {file} cannot be made: {error.strerror}", f"ls -ld {file.parent}"
        ) from error
    try:
        os.write(descriptor, f"{secrets.token_urlsafe(32)}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return read(file)


@dataclass
class Attempts:
    """Failed attempts in the last while; monotonic, so that no change of the clock forgives any."""

    limit: int
    seconds: float
    _times: deque[float] = field(default_factory=deque)

    def exhausted(self) -> bool:
        """Whether there were too many of them."""
        while self._times and self._times[0] < time.monotonic() - self.seconds:
            self._times.popleft()
        return len(self._times) >= self.limit

    def failed(self) -> None:
        """Count one."""
        self._times.append(time.monotonic())
        while len(self._times) > self.limit:
            self._times.popleft()


class Tokens:
    """Tells the role of a token; hands out codes and takes them back once."""

    def __init__(self, operator: str, viewer: str) -> None:
        self._tokens = {Role.OPERATOR: operator, Role.VIEWER: viewer}
        self._codes: OrderedDict[str, tuple[Role, float]] = OrderedDict()

    @classmethod
    def of(cls, folder: Path) -> Tokens:
        """Those of the launcher's own folder, made where they are missing. Raises ConfigurationError."""
        return cls(*(ensure(path(folder, role)) for role in (Role.OPERATOR, Role.VIEWER)))

    def role(self, token: str) -> Role | None:
        """Whose token it is; takes the same time whatever is given."""
        found = [role for role, known in self._tokens.items() if hmac.compare_digest(token.encode(), known.encode())]
        return found[0] if found else None

    def new_code(self, role: Role) -> str:
        """A code that is worth the role's token once, within the next minute."""
        code = secrets.token_urlsafe(32)
        self._codes[_digest(code)] = role, time.monotonic() + CODE_SECONDS
        while len(self._codes) > CODES:
            self._codes.popitem(last=False)
        return code

    def redeem(self, code: str) -> tuple[Role, str] | None:
        """The role and token for a code, which is worth nothing afterwards."""
        role, until = self._codes.pop(_digest(code), (None, 0.0))
        return (role, self._tokens[role]) if role is not None and time.monotonic() < until else None


def _digest(code: str) -> str:
    # Looked up by digest: how long a look-up takes tells nothing about the codes themselves.
    return hashlib.sha256(code.encode()).hexdigest()
