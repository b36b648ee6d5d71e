"""The contract suite can fail: a sound plugin passes, and each way to break it is found by the test for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from service_launcher import scaffold

from tests.engines import PrivateEngine
from tests.environments import PYTHON, run, site
from tests.plugins.conftest import empty

HOOK = "\n\n@hookimpl\ndef {}:\n    {}\n"


@dataclass(frozen=True)
class Break:
    """A change of the plugin's source or metadata, and the one test that has to find it."""

    found_by: str
    old: str = ""
    new: str = ""
    added: str = ""
    file: str = "plugin.py"


BREAKS = {
    "sound": Break(""),
    "raises on import": Break("test_the_plugin_loads", added="\nraise RuntimeError('half a file')\n"),
    "unknown hook": Break("test_the_plugin_loads", added=HOOK.format("launcher_stauts(entry)", "return None")),
    "wrong argument": Break("test_the_plugin_loads", added=HOOK.format("launcher_causes(entries)", "return []")),
    "open range": Break("test_its_host_range_is_bounded", ",<1", "", file="pyproject.toml"),
    "no range": Break(
        "test_its_host_range_is_bounded", '["service-launcher>=0.1,<1"]', '["click"]', file="pyproject.toml"
    ),
    "not marked": Break("test_every_hook_is_marked", added="\n\ndef launcher_causes(entry):\n    return []\n"),
    "wrong annotation": Break(
        "test_the_annotations_are_those_of_the_contract",
        "def launcher_status(entry: ManifestEntry, host: Host) -> ServiceStatus:",
        "def launcher_status(entry: ManifestEntry, host: Host) -> str:",
    ),
    "heavy import": Break("test_the_import_is_quick_and_light", added="\nimport docker\n"),
    "slow import": Break(
        "test_the_import_is_quick_and_light", added="\nfrom threading import Event as Wait\nWait().wait(2.1)\n"
    ),
    "prints": Break("test_the_import_prints_nothing", added="\nprint('hello')\n"),
    "network": Break(
        "test_the_import_uses_no_network_and_no_process",
        added="\nfrom socket import socket\nwith socket() as one:\n    one.connect_ex(('127.0.0.1', 9))\n",
    ),
    "process": Break(
        "test_the_import_uses_no_network_and_no_process",
        added="\nimport subprocess\nsubprocess.run(['true'])\n",
    ),
    "unknown need": Break("test_its_entries_fit_together", 'path="tools/', 'depends_on=("nobody",), path="tools/'),
    "another answer each time": Break(
        "test_it_answers_the_same_twice",
        added="\nfrom itertools import count\nNUMBERS = count()\n"
        + HOOK.format("launcher_variables()", "return [Variable(name=f'N{next(NUMBERS)}', meaning='a number')]"),
    ),
    "a password that is not masked": Break(
        "test_its_variables_are_its_own",
        added=HOOK.format("launcher_variables()", "return [Variable(name='PHRASE', meaning='it', kind='password')]"),
    ),
    "keeps its variables to itself": Break(
        "test_its_variables_are_its_own", "launcher_variables = _services.launcher_variables\n", ""
    ),
    "the host's command": Break(
        "test_its_commands_stand_under_one_name", 'group.name = "', 'group.name = "start" or "'
    ),
    "raises in a hook": Break(
        "test_every_answer_is_of_its_type_and_in_time", added=HOOK.format("launcher_causes(entry)", "raise KeyError(1)")
    ),
    "raises an error of the host's": Break(
        "test_every_answer_is_of_its_type_and_in_time",
        "    status = SERVICE.status(host)\n",
        '    raise ConfigurationError("no licence")\n',
        added="\nfrom service_launcher import ConfigurationError\n",
    ),
    "nonsense": Break(
        "test_every_answer_is_of_its_type_and_in_time", added=HOOK.format("launcher_causes(entry)", "return ['cause']")
    ),
    "hangs in a hook": Break(
        "test_every_answer_is_of_its_type_and_in_time",
        added="\nfrom threading import Event as Never\n" + HOOK.format("launcher_causes(entry)", "Never().wait()"),
    ),
    "always ready": Break(
        "test_nothing_is_ready_that_nobody_started",
        "    status = SERVICE.status(host)\n",
        '    return ServiceStatus(id=entry.id, state=ServiceState.READY, message="fine")\n',
    ),
    "meddles": Break(
        "test_it_leaves_the_services_of_others_alone",
        added="\nfrom service_launcher import Problem\n"
        + HOOK.format("launcher_preflight(entry)", "return [Problem(severity='error', summary='not on my watch')]"),
    ),
    "fails at an event": Break(
        "test_it_survives_every_event", added=HOOK.format("launcher_event(event)", "raise LookupError(event.service)")
    ),
    "tells a secret": Break(
        "test_no_secret_is_in_what_it_says",
        "    status = SERVICE.status(host)\n",
        '    raise ConnectionError(host.environment.secret("OWN_PASSWORD").get_secret_value())\n',
        added=HOOK.format(
            "launcher_variables()", "return [Variable(name='OWN_PASSWORD', meaning='it', kind='password')]"
        ),
    ),
    "privileged": Break(
        "test_its_compose_files_keep_to_the_policy",
        "    restart:",
        "    privileged: true\n    restart:",
        file="docker-compose.{name}.yml",
    ),
    "no compose file": Break(
        "test_its_compose_files_keep_to_the_policy", "docker-compose.", "docker-compose-", file="plugin.py"
    ),
}

_OWN_START = "\n\n@hookimpl\ndef launcher_start(entry: ManifestEntry, host: Host) -> None:\n"

