"""Finds plugins, loads each one alone, and calls every hook through one guard.

pluggy offers no isolation: one broken import stops the loading of all, one exception loses every answer. So each
plugin has a manager to itself, is loaded and asked on a thread with a deadline, and what it answers is validated.
Only pluggy's public interface is used.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from functools import cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import pluggy
from pydantic import TypeAdapter, ValidationError

from service_launcher import hookspecs, selection
from service_launcher.errors import LauncherError, PluginFailed
from service_launcher.models import (
    Action,
    AutoStart,
    Cause,
    Event,
    Finding,
    ManifestEntry,
    Problem,
    ServiceStatus,
    Variable,
)
from service_launcher.redaction import printable

if TYPE_CHECKING:
    import click

    from service_launcher.envfile import Environment
    from service_launcher.host import Host

T = TypeVar("T")

#: How long each hook may take, in seconds; start and stop get the entry's own limits on top of these.
DEADLINES: Mapping[str, float] = {
    "load": 10.0,  # of every command: more is an import that hangs
    "launcher_manifest_entries": 5.0,
    "launcher_variables": 5.0,
    "launcher_auto_start": 2.0,
    "launcher_preflight": 10.0,
    "launcher_drift": 25.0,
    "launcher_findings": 10.0,
    "launcher_start": 1800.0,  # images may have to be pulled first
    "launcher_stop": 60.0,
    "launcher_status": 2.8,
    "launcher_causes": 2.0,
    "launcher_commands": 5.0,
    "launcher_event": 1.0,
}

#: More than this nobody answers in earnest; it is where reading a generator ends.
MOST_ANSWERS = 1000


@dataclass(frozen=True)
class HookCall:
    """One call into foreign code, for `launcher plugins trace`: how long it took, and what came of it."""

    plugin: str
    hook: str
    service: str | None
    seconds: float
    answer: object = None
    failure: str = ""


@dataclass
class Plugin:
    """One installed plugin: where it comes from, whether it works, and if not, why."""

    name: str
    distribution: str
    version: str
    target: str
    host_range: str = ""
    state: Literal["active", "failed", "incompatible", "disabled"] = "active"
    reason: str = ""
    hooks: tuple[str, ...] = ()
    services: list[str] = field(default_factory=list)
    folder: str = ""


class _Names:
    """Hooks or specifications by name, and nothing else: pluggy looks long at each name of what it is given."""

    def __init__(self, names: Mapping[str, object]) -> None:
        self.__dict__.update(names)

    def __dir__(self) -> Iterable[str]:
        return self.__dict__


_SPECIFIED = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("launcher_")}


def _check_known(callers: Iterable[pluggy.HookCaller]) -> None:
    """A hook that no specification knows would never be called: a typing error, or a hook that is gone."""
    for caller in callers:
        if not caller.has_spec() and not any(implementation.optionalhook for implementation in caller.get_hookimpls()):
            raise PluginFailed(
                f"unknown hook {caller.name}: mistyped, or not of service-launcher {_own_version()}; "
                f"known: {', '.join(sorted(_SPECIFIED))}",
                "mend the plugin",
            )


class Plugins:
    """Every plugin of this installation behind typed methods; a broken one is named and the rest goes on."""

    def __init__(
        self,
        entry_points: Iterable[importlib.metadata.EntryPoint],
        allowed: Callable[[str], str | None],
        on_call: Callable[[HookCall], None] | None = None,
        loading: Loading | None = None,
        redact: Callable[[str], str] = printable,
    ) -> None:
        self.on_call = on_call
        self._redact = redact
        self._loading = loading or Loading(None)
        self.found: dict[str, Plugin] = {}
        self.owners: dict[str, str] = {}
        self.entries: dict[str, ManifestEntry] = {}
        self.problems: list[Problem] = []
        self._managers: dict[str, pluggy.PluginManager] = {}
        self._answers: dict[str, TypeAdapter[Any]] = {}
        for entry_point in sorted(entry_points, key=lambda e: (e.name, e.value)):
            self._load(entry_point, allowed(entry_point.name))
        self._adopt_entries()
        self._loading.done()

    @classmethod
    def discover(
        cls,
        root: Path,
        on_call: Callable[[HookCall], None] | None = None,
        state: Path | None = None,
        redact: Callable[[str], str] = printable,
    ) -> Plugins:
        """The installed plugins of the group, less those that config/plugins.toml leaves out.

        `on_call` hears of every call into a plugin; `state` is the launcher's own folder, for `Loading`; `redact`
        takes secrets out of what plugins say. Raises ConfigurationError for a config/plugins.toml that cannot be read.
        """
        points = importlib.metadata.entry_points(group=hookspecs.ENTRY_POINTS)
        return cls(points, selection.read(root / selection.FILE).refusal, on_call, Loading(state), redact)

    # Public: the hooks, typed.

    def variables(self) -> dict[str, list[Variable]]:
        """The variables each working plugin reads; a plugin that fails here is left out and named."""
        found = {}
        for name in self._active():
            try:
                found[name] = self._ask(name, "launcher_variables", list[Variable])
            except PluginFailed as error:
                self._complain(name, error.summary, error.fix)
        return found

    def auto_start(self, entry: ManifestEntry, env: Environment) -> AutoStart:
        """The owner's word on starting by phase; an owner without an opinion means yes."""
        answer: AutoStart | None = self._ask_owner(entry, "launcher_auto_start", AutoStart | None, env=env)
        return answer or AutoStart(start=True)

    def preflight(self, entry: ManifestEntry, action: Action, host: Callable[[], Host]) -> list[Problem]:
        """The owner's problems, then everyone else's; another plugin's failure is a warning."""
        owner = self.owners[entry.id]
        problems: list[Problem] = []
        for name in [owner, *(n for n in self._active() if n != owner)]:
            try:
                answer = self.ask_preflight(name, entry, action, host())
            except PluginFailed as error:
                severity: Literal["error", "warn"] = "error" if name == owner else "warn"
                answer = [Problem(severity=severity, summary=error.summary, fix=error.fix)]
            problems += [p.model_copy(update={"raised_by": name, "service": entry.id}) for p in answer or ()]
        return problems

    def ask_preflight(self, name: str, entry: ManifestEntry, action: Action, host: Host) -> list[Problem]:
        """What one plugin has against an action. Raises PluginFailed, or what the launcher's own parts raised."""
        found: list[Problem] = self._ask(
            name, "launcher_preflight", list[Problem], entry=entry, action=action, host=host
        )
        return found

    def findings(self, entry: ManifestEntry, host: Host) -> list[Finding]:
        """What the owner has found out about its service. Raises PluginFailed; EngineUnavailable passes through."""
        found: list[Finding] = self._ask_owner(entry, "launcher_findings", list[Finding], host=host)
        return [finding.model_copy(update={"service": entry.id}) for finding in found]

    def drift(self, entry: ManifestEntry, host: Host) -> str | None:
        """Why a start would make a ready service anew. Raises PluginFailed."""
        reason: str | None = self._ask_owner(entry, "launcher_drift", str | None, host=host)
        return reason

    def start(self, entry: ManifestEntry, host: Host) -> None:
        """Hand over the start of a service. Raises PluginFailed, or what the launcher's own parts raised inside."""
        self._ask_owner(entry, "launcher_start", None, extra_seconds=entry.start_seconds, host=host)

    def stop(self, entry: ManifestEntry, host: Host) -> None:
        """Stop a service. Raises PluginFailed, or what the launcher's own parts raised inside."""
        self._ask_owner(entry, "launcher_stop", None, extra_seconds=entry.stop_seconds, host=host)

    def status(self, entry: ManifestEntry, host: Host) -> ServiceStatus:
        """The owner's status. Raises PluginFailed; EngineUnavailable passes through."""
        answer: ServiceStatus | None = self._ask_owner(entry, "launcher_status", ServiceStatus | None, host=host)
        if answer is None or answer.id != entry.id:
            owner = self.owners[entry.id]
            raise PluginFailed(f"plugin {owner} gave no status for {entry.id}", f"launcher plugins list; mend {owner}")
        return answer

    def causes(self, entry: ManifestEntry) -> list[Cause]:
        """The owner's known causes; a failure to tell them leaves the host's own."""
        if entry.id not in self.owners:
            return []
        try:
            return self.ask_causes(entry)
        except PluginFailed as error:
            self._complain(self.owners[entry.id], error.summary, error.fix, entry.id)
            return []

    def ask_causes(self, entry: ManifestEntry) -> list[Cause]:
        """The owner's known causes. Raises PluginFailed."""
        found: list[Cause] = self._ask_owner(entry, "launcher_causes", list[Cause])
        return found

    def commands(self) -> dict[str, tuple[str, click.Command]]:
        """Click commands by name, with the plugin that offers each; the first of two equal names wins."""
        import click

        found: dict[str, tuple[str, click.Command]] = {}
        for name in self._active():
            try:
                commands = self._ask(name, "launcher_commands", None) or []
                for command in commands:
                    if isinstance(command, click.Command) and command.name:
                        found.setdefault(command.name, (name, command))
            except (PluginFailed, TypeError) as error:
                self._fail(name, self._redact(str(error)))
                self._complain(name, self.found[name].reason)
        return found

    def tell(self, event: Event, env: Environment) -> None:
        """Tell every plugin of an event; failures are kept in `problems` and go no further."""
        for name in self._active():
            try:
                self._ask(name, "launcher_event", None, event=event, env=env)
            except LauncherError as error:
                self._complain(name, error.summary, error.fix)

    def compose_file(self, name: str, own: Path) -> Path | None:
        """The root's own compose file, else the one of that name in the plugin's package; None where neither is."""
        if own.is_file():
            return own
        from importlib.util import find_spec  # a top-level package is found without being imported

        spec = find_spec(self.found[name].target.partition(":")[0].partition(".")[0])
        for folder in (spec.submodule_search_locations if spec else None) or ():
            if (packaged := Path(folder) / own.name).is_file():
                return packaged
        return None

    def copies(self, name: str) -> list[str]:
        """Every folder in which a plugin's distribution is installed; Python takes the first."""
        found = importlib.metadata.distributions(name=self.found[name].distribution)
        return list(dict.fromkeys(f"{d.locate_file('')} ({d.version})" for d in found))

    def failures(self) -> dict[str, str]:
        """The plugins that do not work, or have failed since they were loaded, with the latest reason."""
        found = {p.name: p.reason for p in self.found.values() if p.state in ("failed", "incompatible")}
        return found | {p.raised_by: p.summary for p in self.problems if p.raised_by}

    def withdraw(self, service: str, reason: str) -> None:
        """Take back an entry that does not fit the others, and say so."""
        name = self.owners.pop(service)
        del self.entries[service]
        self.found[name].services.remove(service)
        self.problems.append(
            Problem(
                severity="error",
                summary=f"plugin {name}: {service} cannot be used: {reason}",
                fix=f"mend or disable {name} (config/plugins.toml)",
                service=service,
                raised_by=name,
            )
        )

    # Private: loading.

    def _load(self, entry_point: importlib.metadata.EntryPoint, refusal: str | None) -> None:
        distribution = entry_point.dist
        # Read once: each of a distribution's own properties would parse the file again.
        metadata = distribution.metadata if distribution else Message()
        plugin = Plugin(
            name=entry_point.name,
            distribution=metadata["Name"] or "unknown",
            version=metadata["Version"] or "unknown",
            target=entry_point.value,
            host_range=_host_requirement(metadata),
            folder=str(distribution.locate_file("")) if distribution else "",
        )
        if twin := self.found.get(plugin.name):
            twin.state = "failed"
            twin.reason = f"two entry points are named {plugin.name}: {twin.distribution} and {plugin.distribution}"
            return
        self.found[plugin.name] = plugin
        if refusal:
            plugin.state, plugin.reason = "disabled", refusal
            return
        if mismatch := _host_mismatch(plugin.host_range):
            plugin.state, plugin.reason = "incompatible", mismatch
            return
        try:
            self._loading.begin(plugin.name)
            module = self._called(plugin.name, "load", lambda: _loaded(entry_point))
            _restore_pluggy(plugin.name)
            manager = pluggy.PluginManager(hookspecs.PROJECT)
            manager.add_hookspecs(cast(Any, _Names(_SPECIFIED)))
            hooks = _Names({name: getattr(module, name) for name in dir(module) if not name.startswith("__")})
            manager.register(hooks, name=plugin.name)
            callers = manager.get_hookcallers(hooks) or []
            _check_known(callers)
        except (PluginFailed, pluggy.PluginValidationError, ValueError) as error:
            plugin.state, plugin.reason = "failed", self._redact(_why(error))
            return
        self._managers[plugin.name] = manager
        plugin.hooks = tuple(sorted(caller.name for caller in callers))

    def _adopt_entries(self) -> None:
        claims: dict[str, list[tuple[str, ManifestEntry]]] = {}
        for name in self._active():
            try:
                for entry in self._ask(name, "launcher_manifest_entries", list[ManifestEntry]):
                    claims.setdefault(entry.id, []).append((name, entry))
            except PluginFailed as error:
                self._fail(name, error.summary)
        for service, claimed in claims.items():
            if len(claimed) > 1:
                names = " and ".join(name for name, _ in claimed)
                self.problems.append(
                    Problem(
                        severity="error",
                        summary=f"plugins {names} both claim the service {service}; neither is used for it",
                        fix="disable one of them in config/plugins.toml",
                        service=service,
                    )
                )
                continue
            name, entry = claimed[0]
            self.owners[service] = name
            self.entries[service] = entry.model_copy(update={"plugin": name})
            self.found[name].services.append(service)

    def _fail(self, name: str, reason: str) -> None:
        self.found[name].state, self.found[name].reason = "failed", reason

    def _complain(self, name: str, summary: str, fix: str = "", service: str | None = None) -> None:
        fix = fix or f"launcher plugins list; mend {name}"
        self.problems.append(Problem(severity="warn", summary=summary, fix=fix, raised_by=name, service=service))

    # Private: asking.

    def _active(self) -> list[str]:
        return [name for name, plugin in self.found.items() if plugin.state == "active"]

    def _ask_owner(
        self, entry: ManifestEntry, hook: str, answer: Any, extra_seconds: float = 0.0, **arguments: object
    ) -> Any:
        return self._ask(self.owners[entry.id], hook, answer, extra_seconds, entry=entry, **arguments)

    def _ask(self, name: str, hook: str, answer: Any, extra_seconds: float = 0.0, **arguments: object) -> Any:
        """One hook of one plugin; None when it has no such hook. `answer` is the type to validate against."""
        if hook not in self.found[name].hooks:
            return [] if str(answer).startswith("list") else None
        caller = getattr(self._managers[name].hook, hook)

        def call() -> Any:
            results = caller(**arguments)
            # Consumed here: a generator runs plugin code up to its last item.
            return [_consumed(result) for result in results]

        entry = arguments.get("entry")
        service = entry.id if isinstance(entry, ManifestEntry) else None
        results = self._called(name, hook, call, extra_seconds, service)
        if any(isinstance(result, list) and len(result) > MOST_ANSWERS for result in results):
            raise PluginFailed(
                f"plugin {name} answered nonsense in {hook}: more than {MOST_ANSWERS} items",
                f"launcher plugins list; mend {name}",
            )
        if answer is None:
            return results[0] if results else None
        try:
            return self._shown(self._adapter(answer).validate_python(results[0] if results else None))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the answer"
            raise PluginFailed(
                f"plugin {name} answered nonsense in {hook}: {place}: {first['msg']}",
                f"launcher plugins list; mend {name}",
            ) from None

    def _called(
        self, name: str, hook: str, call: Callable[[], Any], extra_seconds: float = 0.0, service: str | None = None
    ) -> Any:
        """`guarded`, and whoever traces is told of it."""
        if self.on_call is None:
            return guarded(name, hook, call, extra_seconds, self._redact)
        began = time.perf_counter()
        try:
            answer = guarded(name, hook, call, extra_seconds, self._redact)
        except LauncherError as error:
            self.on_call(HookCall(name, hook, service, time.perf_counter() - began, failure=error.summary))
            raise
        shown = answer if hook == "load" else answer[0] if answer else None
        self.on_call(HookCall(name, hook, service, time.perf_counter() - began, shown))
        return answer

    def _shown(self, answer: Any) -> Any:
        """An answer that people and programs are shown, without secrets; the other kinds are only worked with."""
        match answer:
            case list():
                return [self._shown(item) for item in answer]
            case str():
                return self._redact(answer)
            case ServiceStatus():
                seen = tuple(e.model_copy(update={"detail": self._redact(e.detail)}) for e in answer.evidence)
                return answer.model_copy(update={"message": self._redact(answer.message), "evidence": seen})
            case Problem() | Finding():
                words = {"summary": self._redact(answer.summary), "fix": self._redact(answer.fix)}
                return answer.model_copy(update=words)
            case AutoStart():
                words = {"reason": self._redact(answer.reason), "warning": self._redact(answer.warning)}
                return answer.model_copy(update=words)
        return answer

    def _adapter(self, answer: Any) -> TypeAdapter[Any]:
        if (key := str(answer)) not in self._answers:  # making one takes longer than using it
            self._answers[key] = TypeAdapter(answer)
        return self._answers[key]


