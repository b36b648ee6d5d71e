"""`launcher doctor`: what would hurt this installation now or later, each with a fix; changes nothing."""

from __future__ import annotations

import importlib.metadata
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service_launcher import compose, container_findings, disks, envfile
from service_launcher.compose_service import INSTALLATION, INSTALLATION_ID, TIER
from service_launcher.containers import Container, EngineFacts
from service_launcher.engine import Engine
from service_launcher.engine_view import EngineView
from service_launcher.errors import ConfigurationError, EngineUnavailable, EnvFileError, LauncherError
from service_launcher.models import Diagnosis, Finding, FindingVerdict, Problem
from service_launcher.observation import SIDE_BY_SIDE, Observer
from service_launcher.redaction import Redactor

#: Health checks with start_interval: compose itself refuses them on an older Engine, by this number.
ENGINE_MINIMUM = "25.0"
#: The tag !override, by Docker's reference of the compose file.
COMPOSE_MINIMUM = "2.24.4"
#: From the first version, before the second: what, by its advisory.
ENGINE_HOLES = (("28.2.0", "28.3.3", "CVE-2025-54388: a reload of firewalld publishes loopback ports to the network"),)
COMPOSE_HOLES = (("2.34.0", "2.40.2", "CVE-2025-62725: a remote compose file can write anywhere"),)
SLOW_ENGINE_SECONDS = 0.5  # a ping takes one to ten milliseconds
COMPOSE_SECONDS = 2.5  # every reading command ends within 3 s
LOW_MEMORY_BYTES = 500_000_000
VERDICTS: tuple[FindingVerdict, ...] = ("pass", "warn", "fail")


