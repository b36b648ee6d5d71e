"""A pack of broken plugins: each is written as an installed distribution, the way another team would ship it.

`write(kind, folder)` makes a module and its `dist-info` in a folder; with the folder on PYTHONPATH the launcher finds
the plugin by its entry point. Every plugin that gets so far owns the service `broken-service`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SERVICE = "broken-service"

#: Leaves a file behind when the module is imported, so that tests can tell.
_MARK = "import pathlib\npathlib.Path(__file__).with_suffix('.imported').touch()\n"

_IMPORTS = """\
from threading import Event as Never

from service_launcher import AutoStart, Evidence, ManifestEntry, Problem, ServiceState, ServiceStatus, Verdict, hookimpl
"""

_ENTRIES = """
@hookimpl
def launcher_manifest_entries():
    return [ManifestEntry(id="broken-service", type="tools", path=".", start="true", stack="tools", start_seconds=1)]
"""

_STATUS = """
@hookimpl
def launcher_status(entry):
    answers = Evidence(layer="application", verdict=Verdict.OK, detail="it answers")
    return ServiceStatus(id=entry.id, state=ServiceState.READY, message="running", evidence=(answers,))
"""

_WHOLE = _IMPORTS + _ENTRIES + _STATUS

#: A package, because a compose file stands beside its module.
_COMPOSE = """\
from service_launcher import ComposePlugin, ComposeService