def guarded(
    plugin: str, hook: str, call: Callable[[], T], extra_seconds: float = 0.0, redact: Callable[[str], str] = printable
) -> T:
    """Run foreign code on a daemon thread with the hook's deadline.

    Raises PluginFailed for what the plugin does wrong, in words that `redact` has gone over. A LauncherError passes
    through: it comes from the host's own parts, which the plugin called, and says better what happened.
    """
    began = time.monotonic()
    fix = f"launcher plugins list; mend or disable {plugin} (config/plugins.toml)"
    try:
        with _aside, _thread() as thread:
            answer, failure = thread.run(call, DEADLINES[hook] + extra_seconds)
    except Empty:
        seconds = time.monotonic() - began
        raise PluginFailed(f"plugin {plugin} did not return from {hook} within {seconds:.1f} s", fix) from None
    if failure is not None:
        if isinstance(failure, LauncherError) and hook != "load":
            raise failure
        raise PluginFailed(
            f"plugin {plugin} failed in {hook}: {type(failure).__name__}: {redact(_words(failure))}", fix
        ) from failure
    return answer  # type: ignore[no-any-return]


class _Thread:
    """A daemon thread that runs one call after another: making one takes longer than most hooks."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="plugins").start()

    def run(self, call: Callable[[], Any], seconds: float) -> tuple[Any, BaseException | None]:
        """What the call returned, or what it raised. Raises queue.Empty when it takes longer."""
        self._calls.put(call)
        return self._results.get(timeout=seconds)

    def end(self) -> None:
        """End once the present call returns, if it ever does."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._results.put((call(), None))
            except BaseException as error:  # noqa: BLE001 - SystemExit from a plugin must not end the launcher
                self._results.put((None, error))
            del call  # and what it holds on to


