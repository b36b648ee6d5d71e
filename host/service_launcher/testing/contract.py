"""The contract suite: what every plugin has to keep, and what neither types nor the import tell."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Union

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from service_launcher import hookspecs
from service_launcher.compose import run
from service_launcher.compose_service import ComposePlugin, ComposeService
from service_launcher.errors import EngineUnavailable, LauncherError
from service_launcher.guard import DEADLINES
from service_launcher.launcher import Launcher
from service_launcher.models import Event, ManifestEntry, OperationReport, ServiceState
from service_launcher.plugins import Plugin, Plugins
from service_launcher.testing.installation import TemporaryInstallation
from service_launcher.testing.projects import docker, left_by, remove
from service_launcher.wording import explanation_lines

#: An import that takes longer is felt in every command.
IMPORT_SECONDS = 2.0
_EVENTS = typing.get_args(Event.model_fields["what"].annotation)


class PluginContract:
    """Inherit from it, name the entry point, and pytest checks the plugin: three lines.

    `settings` are variables for the tests that start the services; ports, passwords and networks are made up where it
    names none. `accepted_privileges` are the policy warnings that the plugin has a reason for, by a part of their text.
    A service that is no container says in `kill` how it is ended behind the launcher's back.
    """

    entry_point: str
    settings: Mapping[str, str] = {}
    accepted_privileges: tuple[str, ...] = ()

    def kill(self, entry: ManifestEntry, launcher: Launcher) -> None:
        """End a running service without the launcher's knowledge; a container is killed through Docker."""
        name = launcher.status([entry.id]).statuses[0].container_name
        if name is None:
            pytest.fail(f"{entry.id} has no container: override kill(self, entry, launcher) in the test class")
        docker("kill", name)

    # Loading.

    def test_the_plugin_loads(self, plugin: Plugin) -> None:
        """No error on import, no unknown hook, no argument that the contract does not have."""
        assert plugin.state == "active", f"{plugin.name} is {plugin.state}: {plugin.reason}"

    def test_its_host_range_is_bounded(self, plugin: Plugin) -> None:
        """The dependency on service-launcher holds this host and ends before the next major one."""
        fix = "write service-launcher>=0.1,<1 into dependencies in pyproject.toml"
        assert plugin.host_range, f"{plugin.distribution} names no range of service-launcher: {fix}"
        next_but_one = f"{Version(metadata.version('service-launcher')).major + 2}"
        assert next_but_one not in Requirement(plugin.host_range).specifier, f"{plugin.host_range} is open: {fix}"

    def test_every_hook_is_marked(self, plugin: Plugin, target: object) -> None:
        """A function that is called like a hook and has no @hookimpl would never be called."""
        named = {name for name in dir(target) if name.startswith("launcher_") and callable(getattr(target, name))}
        assert not named - set(plugin.hooks), f"put @hookimpl before {', '.join(sorted(named - set(plugin.hooks)))}"

    def test_the_annotations_are_those_of_the_contract(self, plugin: Plugin, target: object) -> None:
        """What a type checker cannot see: it knows nothing of which hook a function answers."""
        for hook in plugin.hooks:
            wanted, given = _annotations(getattr(hookspecs, hook)), _annotations(getattr(target, hook))
            for name, annotation in given.items():
                pair = (annotation, wanted[name]) if name == "return" else (wanted[name], annotation)
                assert _fits(*pair), f"{hook}: {name} is {_shown(annotation)}, not {_shown(wanted[name])}"

    # Importing.

    def test_the_import_is_quick_and_light(self, imported: Mapping[str, Any]) -> None:
        """Every command imports every plugin: what only some hooks need is imported inside them."""
        assert not imported["heavy"], f"importing it also imports {imported['heavy']}: import them inside the hooks"
        assert imported["seconds"] < IMPORT_SECONDS, f"importing it takes {imported['seconds']:.1f} s"

    def test_the_import_prints_nothing(self, imported: Mapping[str, Any]) -> None:
        """Standard output is for results, which programs read."""
        assert not imported["printed"], f"importing it prints {imported['printed'][:200]!r}"

    def test_the_import_uses_no_network_and_no_process(self, imported: Mapping[str, Any]) -> None:
        """An import happens for `launcher --help`, too."""
        assert not imported["network"], f"importing it uses the network: {imported['network']}"
        assert not imported["processes"], f"importing it starts processes: {imported['processes']}"

    # Answers.

    def test_its_entries_fit_together(self, plugins: Plugins, plugin: Plugin, entries: list[ManifestEntry]) -> None:
        """Ids and aliases are unique, what is needed is there, and the host has nothing to say against them."""
        told = [p.summary for p in plugins.problems if p.raised_by == plugin.name or p.service in plugin.services]
        assert not told, "; ".join(told)
        names = [name for entry in entries for name in (entry.id, *entry.aliases)]
        assert len(names) == len(set(names)), f"an id or alias stands twice: {sorted(names)}"
        known = plugins.entries.keys()
        missing = {need for entry in entries for need in entry.depends_on} - known
        assert not missing, f"no installed plugin has {sorted(missing)}: add its distribution to the dependencies"
        assert all(entry.title for entry in entries), "every entry needs a title: the page shows it"

    def test_it_answers_the_same_twice(self, installation: TemporaryInstallation, plugin: Plugin) -> None:
        """What a plugin offers must not change between two commands."""
        told = []
        for _ in range(2):
            found = installation.launcher().plugins
            entries = [e.model_dump(mode="json") for e in found.entries.values() if e.plugin == plugin.name]
            told.append((entries, found.variables().get(plugin.name), sorted(found.commands())))
        assert told[0] == told[1]

    def test_its_variables_are_its_own(self, plugins: Plugins, plugin: Plugin, target: object) -> None:
        """Each is described, a secret is called like one, and none is one that another plugin gives another default."""
        all_variables = plugins.variables()
        assert not plugins.problems, "; ".join(p.summary for p in plugins.problems)
        from service_launcher.envfile import is_secret

        described = {v.name for service in _described(target) for v in service.variables}
        missing = described - {variable.name for variable in all_variables.get(plugin.name, [])}
        assert not missing, f"a service reads {', '.join(sorted(missing))}, and launcher_variables does not offer it"

        for variable in all_variables.get(plugin.name, []):
            assert variable.meaning, f"{variable.name} has no meaning"
            hidden = is_secret(variable.name)
            secret = variable.kind != "password" or hidden
            assert secret, f"{variable.name} is a password: only a name with PASSWORD, TOKEN or SECRET in it is masked"
            for other, theirs in all_variables.items():
                same = [v for v in theirs if v.name == variable.name and v.default != variable.default]
                assert not same, f"{variable.name} has another default in {other}"

    def test_its_commands_stand_under_one_name(self, plugins: Plugins, plugin: Plugin) -> None:
        """Commands are click commands with help, and take no name of the host's."""
        from service_launcher.cli import launcher

        own = {name: command for name, (owner, command) in plugins.commands().items() if owner == plugin.name}
        assert plugin.state == "active", plugin.reason
        for name, command in own.items():
            assert name not in launcher.commands, f"launcher {name} is the host's"
            assert command.help, f"launcher {name} has no help"

    def test_every_answer_is_of_its_type_and_in_time(self, asked: Mapping[str, list[Asked]]) -> None:
        """With the engine silent no hook raises, hangs or answers nonsense; EngineUnavailable may pass through."""
        failed = [one.told for calls in asked.values() for one in calls if one.fault]
        assert not failed, "; ".join(failed)

    def test_nothing_is_ready_that_nobody_started(self, asked: Mapping[str, list[Asked]]) -> None:
        """The engine is silent and nothing was started: whatever it says, it is not `ready`."""
        for one in asked.get("launcher_status", []):
            assert getattr(one.answer, "state", None) is not ServiceState.READY, f"{one.service} is said to be ready"

    def test_it_leaves_the_services_of_others_alone(self, plugins: Plugins, asked: Mapping[str, list[Asked]]) -> None:
        """Preflight is asked about every service; about others' it has nothing to refuse."""
        strangers = [one for one in asked.get("stranger", []) if one.fault or one.answer]
        assert not strangers, f"launcher_preflight has something against others' services: {strangers[0].told}"

    def test_it_survives_every_event(
        self, plugins: Plugins, plugin: Plugin, installation: TemporaryInstallation
    ) -> None:
        """Each kind of event, of a service and of none."""
        environment = installation.launcher().environment
        for what in _EVENTS:
            for service in (None, *plugin.services):
                event = Event(what=what, service=service, actor="test", detail={"state": "ready"})
                plugins.tell(event, environment)
        told = [p.summary for p in plugins.problems if p.raised_by == plugin.name]
        assert not told, "; ".join(told)

    def test_no_secret_is_in_what_it_says(
        self, asked: Mapping[str, list[Asked]], secrets: Mapping[str, str], installation: TemporaryInstallation
    ) -> None:
        """Before the host masks anything: its answers and errors hold none of the values of its secrets."""
        _assert_no_secret([one.told for calls in asked.values() for one in calls], secrets)

    def test_its_compose_files_keep_to_the_policy(self, installation: TemporaryInstallation, plugin: Plugin) -> None:
        """No privileged container, no Docker socket, no namespace of the host's, unless there is a reason."""
        with _silent_engine():
            found = installation.launcher().plugin_policy(plugin.name)
        told = [p.summary for p in found if not any(part in p.summary for part in self.accepted_privileges)]
        assert not told, "; ".join(told)

    # On real parts.

    def test_starting_and_stopping_twice_is_like_once(self, started: Launcher, entries: list[ManifestEntry]) -> None:
        """A second start leaves what runs alone, a second stop finds nothing to do, also when the hooks are called."""
        ids = [entry.id for entry in entries]
        since = {status.id: status.since for status in started.status(ids).statuses}
        again = started.start(ids)
        assert {o.result for o in again.outcomes} == {"already_ready"}, _outcomes(again)
        for entry in entries:
            with started.host(entry.id) as host:
                started.plugins.start(entry, host)
        statuses = started.status(ids).statuses
        assert {status.id: status.since for status in statuses} == since, "a second start made a running service anew"
        stopped = started.stop(ids)
        assert stopped.exit_code == 0, _outcomes(stopped)
        assert all(s.state in (ServiceState.STOPPED, ServiceState.SKIPPED) for s in started.status(ids).statuses)
        for entry in reversed(entries):
            with started.host(entry.id) as host:
                started.plugins.stop(entry, host)

    def test_the_status_is_true_after_it_was_killed(self, started: Launcher, entries: list[ManifestEntry]) -> None:
        """What was ended behind the launcher's back is not `ready` any more, and a start brings it back."""
        for entry in entries:
            self.kill(entry, started)
            status = started.status([entry.id]).statuses[0]
            assert status.state is not ServiceState.READY, f"{entry.id} was killed and is said to be {status.message}"
            with started.host(entry.id) as host:  # the host would see through it by the evidence
                told = started.plugins.status(entry, host)
            assert told.state is not ServiceState.READY, f"{entry.id} was killed, and its plugin says {told.message}"
        again = started.start([entry.id for entry in entries])
        assert again.exit_code == 0, _why(again)

    def test_no_secret_is_in_what_it_says_while_it_runs(
        self, started: Launcher, entries: list[ManifestEntry], secrets: Mapping[str, str]
    ) -> None:
        """As above, with everything up."""
        told = [one.told for calls in _ask_all(started, entries).values() for one in calls]
        _assert_no_secret(told, secrets)

    # What the checks rest on.

    @pytest.fixture
    def installation(
        self, temporary_installation: TemporaryInstallation, monkeypatch: pytest.MonkeyPatch
    ) -> TemporaryInstallation:
        """The temporary installation, with a value for each variable; exported ones do not count."""
        with _silent_engine():
            everybodys = temporary_installation.launcher().plugins.variables()
            for variable in (v for variables in everybodys.values() for v in variables):
                monkeypatch.delenv(variable.name, raising=False)
            temporary_installation.fill((v for variables in everybodys.values() for v in variables), self.settings)
        return temporary_installation

    @pytest.fixture
    def plugins(self, installation: TemporaryInstallation) -> Plugins:
        """Every installed plugin, loaded anew."""
        return installation.launcher().plugins

    @pytest.fixture
    def plugin(self, plugins: Plugins) -> Plugin:
        """The plugin under test."""
        found = plugins.found.get(self.entry_point)
        if found is None:
            known = ", ".join(sorted(plugins.found)) or "none"
            pytest.fail(
                f"no plugin named {self.entry_point} is installed (installed: {known}); "
                f"try: pip install --editable . and look at [project.entry-points.{hookspecs.ENTRY_POINTS}]",
                pytrace=False,
            )
        return found

    @pytest.fixture
    def target(self, plugin: Plugin) -> object:
        """The module or object that the entry point names."""
        if plugin.state != "active":
            pytest.fail(f"{plugin.name} is {plugin.state}: {plugin.reason}", pytrace=False)
        points = metadata.entry_points(group=hookspecs.ENTRY_POINTS, name=plugin.name)
        return next(iter(points)).load()

    @pytest.fixture
    def entries(self, plugins: Plugins, plugin: Plugin) -> list[ManifestEntry]:
        """Its entries."""
        return [plugins.entries[service] for service in plugin.services]

    @pytest.fixture
    def secrets(self, installation: TemporaryInstallation) -> dict[str, str]:
        """The values of all secrets of the installation by name."""
        environment = installation.launcher().environment
        from service_launcher.envfile import is_secret

        declared = {v.name for variables in installation.launcher().plugins.variables().values() for v in variables}
        return environment.select(name for name in declared if is_secret(name))

    @pytest.fixture
    def imported(self, plugin: Plugin) -> Mapping[str, Any]:
        """What importing it does in a process of its own."""
        script = str(Path(__file__).with_name("import_watch.py"))
        paths = os.pathsep.join(filter(None, sys.path))
        done = run(
            [sys.executable, script, plugin.target], seconds=DEADLINES["load"] + 10, values={"PYTHONPATH": paths}
        )
        assert done.exit_code == 0, f"importing {plugin.target} failed: {done.output.strip()[-600:]}"
        return dict(json.loads(done.output))

    @pytest.fixture
    def asked(self, installation: TemporaryInstallation, plugin: Plugin) -> dict[str, list[Asked]]:
        """What it answers to every hook that changes nothing, while the engine is silent."""
        with _silent_engine():
            launcher = installation.launcher()
            return _ask_all(launcher, [launcher.plugins.entries[service] for service in plugin.services])

    @pytest.fixture
    def started(
        self, docker_engine: None, installation: TemporaryInstallation, entries: list[ManifestEntry]
    ) -> Iterator[Launcher]:
        """Everything of the plugin up, on real parts; taken away afterwards, data included."""
        launcher = installation.launcher()
        if not entries:
            pytest.skip("it has no services")
        ids = [entry.id for entry in entries]
        touched = [launcher.entries[service] for service in launcher.graph.with_needs(ids)]
        projects = list(dict.fromkeys(entry.compose.project for entry in touched if entry.compose))
        for project in projects:
            if there := left_by(project):
                pytest.fail(
                    f"the compose project {project} is on this Engine already ({', '.join(there)}) and the contract "
                    f"would remove its data; try: docker compose --project-name {project} down, if nobody needs it, "
                    "or DOCKER_HOST=… python -m pytest, with another Engine",
                    pytrace=False,
                )
        networks = [
            launcher.environment[variable.name]
            for variables in launcher.plugins.variables().values()
            for variable in variables
            if variable.kind == "network"
        ]
        try:
            report = launcher.start(ids)
            if report.exit_code:
                pytest.fail(_why(report), pytrace=False)
            yield launcher
        finally:
            installation.launcher().stop([entry.id for entry in touched])
            remove(projects, networks)