plugin = ComposePlugin(
    ComposeService(id="broken-service", title="Broken", stack="tools", project="broken", service="broken",
                   file="tools/compose/docker-compose.broken.yml", package=__name__, path=".")
)
launcher_manifest_entries, launcher_status = plugin.launcher_manifest_entries, plugin.launcher_status
launcher_findings = plugin.launcher_findings
"""


@dataclass(frozen=True)
class Kind:
    """One way to be broken: what is wrong, and what `launcher plugins list` must say.

    `state` is the plugin's state there, `expected` a part of the line or problem that names it. `answers` is what
    the service's status must say in the words of `launcher status`; None where the plugin answers truly, empty where
    the host may leave the service out. `distributions` of it have one entry point, it is installed in `folders`, and
    `compose` is a line of its service in the compose file that it ships, `attribute` what its entry point names in the
    module.
    """

    about: str
    source: str
    expected: str
    state: str = "active"
    answers: str | None = None
    requires: tuple[str, ...] = ("service-launcher>=0.1",)
    distributions: int = 1
    folders: int = 1
    compose: str = ""
    attribute: str = ""


KINDS: dict[str, Kind] = {
    "sound": Kind(
        about="Nothing is wrong with it: the measure for all others.",
        source=_WHOLE,
        expected=SERVICE,
    ),
    "import_error": Kind(
        about="Importing it raises.",
        source=_MARK + "raise RuntimeError('half a file')",
        expected="RuntimeError: half a file",
        state="failed",
        answers="half a file",
    ),
    "missing_dependency": Kind(
        about="It needs a library that is not installed.",
        source="import a_library_that_nobody_has",
        expected="No module named 'a_library_that_nobody_has'",
        state="failed",
        answers="a_library_that_nobody_has",
    ),
    "syntax_error": Kind(
        about="It is no Python.",
        source="def launcher_status(:\n",
        expected="SyntaxError",
        state="failed",
        answers="SyntaxError",
    ),
    "entry_point_of_another_kind": Kind(
        about="Its entry point names an object that its module has no more, or not yet.",
        source=_WHOLE,
        attribute=":plugin",
        expected="has no plugin: change one of them, and install it again",
        state="failed",
        answers="has no plugin",
    ),
    "system_exit_on_import": Kind(
        about="Importing it tries to end the launcher, as a script without a main guard does.",
        source="import sys\nsys.exit('bye')",
        expected="SystemExit: bye",
        state="failed",
        answers="SystemExit",
    ),
    "wrong_signature": Kind(
        about="A hook asks for an argument that the contract does not have.",
        source=_IMPORTS + _ENTRIES + "\n@hookimpl\ndef launcher_status(entry, hots):\n    return None\n",
        expected="hots",
        state="failed",
        answers="is failed",
    ),
    "unknown_hook": Kind(
        about="A hook's name has a typing error; without a check it would never be called.",
        source=_WHOLE + "\n@hookimpl\ndef launcher_stauts(entry):\n    return None\n",
        expected="unknown hook launcher_stauts",
        state="failed",
        answers="launcher_stauts",
    ),
    "incompatible_host": Kind(
        about="Its metadata asks for a later host.",
        source=_MARK + _WHOLE,
        expected="it needs service-launcher >=2",
        state="incompatible",
        answers="is incompatible",
        requires=("service-launcher>=2",),
    ),
    "unreadable_requirement": Kind(
        about="Its metadata says something about the host that is no requirement.",
        source=_WHOLE,
        expected="cannot be read",
        state="incompatible",
        answers="is incompatible",
        requires=("service-launcher => one",),
    ),
    "claims_existing_id": Kind(
        about="It supplies an entry for a service of another plugin.",
        source=_WHOLE.replace("broken-service", "kestra-orchestrator"),
        expected="both claim the service kestra-orchestrator",
        answers="its plugin claims_existing_id",
    ),
    "two_entry_points_of_one_name": Kind(
        about="Two distributions have an entry point of the same name.",
        source=_WHOLE,
        expected="two entry points are named two_entry_points_of_one_name",
        state="failed",
        answers="is failed",
        distributions=2,
    ),
    "prints_on_import": Kind(
        about="It greets its users on standard output when it is imported and in every hook.",
        source="print('hello from a plugin')\n"
        + _WHOLE.replace("    return", "    print('and from a hook')\n    return"),
        expected=SERVICE,
    ),
    "half_consumed_generator": Kind(
        about="Its entries are a generator that yields one and then raises.",
        source=_WHOLE.replace("    return [", "    yield (").replace("=1)]", "=1))\n    raise OSError('torn off')"),
        expected="failed in launcher_manifest_entries: OSError: torn off",
        state="failed",
        answers="OSError: torn off",
    ),
    "wrong_entries": Kind(
        about="Its entries are dicts that miss fields.",
        source=_IMPORTS + "\n@hookimpl\ndef launcher_manifest_entries():\n    return [{'id': 'broken-service'}]\n",
        expected="answered nonsense in launcher_manifest_entries: 0.type: Field required",
        state="failed",
        answers="0.type: Field required",
    ),
    "the_hosts_error_in_entries": Kind(
        about="It raises an error of the host's own where it was not given the host.",
        source=_WHOLE.replace("    return [", "    raise ConfigurationError('no licence')\n    return [", 1).replace(
            "import AutoStart", "import AutoStart, ConfigurationError"
        ),
        expected="failed in launcher_manifest_entries: ConfigurationError: no licence",
        state="failed",
        answers="ConfigurationError: no licence",
    ),
    "the_hosts_error_in_variables": Kind(
        about="The same where every `doctor`, `config` and `init` asks.",
        source=_WHOLE.replace("import AutoStart", "import AutoStart, ConfigurationError")
        + "\n@hookimpl\ndef launcher_variables():\n    raise ConfigurationError('which ones?')\n",
        expected=SERVICE,
    ),
    "the_hosts_error_in_foreign_preflight": Kind(
        about="The same when it is asked about the services of others.",
        source=_WHOLE.replace("import AutoStart", "import AutoStart, ConfigurationError")
        + """
@hookimpl
def launcher_preflight(entry):
    if entry.id != "broken-service":
        raise ConfigurationError(entry.id)
    return []
""",
        expected=SERVICE,
    ),
    "a_member_that_raises": Kind(
        about="Its entry point names an object that cannot be looked at.",
        source=_WHOLE
        + """