_idle: deque[_Thread] = deque()
os.register_at_fork(after_in_child=_idle.clear)  # a child has none of its parent's threads


@contextlib.contextmanager
def _thread() -> Iterator[_Thread]:
    """A thread for one call; one whose call has not come back is never used again."""
    try:
        thread = _idle.pop()
    except IndexError:
        thread = _Thread()
    try:
        yield thread
    except BaseException:
        thread.end()
        raise
    _idle.append(thread)


def _loaded(entry_point: importlib.metadata.EntryPoint) -> object:
    """What an entry point names. Raises what the import raises, and LookupError for a name that the module has not."""
    module = import_module(entry_point.module)
    found: object = module
    for name in filter(None, (entry_point.attr or "").split(".")):
        if not hasattr(found, name):
            raise LookupError(
                f"its entry point is {entry_point.value}, and {entry_point.module} has no {name}: "
                "change one of them, and install it again"
            )
        found = getattr(found, name)
    return found


def _words(failure: BaseException) -> str:
    try:
        return str(failure)
    except Exception:  # noqa: BLE001 - foreign code again
        return "it cannot be shown"


def _why(error: Exception) -> str:
    """The reason in one line; pluggy's own stands in the last of its lines."""
    lines = str(error).splitlines() or [type(error).__name__]
    return f"{lines[0]}: {lines[-1]}" if isinstance(error, pluggy.PluginValidationError) and lines[1:] else lines[0]