class Asked:
    """One call of a hook: the service, and what it answered or raised."""

    def __init__(self, hook: str, service: str, call: Callable[[], object]) -> None:
        self.hook = hook
        self.service = service
        self.answer: object = None
        self.fault = False
        try:
            self.answer = call()
            words = repr(self.answer)
        except EngineUnavailable as error:  # the host's own word
            words = error.summary
        except LauncherError as error:
            self.fault, words = True, error.summary
        self.told = f"{hook}({service}): {words}"


def _ask_all(launcher: Launcher, entries: list[ManifestEntry]) -> dict[str, list[Asked]]:
    """Ask the owner's hooks that change nothing, and preflight of somebody else's service."""
    asked: dict[str, list[Asked]] = {}
    for entry in entries:
        for one in _ask_about(launcher, entry):
            asked.setdefault(one.hook, []).append(one)
    return asked


def _ask_about(launcher: Launcher, entry: ManifestEntry) -> Iterator[Asked]:
    # Loaded anew, because a launcher masks the words of plugins as soon as they come in.
    plugins = Plugins.discover(launcher.settings.root, redact=lambda words: words)
    owner = plugins.owners[entry.id]
    stranger = entry.model_copy(update={"id": "a-strangers-service", "compose": None, "plugin": "a-stranger"})
    with launcher.host(entry.id) as host:
        yield Asked("launcher_auto_start", entry.id, lambda: plugins.auto_start(entry, launcher.environment))
        yield Asked("launcher_preflight", entry.id, lambda: plugins.ask_preflight(owner, entry, "start", host))
        yield Asked("launcher_preflight", entry.id, lambda: plugins.ask_preflight(owner, entry, "stop", host))
        yield Asked("launcher_drift", entry.id, lambda: plugins.drift(entry, host))
        yield Asked("launcher_findings", entry.id, lambda: plugins.findings(entry, host))
        yield Asked("launcher_causes", entry.id, lambda: plugins.ask_causes(entry))
        yield Asked("launcher_status", entry.id, lambda: plugins.status(entry, host))
        yield Asked("stranger", stranger.id, lambda: plugins.ask_preflight(owner, stranger, "start", host))