class Plugin:
    @property
    def port(self):
        raise RuntimeError("which port?")

plugin = Plugin()
""",
        attribute=":plugin",
        expected="failed in load: RuntimeError: which port?",
        state="failed",
        answers="RuntimeError: which port?",
    ),
    "a_status_that_was_changed": Kind(
        about="Its status is a record that was changed into one that no state is known of.",
        source=_WHOLE.replace("evidence=(answers,))", 'evidence=(answers,)).model_copy(update={"state": "fine"})'),
        expected=SERVICE,
        answers="answered nonsense in launcher_status: state",
    ),
    "one_entry_not_a_list": Kind(
        about="It returns its only entry instead of a list.",
        source=_WHOLE.replace("return [", "return (").replace("=1)]", "=1))"),
        expected="answered nonsense in launcher_manifest_entries",
        state="failed",
        answers="launcher_manifest_entries",
    ),
    "unknown_dependency": Kind(
        about="Its service needs one that nobody has.",
        source=_WHOLE.replace("start_seconds=1", "depends_on=('nobody-has-it',)"),
        expected="nobody-has-it",
        answers="",
    ),
    "dependency_on_itself": Kind(
        about="Its service needs itself.",
        source=_WHOLE.replace("start_seconds=1", "depends_on=('broken-service',)"),
        expected=SERVICE,
        answers="",
    ),
    "takes_a_name": Kind(
        about="Its service has the id of another plugin's service as an alias.",
        source=_WHOLE.replace("start_seconds=1", "aliases=('kestra-postgres',)"),
        expected=SERVICE,
    ),
    "wrong_status": Kind(
        about="Its status is a string.",
        source=_IMPORTS + _ENTRIES + "\n@hookimpl\ndef launcher_status(entry):\n    return 'ready'\n",
        expected=SERVICE,
        answers="plugin wrong_status answered nonsense in launcher_status",
    ),
    "status_of_another": Kind(
        about="Its status is that of another service.",
        source=_WHOLE.replace("id=entry.id", "id='kestra-postgres'"),
        expected=SERVICE,
        answers="plugin status_of_another gave no status for broken-service",
    ),
    "no_status": Kind(
        about="It has a service and cannot say how it is.",
        source=_IMPORTS + _ENTRIES,
        expected=SERVICE,
        answers="plugin no_status gave no status for broken-service",
    ),
    "system_exit_in_hook": Kind(
        about="A hook tries to end the launcher.",
        source=_WHOLE.replace("    return ServiceStatus", "    raise SystemExit(3)\n    return ServiceStatus"),
        expected=SERVICE,
        answers="plugin system_exit_in_hook failed in launcher_status: SystemExit: 3",
    ),
    "unprintable_exception": Kind(
        about="It raises an exception that cannot be turned into text.",
        source=_WHOLE.replace("    return ServiceStatus", "    raise Mute\n    return ServiceStatus")
        + "\nclass Mute(Exception):\n    def __str__(self):\n        raise ValueError('mute')\n",
        expected=SERVICE,
        answers="plugin unprintable_exception failed in launcher_status: Mute",
    ),
    "hangs_in_status": Kind(
        about="Its status never comes.",
        source=_WHOLE.replace("    return ServiceStatus", "    Never().wait()\n    return ServiceStatus"),
        expected=SERVICE,
        answers="plugin hangs_in_status did not return from launcher_status",
    ),
    "tells_a_secret": Kind(
        about="It puts a password into its exceptions, as database drivers do.",
        source=_IMPORTS
        + _ENTRIES
        + """
@hookimpl
def launcher_status(entry, host):
    password = host.environment.secret("SOME_PASSWORD").get_secret_value()
    raise ConnectionError(f"cannot reach tcp://user:{password}@database\\x1b[2J")