class _Aside:
    """While foreign code runs, what it prints goes to stderr: stdout is for results, which programs read."""

    def __init__(self) -> None:
        self._lock, self._inside, self._stdout = threading.Lock(), 0, sys.stdout

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._stdout, sys.stdout = sys.stdout, sys.stderr

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                sys.stdout = self._stdout


_aside = _Aside()


def _consumed(result: object) -> object:
    return list(islice(result, MOST_ANSWERS + 1)) if isinstance(result, Iterator) else result


def _host_requirement(metadata: importlib.metadata.PackageMetadata | Message) -> str:
    """The dependency by which a plugin declares its host; empty where it declares none."""
    for line in metadata.get_all("Requires-Dist") or ():
        if re.match(r"service[-_.]launcher(?![\w-])", line, re.IGNORECASE):
            return str(line)
    return ""


@cache
def _own_version() -> str:
    return importlib.metadata.version("service-launcher")


@cache  # most plugins ask for the same
def _host_mismatch(line: str) -> str | None:
    """What is wrong with the declared host range, if anything."""
    if not line:
        return None
    from packaging.requirements import InvalidRequirement, Requirement

    own = _own_version()
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return f"its dependency {line!r} cannot be read"
    if own not in requirement.specifier:
        return f"it needs service-launcher {requirement.specifier}, this is {own}: install a matching version"
    return None


