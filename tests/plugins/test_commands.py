"""`launcher plugins`: what each of its commands shows and changes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.broken_plugins import pack
from tests.environments import PYTHON, run

Launcher = Callable[..., "subprocess.CompletedProcess[str]"]
SECRET = "Right1Password"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An installation of its own, without an Engine."""
    (tmp_path / "root/config").mkdir(parents=True)
    (tmp_path / "root/.env").write_text(f"SOME_PASSWORD={SECRET}\n")
    return tmp_path / "root"


@pytest.fixture
def launcher(root: Path, tmp_path: Path) -> Launcher:
    """The real command beside the plugins `sound`, `tells_a_secret` and `import_error`."""
    for kind in ("sound", "import_error"):
        pack.write(kind, tmp_path / "installed")
    variables = {"PYTHONPATH": str(tmp_path / "installed"), "DOCKER_HOST": "unix:///nonexistent/docker.sock"}

    def command(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return run(str(PYTHON.with_name("launcher")), "--root", str(root), *arguments, **variables | more)

    return command


def states(launcher: Launcher) -> dict[str, str]:
    return {p["name"]: p["state"] for p in json.loads(launcher("plugins", "list", "--json").stdout)["plugins"]}


def test_info_tells_the_source_the_version_and_the_hooks(launcher: Launcher, tmp_path: Path) -> None:
    told: Any = json.loads(launcher("plugins", "info", "sound", "--json").stdout)
    assert told["distribution"] == "broken_sound"
    assert (told["version"], told["target"], told["host_range"]) == ("1.0", "broken_sound", "service-launcher>=0.1")
    assert told["folder"] == str(tmp_path / "installed")
    assert told["hooks"] == ["launcher_manifest_entries", "launcher_status"]
    assert told["services"] == [pack.SERVICE]
    as_text = launcher("plugins", "info", "sound").stdout
    assert re.search(r"^hooks: +launcher_manifest_entries, launcher_status$", as_text, re.MULTILINE)


def test_info_of_a_broken_plugin_has_the_sentence_that_mends_it(launcher: Launcher) -> None:
    done = launcher("plugins", "info", "import_error")
    assert done.returncode == 0
    assert "half a file" in done.stderr
    assert "launcher plugins disable import_error" in done.stderr


@pytest.mark.parametrize("command", ["info", "check", "enable", "disable"])
def test_a_name_that_nobody_has_is_refused_with_those_that_are_there(launcher: Launcher, command: str) -> None:
    done = launcher("plugins", command, "nobody")
    assert done.returncode == 2
    assert re.search(r"no plugin is named nobody \(installed: .*sound", done.stderr)


def test_disable_and_enable_write_the_file_and_keep_what_else_is_in_it(launcher: Launcher, root: Path) -> None:
    file = root / "config/plugins.toml"
    file.write_text('# ours\nonly = ["kestra", "import_error"]  # for now\n')
    assert states(launcher)["sound"] == "disabled"
    assert launcher("plugins", "enable", "sound").stdout == "sound: enabled in config/plugins.toml\n"
    assert states(launcher)["sound"] == "active"
    assert launcher("plugins", "disable", "import_error").returncode == 0
    assert states(launcher) == {"kestra": "active", "sound": "active", "import_error": "disabled"}
    assert launcher("plugins", "disable", "import_error").stdout == "import_error: disabled already\n"
    text = file.read_text()
    assert "# ours" in text
    assert "# for now" in text
    assert not list((root / "config").glob("tmp*"))


def test_disable_imports_nothing(launcher: Launcher, tmp_path: Path) -> None:
    assert launcher("plugins", "disable", "import_error").returncode == 0
    assert not (tmp_path / "installed/broken_import_error.imported").exists()


def test_a_file_that_cannot_be_read_is_not_written_over(launcher: Launcher, root: Path) -> None:
    (root / "config/plugins.toml").write_text("disabled = [")
    done = launcher("plugins", "disable", "sound")
    assert done.returncode == 2
    assert "config/plugins.toml cannot be read" in done.stderr
    assert (root / "config/plugins.toml").read_text() == "disabled = ["


def test_trace_prints_every_call_with_its_duration_and_answer(launcher: Launcher) -> None:
    done = launcher("plugins", "trace", "status", pack.SERVICE, "--json")
    assert json.loads(done.stdout)["services"][0]["state"] == "ready", "the traced command's own output is untouched"
    lines = [line for line in done.stderr.splitlines() if " ms  " in line]
    assert all(re.match(r" +\d+\.\d ms  \w+  \w+", line) for line in lines)
    told = "\n".join(lines)
    assert re.search(r"sound  load → broken_sound", told)
    assert re.search(r"import_error  load ✖ .*half a file", told)
    assert re.search(r"sound  launcher_manifest_entries → \[ManifestEntry\(id='broken-service'", told)
    assert re.search(r"sound  launcher_status\(broken-service\) → ServiceStatus\(.*READY", told)


def test_trace_returns_the_exit_code_of_what_it_traced(launcher: Launcher) -> None:
    assert launcher("plugins", "trace", "status").returncode == 5
    assert launcher("plugins", "trace", "no-such-command").returncode == 2


def test_what_is_traced_holds_no_secret(launcher: Launcher, tmp_path: Path) -> None:
    pack.write("tells_a_secret_on_import", tmp_path / "installed")
    done = launcher("plugins", "trace", "list", LAUNCHER_ROOT=str(tmp_path / "root"))
    assert "tells_a_secret_on_import  load ✖" in done.stderr
    launcher("plugins", "disable", "sound")
    pack.write("tells_a_secret_in_an_answer", tmp_path / "installed")
    traced = launcher("plugins", "trace", "status", LAUNCHER_ROOT=str(tmp_path / "root"))
    assert "launcher_status(broken-service) → ServiceStatus" in traced.stderr
    assert SECRET not in traced.stdout + traced.stderr
    assert SECRET not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_new_plugin_needs_a_good_name_and_a_free_folder(launcher: Launcher, tmp_path: Path) -> None:
    for name in ("Grafana", "../escape", "two--hyphens", "x" * 50):
        done = launcher("plugins", "new", name, "--into", str(tmp_path))
        assert done.returncode == 2
        assert "lower-case letters, digits and single hyphens" in done.stderr
    (tmp_path / "launcher-taken").mkdir()
    assert "is there already" in launcher("plugins", "new", "taken", "--into", str(tmp_path)).stderr