""",
        expected=SERVICE,
        answers="plugin tells_a_secret failed in launcher_status: ConnectionError: cannot reach tcp://user:",
    ),
    "tells_a_secret_on_import": Kind(
        about="Importing it raises with a password and a code that clears the screen in its words.",
        source="import os, pathlib\n"
        "words = pathlib.Path(os.environ['LAUNCHER_ROOT'], '.env').read_text().strip()\n"
        "raise RuntimeError(words + '\\x1b[2J')",
        expected="RuntimeError: SOME_PASSWORD=",
        state="failed",
        answers="RuntimeError: SOME_PASSWORD=",
    ),
    "tells_a_secret_in_an_answer": Kind(
        about="Its status holds a password.",
        source=_WHOLE.replace("(entry):", "(entry, host):").replace(
            'message="running"', 'message="by " + host.environment.secret("SOME_PASSWORD").get_secret_value()'
        ),
        expected=SERVICE,
        answers="",
    ),
    "raises_in_start": Kind(
        about="Its start raises.",
        source=_WHOLE + "\n@hookimpl\ndef launcher_start(entry):\n    raise RuntimeError('no fuel')\n",
        expected=SERVICE,
    ),
    "hangs_in_start": Kind(
        about="Its start never returns.",
        source=_WHOLE + "\n@hookimpl\ndef launcher_start(entry):\n    Never().wait()\n",
        expected=SERVICE,
    ),
    "hangs_on_import": Kind(
        about="Importing it never ends.",
        source="from threading import Event\nEvent().wait()",
        expected="did not return from load",
        state="failed",
    ),
    "import_takes_a_minute": Kind(
        about="Importing it takes 60 s.",
        source="from threading import Event\nEvent().wait(60)\n" + _WHOLE,
        expected="did not return from load",
        state="failed",
    ),
    "ends_the_process_on_import": Kind(
        about="Importing it calls os._exit, which no other code of the process survives.",
        source=_MARK + "import os\nos._exit(42)",
        expected="",
    ),
    "changes_pluggy_on_import": Kind(
        about="Importing it replaces a method of pluggy, on which every other plugin rests.",
        source="import pluggy\npluggy.PluginManager.register = lambda *_, **__: None\n" + _WHOLE,
        expected="changed pluggy itself (PluginManager.register)",
        state="failed",
        answers="changed pluggy itself",
    ),
    "writes_to_descriptor_one": Kind(
        about="It writes to standard output past Python, as a C library or a child process does.",
        source="import os\nos.write(1, b'from below')\nos.system('echo from a child')\n"
        + _WHOLE.replace("    return", "    os.write(1, b'and from a hook')\n    return"),
        expected=SERVICE,
    ),
    "a_million_entries": Kind(
        about="It answers with a million entries.",
        source=_WHOLE.replace("return [", "return 1_000_000 * ["),
        expected="more than 1000 items",
        state="failed",
        answers="more than 1000 items",
    ),
    "entries_without_end": Kind(
        about="Its entries are a generator that never ends.",
        source=_WHOLE.replace("    return [", "    while True:\n        yield (").replace("=1)]", "=1))"),
        expected="more than 1000 items",
        state="failed",
        answers="more than 1000 items",
    ),
    "removed_hook": Kind(
        about="It answers a hook of another version of the host.",
        source=_WHOLE + "\n@hookimpl\ndef launcher_restart(entry):\n    return None\n",
        expected="unknown hook launcher_restart: mistyped, or not of service-launcher 0.1",
        state="failed",
        answers="launcher_restart",
    ),
    "installed_twice": Kind(
        about="It is installed in two folders on Python's path, in two versions.",
        source=_WHOLE,
        expected=SERVICE,
        folders=2,
    ),
    "privileged": Kind(
        about="Its compose file asks for a privileged container.",
        source=_COMPOSE,
        expected=SERVICE,
        answers="does not answer",
        compose="privileged: true",
    ),
    "docker_socket": Kind(
        about="Its compose file mounts the Docker socket.",
        source=_COMPOSE,
        expected=SERVICE,
        answers="does not answer",
        compose="volumes: [/var/run/docker.sock:/var/run/docker.sock]",
    ),
    "raises_in_foreign_preflight": Kind(
        about="It fails when it is asked about the services of others.",
        source=_WHOLE
        + """