#: pluggy as it was before any plugin was imported.
_PLUGGY = [(owner, dict(vars(owner))) for owner in (pluggy, pluggy.PluginManager, pluggy.HookCaller)]


def _restore_pluggy(name: str) -> None:
    """Undo what an import did to pluggy, on which everybody else rests. Raises PluginFailed when it did anything."""
    if all(vars(owner) == before for owner, before in _PLUGGY):
        return
    changed = [
        (owner, attribute, value)
        for owner, before in _PLUGGY
        for attribute, value in before.items()
        if vars(owner).get(attribute) is not value
    ]
    for owner, attribute, value in changed:
        setattr(owner, attribute, value)
    if changed:
        owner, attribute, _ = changed[0]
        raise PluginFailed(f"plugin {name} changed pluggy itself ({owner.__name__}.{attribute}) on import")


class Loading:
    """Leaves a note of which plugin is being imported: an import that ends the process cannot be contained, only named.

    `os._exit`, a signal or a crash in a C library take the launcher along. The next one finds the note of a process
    that is gone and says, before it imports anything, which plugin that was and how to leave it out.
    """

    def __init__(self, state: Path | None) -> None:
        # Where nothing has been started yet there is no folder, and a reading command makes none.
        self._folder = state / "loading" if state is not None and state.is_dir() else None
        self._note: Path | None = None
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.mkdir(mode=0o700, exist_ok=True)
                self._tell_of_the_dead(self._folder)

    def begin(self, name: str) -> None:
        """Note that a plugin is being imported from now on."""
        if self._folder is not None:
            self._note = self._folder / str(os.getpid())
            with contextlib.suppress(OSError):  # on a read-only tree nobody is named
                self._note.write_text(name, encoding="utf-8")

    def done(self) -> None:
        """All are imported."""
        if self._note is not None:
            with contextlib.suppress(OSError):
                self._note.unlink(missing_ok=True)

    @staticmethod
    def _tell_of_the_dead(folder: Path) -> None:
        for note in folder.iterdir():
            if note.name.isdigit() and not Path(f"/proc/{note.name}").exists():
                name = printable(note.read_text(encoding="utf-8"))[:100]
                note.unlink(missing_ok=True)
                # Before the import, which may end this process too, and then nothing more could be said.
                print(  # noqa: T201
                    f"Warning: an earlier launcher ended while it imported the plugin {name}; if this one ends too\n"
                    f"Try:     launcher plugins disable {name}",
                    file=sys.stderr,
                    flush=True,
                )