def _described(target: object) -> Iterator[ComposeService]:
    """The described services that a plugin holds, itself or in its module."""
    for held in (target, *vars(target).values()):
        if isinstance(held, ComposeService):
            yield held
        elif isinstance(held, ComposePlugin):
            yield from held.services.values()


def _assert_no_secret(told: list[str], secrets: Mapping[str, str]) -> None:
    for words in told:
        leaked = [name for name, value in secrets.items() if value and value in words]
        hook = words.partition(":")[0]
        assert not leaked, f"{hook} tells the value of {leaked[0]}: leave it out, or use host.redact(text)"


def _outcomes(report: OperationReport) -> str:
    return "; ".join(f"{o.service}: {o.result}: {o.message}" for o in report.outcomes)


def _why(report: OperationReport) -> str:
    """Each outcome, and below it what `launcher explain` would say."""
    lines = []
    for outcome in report.outcomes:
        lines.append(f"{outcome.service}: {outcome.result}: {outcome.message}")
        lines += [f"  {problem.summary}; try: {problem.fix}" for problem in outcome.problems]
        lines += explanation_lines(outcome.explanation)[1:] if outcome.explanation else []
    return "\n".join(lines)


@contextlib.contextmanager
def _silent_engine() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")  # refuses at once; a missing socket would leave one unclosed
        patch.delenv("DOCKER_CONTEXT", raising=False)
        yield