@dataclass(frozen=True)
class Doctor:
    """The checks of one installation."""

    observer: Observer
    engine: Engine

    def diagnose(self) -> Diagnosis:
        """Ask everything, side by side; an engine that is silent and plugins that are broken are findings."""
        view = EngineView(self.engine)
        with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as pool:
            compose_plugin = pool.submit(lambda: list(_compose_version()))
            machine = list(_machine(view, self.observer.root))
            answers: dict[object, Any] = {}
            entries = self.observer.graph.entries
            services = list(pool.map(lambda service: list(self._service(service, view, answers)), entries))
        return _diagnosis(
            [
                *machine,
                *compose_plugin.result(),
                *_files(self.observer.root),
                *self._variables(),
                *self._plugins(),
                *(finding for findings in services for finding in findings),
                *self._leftovers(view),
            ],
            self.observer.redact,
        )

    def _variables(self) -> Iterator[Finding]:
        """Names in the files that nobody reads, and values that do not count because another is exported."""
        declared = {v.name for variables in self.observer.plugins.variables().values() for v in variables}
        environment = self.observer.environment
        unread: set[str] = set()
        for file in envfile.FILES:
            written = envfile.read(self.observer.root / file, file)
            for name in written.keys() & declared:
                exported = environment.source(name) == "process environment"
                if exported and environment.select([name])[name] != written[name]:
                    yield _warn(
                        "environment",
                        f"{name} is exported with another value than {file} has; the exported one counts",
                        f"unset {name}, or change {file}",
                    )
            for name in sorted(written.keys() - declared):
                meant = _meant(name, declared)
                if meant:
                    words = f"{file}: {name} is read by no plugin; is {meant} meant?"
                    yield _warn("environment", words, f"rename or remove it in {file}")
                else:
                    unread.add(name)
        if unread:
            yield _pass("environment", f"read by no plugin, and like no name that is: {', '.join(sorted(unread))}")

    def _plugins(self) -> Iterator[Finding]:
        own = importlib.metadata.version("service-launcher")
        for plugin in self.observer.plugins.found.values():
            name = f"plugin {plugin.name} ({plugin.distribution} {plugin.version})"
            fix = f"mend or disable {plugin.name} (config/plugins.toml)"
            if plugin.state == "disabled":
                yield _pass("plugins", f"{name} is left out: {plugin.reason}")
            elif plugin.state != "active":
                yield _fail("plugins", f"{name} is {plugin.state}: {plugin.reason}", fix)
            elif not plugin.host_range:
                words = f"{name} says nothing about the versions of service-launcher that it fits"
                yield _warn("plugins", words, "a dependency such as service-launcher>=0.1,<1 in its pyproject.toml")
            else:
                yield _pass("plugins", f"{name} asks for {plugin.host_range}; this is {own}")
        yield from (_of_problem("plugins", problem) for problem in self.observer.plugins.problems)

    def _service(self, service: str, view: EngineView, answers: dict[object, Any]) -> Iterator[Finding]:
        """What would stop a start, by everybody's preflight, and what the owner has found besides."""
        entry = self.observer.graph.entries[service]
        plugins = self.observer.plugins
        if service not in plugins.owners:
            if entry.plugin is not None:
                why = f"{service}: {self.observer.why_without_owner(entry)}"
                yield _fail("preflight", why, "launcher plugins list").model_copy(update={"service": service})
            return

        def context() -> Any:
            return self.observer.context(service, view, answers=answers)

        try:
            found = plugins.preflight(entry, "start", context)
            yield from (_of_problem("preflight", problem) for problem in found)
            if not any(problem.severity == "error" for problem in found):
                words = f"{service}: nothing stands in the way of a start"
                yield _pass("preflight", words).model_copy(update={"service": service})
        except EngineUnavailable as error:
            yield _fail("engine", error.summary, error.fix)  # once, also where it is silent to all
            return
        except LauncherError as error:
            yield _fail("preflight", error.summary, error.fix).model_copy(update={"service": service})
        try:
            yield from plugins.findings(entry, context())
        except EngineUnavailable as error:
            yield _fail("engine", error.summary, error.fix)
        except LauncherError as error:
            yield _fail("plugins", error.summary, error.fix).model_copy(update={"service": service})

    def _leftovers(self, view: EngineView) -> Iterator[Finding]:
        """What an interrupted start or an earlier version has left in our compose projects; data never counts."""
        wanted: dict[str, set[str]] = {}
        for entry in self.observer.graph.entries.values():
            if entry.compose is not None:
                wanted.setdefault(entry.compose.project, set()).add(entry.compose.service)
        try:
            here = [c for c in view.containers() if self._is_ours(c, wanted)]
            seen: set[tuple[str, str]] = set()
            for container in sorted(here, key=lambda c: c.state != "running"):
                if why := _left_over(container, wanted, seen):
                    fix = f"launcher plan; when nobody needs it: docker rm {container.name}"
                    yield _warn("leftovers", f"the container {container.name} {why}", fix)
            for project in wanted:
                for network in view.project_networks(project):
                    if not view.with_label("com.docker.compose.project", project):
                        words = f"the network {network} was made for the project {project}, which has no container"
                        yield _warn("leftovers", words, "launcher start uses it, or: docker network rm " + network)
        except EngineUnavailable:
            return

    def _is_ours(self, container: Container, projects: Mapping[str, object]) -> bool:
        ours = self.observer.environment.get(INSTALLATION_ID)
        theirs = container.labels.get(INSTALLATION)
        if ours and theirs:
            return ours == theirs
        return container.labels.get("com.docker.compose.project") in projects


def without_installation(root: Path, engine: Engine, error: ConfigurationError) -> Diagnosis:
    """What can be said where the configuration itself cannot be read, and the error is the first finding."""
    check = "environment" if isinstance(error, EnvFileError) else "configuration"
    found = [_fail(check, error.summary, error.fix), *_machine(EngineView(engine), root), *_files(root)]
    return _diagnosis([*found, *_compose_version()], Redactor())


# Checks of the machine and the files, which need no configuration.


