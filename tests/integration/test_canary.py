"""Canary secrets, put wherever a secret can turn up, are shown nowhere: by no command, in no record or traceback."""

from __future__ import annotations

import base64
import json
import signal
import threading
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.engines import PrivateEngine, wait_for
from tests.faults.place_faults import install
from tests.installations import Installation

# No letter sequence of theirs stands anywhere else; the characters are those that each encoding treats differently.
DATABASE = 'cAnary7$Db&?/+ "q\\e%41'
LOGIN = 'cAnary8$Lo&?/+"q\\e%42'
UNUSED = "cAnary9-of-nobody's-token"
PIECES = ("cAnary", "CANARY", "Y0FuYX", "jQW5hcn", "NBbmFye")  # each canary's first letters, bare and in base64

TELLTALE = f"""\
from service_launcher import ManifestEntry, ServiceState, ServiceStatus, hookimpl

@hookimpl
def launcher_manifest_entries():
    return [ManifestEntry(id="telltale", type="tools", path=".", start="true", stack="tools")]

@hookimpl
def launcher_status(entry, host):
    raise RuntimeError("it failed with {UNUSED}")

@hookimpl
def launcher_preflight(entry):
    raise ValueError("it cannot be checked with {UNUSED}")

@hookimpl
def launcher_event(event):
    raise ValueError("it was told with {UNUSED}")
"""

READING = (
    ["status"], ["status", "--json"], ["plan"], ["plan", "--json"], ["list"], ["list", "--json"], ["config"],
    ["config", "--json"], ["config", "KESTRA_DB_PASSWORD"], ["events"], ["events", "--json"], ["explain", "kestra"],
    ["explain", "kestra", "--json"], ["explain", "kestra-postgres", "--json"], ["explain", "telltale"],
    ["logs", "kestra", "--tail", "500"], ["logs"], ["doctor"], ["doctor", "--json"], ["health"],
    ["health", "--format", "json"], ["health", "--format", "prometheus"], ["plugins", "list"],
    ["plugins", "list", "--json"], ["manifest", "check"], ["kestra", "run", "--dry-run"],
)  # fmt: skip


@pytest.fixture
def told(installation: Installation, tmp_path: Path) -> Installation:
    """An installation whose secrets are canaries, with a plugin that tells one wherever it can."""
    installation.shell.update(install(tmp_path / "installed", "telltale", TELLTALE))
    installation.shell.update(KESTRA_DB_PASSWORD=DATABASE, KESTRA_BASICAUTH_PASSWORD=LOGIN, SEARCH_API_TOKEN=UNUSED)
    return installation


def silent(*texts: str) -> None:
    """No piece of a canary stands in any of the texts."""
    for text in texts:
        for piece in PIECES:
            assert piece not in text, text[max(0, text.find(piece) - 200) : text.find(piece) + 100]


def edited(installation: Installation, old: str, new: str) -> None:
    """Change the compose file as an operator might."""
    file = installation.root / "tools/compose/docker-compose.tools.yml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def recorded(installation: Installation) -> str:
    """Everything that the launcher has written for itself."""
    found = [path for path in (installation.root / ".launcher").rglob("*") if path.is_file()]
    assert found
    return "".join(path.read_text(errors="replace") for path in found)


def test_the_pieces_are_found_in_every_form() -> None:
    """The control: what is looked for is there in each form in which a canary could be shown."""
    for secret in (DATABASE, LOGIN, UNUSED):
        forms = [secret, secret.replace("$", "$$"), json.dumps(secret), quote(secret, safe="")]
        forms += [base64.b64encode(b"u" * offset + secret.encode()).decode() for offset in range(3)]
        for form in forms:
            with pytest.raises(AssertionError):
                silent(form)


def test_what_containers_and_plugins_tell_is_masked_in_every_command(told: Installation) -> None:
    encoded = base64.b64encode(f"admin@kestra.local:{LOGIN}".encode()).decode()
    printed = ["raw $KESTRA_DB_PASSWORD", f"Authorization: Basic {encoded}", f"url {quote(LOGIN, safe='')}"]
    # In the compose file a dollar is written twice, and the container's own environment holds the raw value.
    told.stand_in(STANDIN_LOG=" ; ".join(printed[1:]), STANDIN_HEALTH="down")
    edited(told, '[CMD, curl, -fsS, --max-time, "4", "http://localhost:8081/health"]',
           "[CMD-SHELL, 'printf \"the login is %s\" \"$$KESTRA_BASICAUTH_PASSWORD\"; exit 1']")  # fmt: skip
    edited(told, "start_period: 180s\n      start_interval: 500ms", "retries: 2\n      start_period: 0s")
    edited(told, "interval: 10s", "interval: 1s")
    edited(told, "      retries: 3\n", "")
    with told.popen("start", "kestra") as start:
        wait_for(lambda: told.state("kestra") == "degraded", 60, "its health check fails", every=0.3)
        start.send_signal(signal.SIGINT)
        silent(*start.communicate(timeout=20))
    done = told.launcher("explain", "kestra")
    assert "the login is ••••••" in done.out, done.text
    assert "Authorization: Basic" in done.out, done.text
    for command in READING:
        silent(told.launcher(*command).text, told.launcher("--debug", *command).text)
    with told.popen("status", "--watch", "--json") as watching, told.popen("events", "--follow", "--json") as events:
        seen: list[str] = []
        for process in (watching, events):
            assert process.stdout is not None
            threading.Thread(target=seen.extend, args=(process.stdout,), daemon=True).start()
        wait_for(lambda: seen, 20, "something is told")
        assert told.launcher("stop").code in (0, 1)
        for process in (watching, events):
            process.send_signal(signal.SIGINT)
            silent(process.communicate(timeout=20)[1])
        silent(*seen)
    silent(recorded(told))


def test_what_docker_and_compose_say_when_they_fail_is_masked(told: Installation, engine: PrivateEngine) -> None:
    """The exceptions of python-on-whales carry the command line and all output."""
    edited(told, "container_name: tools-kestra-postgres", 'container_name: "x ${KESTRA_DB_PASSWORD}"')
    for debug in ((), ("--debug",)):
        done = told.launcher(*debug, "start", "kestra-postgres")
        assert done.code == 1, done.text
        assert "Invalid container name" in done.text, done.text
        silent(done.text)
    edited(told, 'container_name: "x ${KESTRA_DB_PASSWORD}"', 'cpus: "${KESTRA_DB_PASSWORD}"')
    for debug in ((), ("--debug",)):
        done = told.launcher(*debug, "start", "kestra-postgres")
        assert done.code == 2, done.text
        silent(done.text)
    silent(recorded(told))
