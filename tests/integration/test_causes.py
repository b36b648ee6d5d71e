"""What keeps any container from coming up, brought about on real ones: the host's catalogue knows the words of each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.installations import Installation

FILE = Path("tools/compose/docker-compose.tools.yml")
COMMAND = "    command: [server, standalone]\n"

TWO_LISTENERS = "import socket; first = socket.create_server(('', 9)); socket.create_server(('', 9))"

#: For each cause what the container is, as lines of the compose file in the place of its command.
CONTAINERS = {
    "no-space": "    tmpfs: ['/small:size=64k']\n"
    "    entrypoint: [dd, if=/dev/zero, of=/small/file, bs=1k, count=200]\n",
    "permission-denied": "    entrypoint: [setpriv, --reuid=65534, touch, /app/storage/file]\n",
    "socket-permission": "    entrypoint: [setpriv, --reuid=65534, --clear-groups, env, HOME=/tmp, docker, ps]\n",
    "port-taken-inside": f'    entrypoint: [python3, -c, "{TWO_LISTENERS}"]\n',
    "command-missing": "    entrypoint: [/app/gone]\n",
}


@pytest.mark.parametrize("cause", CONTAINERS)
def test_a_start_names_the_cause(installation: Installation, cause: str) -> None:
    docker = f"    volumes:\n      - {{type: bind, source: {shutil.which('docker')}, target: /usr/bin/docker}}\n"
    file = installation.root / FILE
    text = file.read_text().replace(COMMAND, CONTAINERS[cause] + "    command: []\n", 1)
    text = text.replace("    volumes:\n", docker, 1).replace("    restart: unless-stopped", '    restart: "no"', 1)
    file.write_text(text)
    done = installation.launcher("start", "kestra", "--json")
    assert done.code == 1, done.text
    kestra = next(o for o in done.json()["outcomes"] if o["service"] == "kestra-orchestrator")
    assert kestra["explanation"]["cause_id"] == cause, kestra["explanation"]["log_lines"]


def test_a_health_check_whose_command_is_not_there(installation: Installation) -> None:
    file = installation.root / FILE
    text = file.read_text().replace("test: [CMD, curl, ", "test: [CMD, no-such-command, ", 1)
    file.write_text(
        text.replace("interval: 10s", "interval: 1s", 1).replace("start_period: 180s", "start_period: 1s", 1)
    )
    assert installation.launcher("init").code == 0
    assert installation.compose("up", "-d").code == 0
    installation.await_state("kestra", "degraded", 60)
    told = installation.launcher("explain", "kestra", "--json").json()
    assert told["cause_id"] == "health-command-missing", told
