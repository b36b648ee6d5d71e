"""Every error an operator can meet, as a tree with exit codes.

LauncherError                      1
├── ConfigurationError             2   nothing was changed
│   ├── RootNotFound
│   ├── EnvFileError
│   ├── ManifestError
│   ├── UnknownService
│   ├── UnknownPhase
│   └── DependencyCycle
├── PreflightRefused               3   nothing was changed
├── Busy                           4
├── EngineUnavailable              5
│   ├── EngineRefused                  one question; it may answer others
│   └── EventStreamEnded               the engine itself may still answer
├── ComposeFailed                  1
└── PluginFailed                   1

Interrupted                        130, 143
"""

from __future__ import annotations


class LauncherError(Exception):
    """What happened (`summary`), what to try (`fix`), and the exit code that tells scripts."""

    exit_code = 1

    def __init__(self, summary: str, fix: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.fix = fix


class ConfigurationError(LauncherError):
    """What the operator wrote cannot be used; nothing was changed."""

    exit_code = 2


class RootNotFound(ConfigurationError):
    """No folder with config/services-manifest.json was found."""


class EnvFileError(ConfigurationError):
    """An environment file holds something outside the accepted grammar, or cannot be read."""


class ManifestError(ConfigurationError):
    """The services manifest cannot be read or contradicts itself."""


class UnknownService(ConfigurationError):
    """A name is neither the id nor an alias of a service; `services` are those that depend on it."""

    services: frozenset[str] = frozenset()


class UnknownPhase(ConfigurationError):
    """A phase is the stack of no service."""


class DependencyCycle(ConfigurationError):
    """Services wait for one another in a circle; `services` are those in it."""

    services: frozenset[str] = frozenset()


class PreflightRefused(LauncherError):
    """A check before the first change said no; nothing was changed."""

    exit_code = 3


class Busy(LauncherError):
    """Another operation holds the compose project."""

    exit_code = 4


class EngineUnavailable(LauncherError):
    """The Docker Engine does not answer."""

    exit_code = 5


class EngineRefused(EngineUnavailable):
    """The Docker Engine answers a question with an error; it may answer others."""


class EventStreamEnded(EngineUnavailable):
    """The Docker Engine ended its stream of events; it may still answer questions."""


class ComposeFailed(LauncherError):
    """`docker compose` ended with an error or passed its deadline."""


class PluginFailed(LauncherError):
    """A plugin raised, hung or answered nonsense; the message names it."""


class Interrupted(BaseException):
    """A signal ended the operation; the exit code is 128 plus the signal's number.

    Like KeyboardInterrupt it is no Exception: whoever asks a plugin or the engine, and takes every error of theirs for
    an answer, must not take this for one.
    """

    def __init__(self, signal_number: int, summary: str) -> None:
        super().__init__(summary)
        self.summary, self.fix = summary, "launcher status"
        self.exit_code = 128 + signal_number