def _machine(view: EngineView, root: Path) -> Iterator[Finding]:
    try:
        view.containers()
        facts = view.facts()
    except EngineUnavailable as error:
        yield _fail("engine", error.summary, error.fix)
        return
    yield from _engine(facts)
    yield _memory(facts)
    yield from disks.shared(view, root)
    if not os.path.isdir(facts.data_root):
        words = f"how much is free for the Docker Engine's data ({facts.data_root}) cannot be seen from here"
        yield _warn("disk", words, "docker system df, and df -h on the Engine's machine")


def _engine(facts: EngineFacts) -> Iterator[Finding]:
    named = f"Docker Engine {facts.version} (API {facts.api_version})"
    upgrade = "install a newer Docker Engine"
    if _older(facts.version, ENGINE_MINIMUM):
        yield _fail("engine", f"{named} is older than {ENGINE_MINIMUM}, which health checks need", upgrade)
    else:
        yield _pass("engine", f"{named} is {ENGINE_MINIMUM} or newer")
    if facts.seconds > SLOW_ENGINE_SECONDS:
        yield _warn("engine", f"the Docker Engine takes {facts.seconds:.1f} s to answer a ping", "uptime; df -h")
    else:
        yield _pass("engine", f"the Docker Engine answers a ping in {facts.seconds * 1000:.1f} ms")
    if exposed := container_findings.loopback(facts):
        yield _warn("engine", exposed, "install Docker Engine 28 or newer")
    for hole in _holes(facts.version, ENGINE_HOLES):
        yield _warn("engine", f"{named}: {hole}", upgrade)


def _compose_version() -> Iterator[Finding]:
    command = ["docker", "compose", "version", "--short"]
    done = compose.run(command, seconds=COMPOSE_SECONDS, values={"DOCKER_HOST": compose.NO_ENGINE})
    # The docker command may warn first, of a file that it cannot read, say.
    told = re.search(r"^v?(\d+\.\d\S*)$", done.output, re.MULTILINE)
    version = told[1] if told else ""
    upgrade = "install a newer Docker Compose, or: tools/engine/ensure"
    if done.exit_code or not version:
        last = done.output.strip().splitlines()[-1][:200] if done.output.strip() else "no output"
        yield _fail("compose", f"docker compose cannot be asked for its version: {last}", upgrade)
        return
    if _older(version, COMPOSE_MINIMUM):
        yield _fail("compose", f"Docker Compose {version} is older than {COMPOSE_MINIMUM}", upgrade)
    else:
        yield _pass("compose", f"Docker Compose {version} is {COMPOSE_MINIMUM} or newer")
    for hole in _holes(version, COMPOSE_HOLES):
        yield _warn("compose", f"Docker Compose {version}: {hole}", upgrade)


def _memory(facts: EngineFacts) -> Finding:
    import psutil

    machine = psutil.virtual_memory()
    size = f"{facts.memory_bytes / 1e9:.1f} GB of memory, {facts.cpus} processors"
    if abs(machine.total - facts.memory_bytes) > machine.total / 50:
        return _pass("memory", f"the containers run on a machine with {size}")
    words = f"{machine.available / 1e9:.1f} GB are available where the containers run ({size})"
    if machine.available < LOW_MEMORY_BYTES:
        return _warn("memory", f"only {words}", "free -h; launcher health shows what each container uses")
    return _pass("memory", words)