#: The same for what can only be seen on a container.
BREAKS_ON_REAL_PARTS = {
    "sound": Break(""),
    "made anew by each start": Break(
        "test_starting_and_stopping_twice_is_like_once",
        added=f"{_OWN_START}    found = SERVICE.container(host)\n    if found is not None:\n"
        '        host.run(["docker", "rm", "--force", "--", found.id], seconds=60)\n    SERVICE.start(host)\n',
    ),
    "stops only what runs": Break(
        "test_starting_and_stopping_twice_is_like_once",
        added=HOOK.format(
            "launcher_stop(entry, host)",
            'if SERVICE.status(host).container != "running":\n        raise LookupError("nothing runs")\n'
            "    SERVICE.stop(host)",
        ),
    ),
    "remembers instead of looking": Break(
        "test_the_status_is_true_after_it_was_killed",
        "    status = SERVICE.status(host)\n",
        "    status = SERVICE.status(host)\n    if STARTED:\n"
        '        return status.model_copy(update={"state": ServiceState.READY, "message": "started"})\n',
        added=f"\nSTARTED: list[str] = []\n{_OWN_START}    SERVICE.start(host)\n    STARTED.append(entry.id)\n"
        + HOOK.format("launcher_stop(entry, host)", "STARTED.clear()\n    SERVICE.stop(host)"),
    ),
    "comes back only when it is removed": Break(
        "test_the_status_is_true_after_it_was_killed",
        added=f"{_OWN_START}    found = SERVICE.container(host)\n"
        '    if found is not None and found.state == "exited":\n'
        '        raise LookupError("remove it first")\n    SERVICE.start(host)\n',
    ),
}


def made(kind: str, number: int, folder: Path, image: str = "local/nothing:1", health: str = "") -> Path:
    """A plugin from the scaffold, broken in one way, with its tests."""
    name = f"broken-{number}"
    distribution = scaffold.make(name, "probe", folder, image=image, port=8080, health=health)
    one = (BREAKS if image == "local/nothing:1" else BREAKS_ON_REAL_PARTS)[kind]
    file = distribution / (
        one.file if one.file == "pyproject.toml" else f"launcher_broken_{number}/{one.file.format(name=name)}"
    )
    text = file.read_text()
    assert one.old in text, kind
    file.write_text(text.replace(one.old, one.new, 1) + one.added)
    return distribution


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What fails of the test that should find a break, and of all tests for the sound plugin; two runs at a time."""
    folder = tmp_path_factory.mktemp("breaks")
    found: dict[str, set[str]] = {}
    waiting = list(enumerate(BREAKS))
    running: list[tuple[str, subprocess.Popen[str]]] = []
    while waiting or running:
        while waiting and len(running) < 2:
            number, kind = waiting.pop(0)
            distribution = made(kind, number, folder)
            installed = site(folder / f"site-{number}", distribution)
            shutil.rmtree(distribution / "build", ignore_errors=True)
            running.append((kind, _begin(distribution, installed, BREAKS[kind].found_by)))
        kind, process = running.pop(0)
        out = process.communicate(timeout=120)[0]
        assert " passed" in out or " failed" in out or " error" in out, out[-3000:]
        found[kind] = set(re.findall(r"^(?:FAILED|ERROR) \S+::(test_\w+)", out, re.MULTILINE))
    return found


def _begin(distribution: Path, installed: Path, test: str) -> subprocess.Popen[str]:
    command = [str(PYTHON), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_contract.py", "-k", test]
    environment = {"PATH": os.environ["PATH"], "HOME": str(distribution), "PYTHONPATH": str(installed)}
    environment |= {"DOCKER_HOST": "tcp://127.0.0.1:1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        command, cwd=distribution, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize("kind", BREAKS)
def test_the_contract_finds(failed: dict[str, set[str]], kind: str) -> None:
    assert failed[kind] == {BREAKS[kind].found_by} - {""}


@pytest.mark.docker
@pytest.mark.parametrize("kind", BREAKS_ON_REAL_PARTS)
def test_the_contract_finds_on_real_parts(kind: str, engine: PrivateEngine, tmp_path: Path) -> None:
    empty(engine)
    health = "curl -fsS http://localhost:8081/health"
    distribution = made(kind, 1, tmp_path, "local/kestra-rehearsal:1", health)
    installed = site(tmp_path / "site", distribution)
    wanted = "like_once or after_it_was_killed"
    command = (str(PYTHON), "-m", "pytest", "-q", "--require-docker", "-p", "no:cacheprovider", "-k", wanted)
    done = run(*command, cwd=distribution, PYTHONPATH=str(installed), DOCKER_HOST=engine.address)
    assert "2 passed" in done.stdout or " failed" in done.stdout, done.stdout[-3000:]
    found = set(re.findall(r"^(?:FAILED|ERROR) \S+::(test_\w+)", done.stdout, re.MULTILINE))
    assert found == {BREAKS_ON_REAL_PARTS[kind].found_by} - {""}, done.stdout[-3000:]


def test_without_an_engine_the_tests_on_real_parts_are_skipped_or_fail_as_asked(tmp_path: Path) -> None:
    distribution = scaffold.make("alone", "compose", tmp_path, image="local/nothing:1", port=8080, health="")
    installed = site(tmp_path / "site", distribution)
    wanted = "like_once"
    for options, summary in (((), "1 skipped"), (("--require-docker",), "1 error")):
        command = [str(PYTHON), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", wanted, *options]
        done = run(*command, cwd=distribution, PYTHONPATH=str(installed), DOCKER_HOST="tcp://127.0.0.1:1")
        assert summary in done.stdout
