"""One file, three readers: `docker compose`, python-dotenv and bash see the values that the launcher sees."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from dotenv import dotenv_values
from hypothesis import given, settings
from hypothesis import strategies as st
from service_launcher import envfile
from service_launcher.errors import EnvFileError
from service_launcher.launcher import _password

from tests.unit.test_envfile import ACCEPTED

#: What values are made of, the characters that mean something to a reader most of all; without those that quote()
#: refuses.
CHARACTERS = st.sampled_from('$#"`(){}[]~*?!&|;<>%=: \tKV1é') | st.characters(
    exclude_categories=["Cs"], exclude_characters="\0\r'\\\n"
)
VALUES = st.text(CHARACTERS, max_size=20).filter(lambda value: "${" not in value)
KEYS = st.from_regex(r"(_|k|K9)[A-Za-z0-9_]{3,11}", fullmatch=True)


def compose(file: Path, keys: list[str]) -> dict[str, str]:
    """What compose fills in for `${KEY}`; needs the docker command, no Engine."""
    wanted = {key: f"${{{key}}}" for key in keys}
    project = file.with_name("compose.yml")
    project.write_text(json.dumps({"services": {"one": {"image": "none", "environment": wanted}}}))
    command = ["docker", "compose", "--env-file", str(file), "-f", str(project), "config", "--format", "json"]
    done = subprocess.run(command, env=_clean(), capture_output=True, text=True, encoding="utf-8", check=True)
    filled: dict[str, str] = json.loads(done.stdout)["services"]["one"]["environment"]
    return {key: value.replace("$$", "$") for key, value in filled.items()}


def bash(file: Path, keys: list[str]) -> dict[str, str]:
    """What a shell exports after `set -a; . file`."""
    command = ["bash", "-c", 'set -ae; . "$1"; exec env -0', "-", str(file)]
    done = subprocess.run(command, env=_clean(), capture_output=True, check=True)
    exported = dict(pair.decode().split("=", 1) for pair in done.stdout.split(b"\0") if pair)
    return {key: exported[key] for key in keys}


def agreed(file: Path) -> dict[str, str]:
    """The launcher's reading of a file, after the other three were found to be the same."""
    values = envfile.read(file, file.name)
    assert dotenv_values(file) == values
    assert bash(file, list(values)) == values
    assert compose(file, list(values)) == values
    return values


def _clean() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def test_the_accepted_lines_mean_the_same_to_all(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    lines = [line.replace("V=", f"V{number}=", 1) for number, line in enumerate(ACCEPTED)]
    file.write_text("# it's a comment with $HOME\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    assert list(agreed(file).values()) == list(ACCEPTED.values())


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=60))
def test_what_quote_accepts_means_the_same_to_all(values: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder, ".env")
        lines = [f"{key}={envfile.quote(key, value)}\n" for key, value in values.items()]
        file.write_text("".join(lines), encoding="utf-8")
        assert agreed(file) == values


def test_generated_passwords_mean_the_same_to_all(tmp_path: Path) -> None:
    wanted = {f"P{number}_PASSWORD": (_password(), "generated") for number in range(100)}
    envfile.add_absent(tmp_path / ".env", wanted)
    assert agreed(tmp_path / ".env") == {name: value for name, (value, _) in wanted.items()}


def test_a_placeholder_in_quotes_is_refused_or_means_the_same_to_all(tmp_path: Path) -> None:
    try:
        written = envfile.quote("V", "a${HOME}b")
    except EnvFileError:
        return
    (tmp_path / ".env").write_text(f"V={written}\n")
    agreed(tmp_path / ".env")