def _files(root: Path) -> Iterator[Finding]:
    """Whether each environment file can be read, by whom, and whose it is."""
    owner = root.stat().st_uid
    for name in envfile.FILES:
        path = root / name
        try:
            facts = path.lstat()
            values = envfile.read(path, name)
            if stat.S_ISLNK(facts.st_mode):
                path.stat()
        except FileNotFoundError:
            if path.is_symlink():
                yield _fail("environment", f"{name} is a symbolic link to nothing", f"put a real {name} there")
            continue
        except LauncherError as error:
            yield _fail("environment", error.summary, error.fix)
            continue
        except OSError as error:
            yield _fail("environment", f"{name} cannot be read: {error.strerror}", f"ls -ld {path}")
            continue
        ill = False
        if stat.S_ISLNK(facts.st_mode):
            ill = True
            yield _warn("environment", f"{name} is a symbolic link", "put a real file there")
            facts = path.stat()
        mode = stat.S_IMODE(facts.st_mode)
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            ill = True
            yield _fail("environment", f"others can write {name} (mode {mode:04o})", f"chmod 600 {name}")
        elif mode & 0o077 and any(envfile.is_secret(key) for key in values):
            ill = True
            yield _warn("environment", f"others can read the secrets in {name} (mode {mode:04o})", f"chmod 600 {name}")
        if facts.st_uid != owner:
            ill = True
            words = f"{name} belongs to user {facts.st_uid}, the installation to user {owner}"
            yield _warn("environment", words, f"chown {owner} {name}")
        if not ill:
            yield _pass("environment", f"{name} is well formed and guarded (mode {mode:04o})")


# Small parts.


def _left_over(container: Container, wanted: Mapping[str, set[str]], seen: set[tuple[str, str]]) -> str | None:
    """Why a container of ours is a leftover, if it is; `seen` grows by the services that have one."""
    label = container.labels.get
    project, service = label("com.docker.compose.project", ""), label("com.docker.compose.service", "")
    if label("com.docker.compose.oneoff") == "True":
        return None if container.state == "running" else "is left from a `docker compose run`"
    if label(TIER) == "setup" or label("com.docker.compose.project") is None:
        return None  # set-up steps end and stay; without compose it was started by hand
    if project not in wanted:
        return f"was made by this installation for the project {project}, which it no longer has"
    if service not in wanted[project]:
        return f"belongs to {service}, which is no service of this installation"
    if (project, service) in seen:
        return f"is a second one of {service}, left when it was made anew"
    seen.add((project, service))
    return f"is half made ({container.state})" if container.state in ("created", "dead") else None


def _meant(name: str, declared: Iterable[str]) -> str | None:
    """The declared name that a name looks like; any of the same family is a typing error."""
    import difflib
    from collections import Counter

    close = difflib.get_close_matches(name, declared, n=1, cutoff=0.85)
    families = Counter(known.partition("_")[0] for known in declared)
    if not close and families[name.partition("_")[0]] >= 3:
        close = difflib.get_close_matches(name, declared, n=1, cutoff=0.0)
    return close[0] if close else None


def _older(version: str, minimum: str) -> bool:
    return _numbers(version) < _numbers(minimum)


def _holes(version: str, known: Iterable[tuple[str, str, str]]) -> list[str]:
    return [
        f"{what}; mended in {to}" for since, to, what in known if not _older(version, since) and _older(version, to)
    ]


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers: distributions add words of their own that no rule orders."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _of_problem(check: str, problem: Problem) -> Finding:
    verdicts: dict[str, FindingVerdict] = {"info": "pass", "warn": "warn", "error": "fail"}
    verdict = verdicts[problem.severity]
    return Finding(check=check, verdict=verdict, summary=problem.summary, fix=problem.fix, service=problem.service)


def _pass(check: str, summary: str) -> Finding:
    return Finding(check=check, verdict="pass", summary=summary)


def _warn(check: str, summary: str, fix: str) -> Finding:
    return Finding(check=check, verdict="warn", summary=summary, fix=fix)


def _fail(check: str, summary: str, fix: str) -> Finding:
    return Finding(check=check, verdict="fail", summary=summary, fix=fix)


def _diagnosis(findings: Iterable[Finding], redact: Redactor) -> Diagnosis:
    """Every finding once, with the worst verdict that it was found with, and with secrets masked."""
    once: dict[str, Finding] = {}
    for finding in findings:
        shown = finding.model_copy(update={"summary": redact(finding.summary), "fix": redact(finding.fix)})
        known = once.setdefault(shown.summary, shown)
        if VERDICTS.index(shown.verdict) > VERDICTS.index(known.verdict):
            once[shown.summary] = shown
    return Diagnosis(findings=tuple(once.values()))