def _annotations(function: Callable[..., object]) -> dict[str, Any]:
    """The annotations of a hook with its names looked up, also those that are imported for type checkers only."""
    import click

    from service_launcher.envfile import Environment
    from service_launcher.host import Host

    bare = inspect.unwrap(getattr(function, "__func__", function))
    try:
        return typing.get_type_hints(bare, localns={"click": click, "Environment": Environment, "Host": Host})
    except NameError as error:
        pytest.fail(f"{bare.__qualname__}: its annotations name {error.name}, which is not imported", pytrace=False)


def _fits(given: Any, wanted: Any) -> bool:
    """Whether a value of the type `given` can stand where `wanted` is asked for."""
    if Any in (given, wanted) or wanted is object or given == wanted:
        return True
    if typing.get_origin(given) is Literal:
        return all(_fits(type(value), wanted) for value in typing.get_args(given))
    if typing.get_origin(given) in (Union, types.UnionType):
        return all(_fits(one, wanted) for one in typing.get_args(given))
    if typing.get_origin(wanted) in (Union, types.UnionType):
        return any(_fits(given, one) for one in typing.get_args(wanted))
    bare_given, bare_wanted = typing.get_origin(given) or given, typing.get_origin(wanted) or wanted
    if not (isinstance(bare_given, type) and isinstance(bare_wanted, type) and issubclass(bare_given, bare_wanted)):
        return False
    items, wanted_items = typing.get_args(given), typing.get_args(wanted)
    return not wanted_items or all(_fits(item, wanted_items[0]) for item in items if item is not Ellipsis)


def _shown(annotation: object) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)
