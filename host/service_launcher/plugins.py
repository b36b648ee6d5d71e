"""Finds plugins, loads each one alone, and calls every hook through one guard.

pluggy offers no isolation: one broken import stops the loading of all, one exception loses every answer. So each
plugin has a manager to itself, is loaded and asked on a thread with a deadline, and what it answers is validated.
Only pluggy's public interface is used.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import pluggy
from pydantic import TypeAdapter, ValidationError

from service_launcher import hookspecs, selection
from service_launcher.errors import EngineRefused, EngineUnavailable, LauncherError, PluginFailed
from service_launcher.guard import guarded
from service_launcher.imports import Loading, host_mismatch, host_requirement, loaded, own_version, restore_pluggy
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


def _looked_at(target: object) -> tuple[object, _Names]:
    """A module or object with its members; looking at these may run its code."""
    return target, _Names({name: getattr(target, name) for name in dir(target) if not name.startswith("__")})


_SPECIFIED = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("launcher_")}


def _check_known(callers: Iterable[pluggy.HookCaller]) -> None:
    """A hook that no specification knows would never be called: a typing error, or a hook that is gone."""
    for caller in callers:
        if not caller.has_spec() and not any(implementation.optionalhook for implementation in caller.get_hookimpls()):
            raise PluginFailed(
                f"unknown hook {caller.name}: mistyped, or not of service-launcher {own_version()}; "
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
        try:
            for entry_point in sorted(entry_points, key=lambda e: (e.name, e.value)):
                self._load(entry_point, allowed(entry_point.name))
            self._adopt_entries()
        finally:
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
        """The owner's problems, then everyone else's; another plugin's failure is a warning.

        Raises EngineUnavailable, and what the launcher's own parts raised when the owner used them.
        """
        owner = self.owners[entry.id]
        problems: list[Problem] = []
        for name in [owner, *(n for n in self._active() if n != owner)]:
            try:
                answer = self.ask_preflight(name, entry, action, host())
            except LauncherError as error:
                if isinstance(error, EngineUnavailable) and not isinstance(error, EngineRefused):
                    raise  # whoever asked
                if name == owner and not isinstance(error, PluginFailed):
                    raise
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

    def prepare(self, entry: ManifestEntry, host: Host) -> None:
        """Fetch what a start needs. Raises PluginFailed, or what the launcher's own parts raised inside."""
        self._ask_owner(entry, "launcher_prepare", None, host=host)

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
            host_range=host_requirement(metadata),
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
        if mismatch := host_mismatch(plugin.host_range):
            plugin.state, plugin.reason = "incompatible", mismatch
            return
        try:
            self._loading.begin(plugin.name)
            _, hooks = self._called(plugin.name, "load", lambda: _looked_at(loaded(entry_point)))
            restore_pluggy(plugin.name)
            manager = pluggy.PluginManager(hookspecs.PROJECT)
            manager.register(hooks, name=plugin.name)
            callers = manager.get_hookcallers(hooks) or []
            # Only those of its own hooks: pluggy looks long at each specification.
            specified = {c.name: _SPECIFIED[c.name] for c in callers if c.name in _SPECIFIED}
            if specified:
                manager.add_hookspecs(cast(Any, _Names(specified)))
            _check_known(callers)
        except (PluginFailed, pluggy.PluginValidationError, ValueError) as error:
            plugin.state, plugin.reason = "failed", self._redact(_why(error))
            return
        self._managers[plugin.name] = manager
        plugin.hooks = tuple(sorted(caller.name for caller in callers))

    def _adopt_entries(self) -> None:
        claims: dict[str, list[tuple[str, ManifestEntry]]] = {}
        for name in self._active():
            self._loading.begin(name)
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
        problem = Problem(severity="warn", summary=summary, fix=fix, raised_by=name, service=service)
        if problem not in self.problems:  # who is told of events for days would fill memory with the same
            self.problems.append(problem)

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
            return guarded(name, hook, call, extra_seconds, self._redact, service)
        began = time.perf_counter()
        try:
            answer = guarded(name, hook, call, extra_seconds, self._redact, service)
        except LauncherError as error:
            self.on_call(HookCall(name, hook, service, time.perf_counter() - began, failure=error.summary))
            raise
        self.on_call(HookCall(name, hook, service, time.perf_counter() - began, answer[0] if answer else None))
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


def _why(error: Exception) -> str:
    """The reason in one line; pluggy's own stands in the last of its lines."""
    lines = str(error).splitlines() or [type(error).__name__]
    return f"{lines[0]}: {lines[-1]}" if isinstance(error, pluggy.PluginValidationError) and lines[1:] else lines[0]


def _consumed(result: object) -> object:
    return list(islice(result, MOST_ANSWERS + 1)) if isinstance(result, Iterator) else result
