"""A plugin beside Kestra that hangs in each hook: it is named, and Kestra's services know nothing of it (F36)."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from service_launcher.guard import DEADLINES

from tests.engines import wait_for
from tests.faults.campaign import Case, Seen, Story, row
from tests.faults.place_faults import install

WHOLE = """\
from threading import Event as Never
from service_launcher import AutoStart, Evidence, ManifestEntry, ServiceState, ServiceStatus, Verdict, hookimpl

STATE = "stopped"

@hookimpl
def launcher_manifest_entries():
    return [ManifestEntry(id="hanging", type="tools", path=".", start="true", stack="tools", start_seconds=1,
                          stop_seconds=1)]

@hookimpl
def launcher_status(entry):
    seen = Evidence(layer="application", verdict=Verdict.OK if STATE == "ready" else Verdict.BAD, detail="as it is")
    return ServiceStatus(id=entry.id, state=ServiceState(STATE), message="as it is", evidence=(seen,))
"""

REST_SECONDS = 10.0  # what a command takes beside the plugin that hangs

#: What is asked, and by which arguments a hook is called.
HOOKS = {
    "launcher_variables": "",
    "launcher_auto_start": "entry, env",
    "launcher_preflight": "entry",
    "launcher_drift": "entry",
    "launcher_findings": "entry",
    "launcher_causes": "entry",
    "launcher_prepare": "entry",
    "launcher_start": "entry",
    "launcher_stop": "entry",
    "launcher_commands": "",
    "launcher_event": "event",
}


def _hanging(hook: str, state: str = "stopped") -> str:
    whole = WHOLE.replace('"stopped"', f'"{state}"')
    if hook == "load":
        return "from threading import Event\nEvent().wait()\n"
    if hook in whole:
        head, _, rest = whole.partition(f"def {hook}(")
        first, _, rest = rest.partition("\n")
        return f"{head}def {hook}({first}\n    Never().wait()\n{rest}"
    return whole + f"\n@hookimpl\ndef {hook}({HOOKS[hook]}):\n    Never().wait()\n"


def _story(hook: str, command: tuple[str, ...], words: str, state: str = "stopped") -> Story:
    def story(case: Case) -> Iterator[Seen]:
        ids = case.ids()
        plugin = install(case.folder / "installed", "hanging_plugin", _hanging(hook, state))
        case.injected()
        done = case.installation.launcher(*command, **plugin)
        assert words in done.text, done.text
        assert "hanging_plugin" in done.text, done.text
        # I10: it holds up nobody for longer than its own deadline, and what is said of Kestra is the truth.
        assert done.seconds < DEADLINES[hook] + REST_SECONDS, (hook, done.seconds)
        yield Seen(case.read(**plugin).state, done.code, done.seconds)
        assert case.ids() == ids, "Kestra's containers are the same"

    return story


def _put(hook: str, command: str, code: int, *, slow: bool = False, state: str = "stopped", without: str = "") -> None:
    words = "did not return from"
    told = f"a plugin beside Kestra hangs in {hook}; launcher {command}"
    name = f"plugin hangs in {hook.removeprefix('launcher_')}"
    put = row("F36", name, told, state="ready", code=code, slow=slow, without=without)
    put(_story(hook, tuple(command.split()), words, state))


_put("load", "plugins list", 0, slow=True, without="I2")
_put("launcher_manifest_entries", "plugins list", 0, slow=True, without="I2")
_put("launcher_variables", "config", 0, slow=True, without="I2")
_put("launcher_auto_start", "start", 1, slow=True)
_put("launcher_preflight", "start hanging", 3, slow=True)
_put("launcher_drift", "start", 0, slow=True, state="ready")
_put("launcher_status", "status --json", 0)
_put("launcher_findings", "doctor", 1, slow=True, without="I2")
_put("launcher_causes", "explain hanging", 0, state="failed", without="I2")
_put("launcher_commands", "--help", 0, slow=True, without="I2")
_put("launcher_event", "restart kestra", 0, slow=True)
_put("launcher_stop", "stop hanging", 1, slow=True, state="ready")


def _interrupted(hook: str, command: str, state: str) -> Story:
    """It may take half an hour, because images may have to come; a person need not wait for it."""

    def story(case: Case) -> Iterator[Seen]:
        plugin = install(case.folder / "installed", "hanging_plugin", _hanging(hook, state))
        with case.starting(*command.split(), **plugin) as start:
            wait_for(lambda: case.holds(start), 20, "it is under way")
            assert case.installation.launcher("start", "kestra", **plugin).code == 4
            assert case.read(**plugin).state == "ready"
            start.send_signal(signal.SIGINT)
            case.injected()
            code = start.wait(10)
            assert case.since < 2.5
            took = case.since
        yield Seen(case.read(**plugin).state, code, took)

    return story


for _hook, _command, _state in (("start", "start", "stopped"), ("prepare", "restart", "ready")):
    _told = f"a plugin beside Kestra hangs in launcher_{_hook}; launcher {_command}, Ctrl-C"
    row("F36", f"plugin hangs in {_hook}", _told, state="ready", code=130)(
        _interrupted(f"launcher_{_hook}", _command, _state)
    )