@hookimpl
def launcher_preflight(entry):
    if entry.id != "broken-service":
        raise LookupError(entry.id)
    return []
""",
        expected=SERVICE,
    ),
    "raises_in_event": Kind(
        about="It fails whenever it is told of an event.",
        source=_WHOLE + "\n@hookimpl\ndef launcher_event(event):\n    raise RuntimeError('do not tell me')\n",
        expected=SERVICE,
    ),
    "raises_in_variables": Kind(
        about="It fails when it is asked which variables it reads.",
        source=_WHOLE + "\n@hookimpl\ndef launcher_variables():\n    raise RuntimeError('which ones?')\n",
        expected=SERVICE,
    ),
    "raises_in_findings": Kind(
        about="It fails when the doctor asks it.",
        source=_WHOLE + "\n@hookimpl\ndef launcher_findings(entry):\n    raise RuntimeError('I feel fine')\n",
        expected=SERVICE,
    ),
    "time_without_a_zone": Kind(
        about="What it saw has a time that nothing can be compared with.",
        source=_IMPORTS
        + _ENTRIES
        + """
from datetime import datetime

from service_launcher import Evidence, Verdict

@hookimpl
def launcher_status(entry):
    seen = Evidence(layer="application", verdict=Verdict.OK, detail="fine", observed_at=datetime(2026, 1, 31))
    return ServiceStatus(id=entry.id, state=ServiceState.READY, message="running", evidence=(seen,))
""",
        expected=SERVICE,
        answers="plugin time_without_a_zone failed in launcher_status",
    ),
    "nonsense_in_findings": Kind(
        about="What it tells the doctor has a verdict that nobody knows.",
        source=_WHOLE
        + "\n@hookimpl\ndef launcher_findings(entry):\n"
        + "    return [{'check': 'mood', 'verdict': 'fine', 'summary': 'all is well'}]\n",
        expected=SERVICE,
    ),
    "raises_in_commands": Kind(
        about="It fails when the command line is built.",
        source=_WHOLE + "\n@hookimpl\ndef launcher_commands():\n    raise RuntimeError('no commands')\n",
        expected=SERVICE,
    ),
}


def write(kind: str, folder: Path) -> Path:
    """Write the plugin of a kind into a folder, as pip would have installed it, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = KINDS[kind]
    for copy in range(2, made.folders + 1):
        older = write_distribution(kind, folder / f"copy-{copy}", made, 0)
        (older / "METADATA").write_text((older / "METADATA").read_text().replace("Version: 1.0", "Version: 0.9"))
    for number in range(made.distributions):
        write_distribution(kind, folder, made, number)
    return folder


def write_distribution(kind: str, folder: Path, made: Kind, number: int) -> Path:
    """Write one distribution of a kind and return its metadata's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    module = f"broken_{kind}" + (f"_{number + 1}" if number else "")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    if made.compose:
        (folder / module).mkdir()
        (folder / module / "__init__.py").write_text(made.source, encoding="utf-8")
        compose = f"services:\n  broken:\n    image: local/kestra-rehearsal:1\n    {made.compose}\n"
        (folder / module / "docker-compose.broken.yml").write_text(compose)
    else:
        (folder / f"{module}.py").write_text(made.source, encoding="utf-8")
    requires = "".join(f"Requires-Dist: {line}\n" for line in made.requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n{requires}")
    (info / "entry_points.txt").write_text(f"[service_launcher]\n{kind} = {module}{made.attribute}\n")
    return info
