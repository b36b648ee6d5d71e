"""The README on a machine that has nothing: every command of it in a bare Debian, with packages from their mirrors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.clean_machine import CleanMachine
from tests.conftest import CHECKOUT
from tests.docs.pages import Page, commands
from tests.engines import PrivateEngine
from tests.installations import REAL_KESTRA, Installation

#: What a command's output has to hold, beside the exit code 0.
SAYS = {
    "scripts/up": r"Kestra Orchestrator: http://localhost:8080",
    "scripts/docker/start-stacks.sh": r"already ready",
    ".venv/bin/launcher status": r"kestra-orchestrator:.*the API answers with our credentials",
    ".venv/bin/launcher explain": r"kestra-orchestrator",
    ".venv/bin/launcher logs": r"(?s)(.*\n){20}",
    "scripts/docker/stop-stacks.sh": r"(?s)kestra-orchestrator.*stopped",
}


@pytest.mark.kestra
@pytest.mark.timeout(1200)
def test_every_command_of_the_readme_works_on_a_bare_debian(engine: PrivateEngine, tmp_path: Path) -> None:
    engine.wipe()
    checkout = Installation.copied(CHECKOUT, tmp_path / "launcher", engine).root
    (checkout / ".env").unlink()
    if (CHECKOUT.parent / "shared").exists():
        (tmp_path / "shared").symlink_to(CHECKOUT.parent / "shared")
    blocks = [commands(block) for block in Page(CHECKOUT / "README.md").fences("console")]
    # These tests are what the other command would run.
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith("scripts/test")]
    with CleanMachine.made(tmp_path, engine, checkout) as machine:
        for absent in ("python3", "docker", "curl"):
            assert machine.run(f"command -v {absent}", checkout).code, f"{absent} is there before anything was done"
        for line in lines:
            done = machine.run(line, checkout)
            assert done.code == 0, (line, done.text)
            wanted = next(words for command, words in SAYS.items() if line.startswith(command))
            assert re.search(wanted, done.text), (line, done.text)
        values = (checkout / ".env").read_text()
        assert f"KESTRA_IMAGE={REAL_KESTRA}\n" in values
        told = machine.run(".venv/bin/launcher status --json", checkout)
        states = {s["id"]: s["state"] for s in json.loads(told.out)["services"]}
        assert states["kestra-orchestrator"] == states["kestra-postgres"] == "stopped"
    engine.wipe()
