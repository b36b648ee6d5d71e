"""Reading `.env` files: what is accepted, what is refused and in which words, and which source wins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from service_launcher import envfile
from service_launcher.envfile import Environment, Variable
from service_launcher.errors import EnvFileError

ACCEPTED = {
    "V=abc": "abc",
    "V=": "",
    "V=a=b": "a=b",
    "V=https://example.org:8080/p@th,a%20b+c-d_e.f": "https://example.org:8080/p@th,a%20b+c-d_e.f",
    "V=''": "",
    "V='pa$word'": "pa$word",
    "V='$(id -u) `id` $$ $HOME'": "$(id -u) `id` $$ $HOME",
    "V='ab #cd'": "ab #cd",
    "V='  spaces\tand tab  '": "  spaces\tand tab  ",
    "V='a\"b{}%;|&<>*?!~'": 'a"b{}%;|&<>*?!~',
    "V='café ☕'": "café ☕",
}

#: Every line of threats-and-faults.md 6.4 on which the readers disagree, and their kin. Each holds Hunter2, which
#: stands for the value that must not be told.
REFUSED: Mapping[str, tuple[bytes, str | None]] = {
    "carriage return": (b"V=Hunter2\r", "V"),
    "dollar": (b"V=pa$Hunter2", "V"),
    "dollar in double quotes": (b'V="pa$Hunter2"', "V"),
    "double quotes": (b'V="Hunter2"', "V"),
    "two dollars": (b"V=pa$$Hunter2", "V"),
    "name of a variable": (b"V=Hunter2$HOME", "V"),
    "open brace": (b"V=pa${Hunter2", "V"),
    "command": (b"V=$(Hunter2)", "V"),
    "back quotes": (b"V=`Hunter2`", "V"),
    "comment behind": (b"V=Hunter2 #cd", "V"),
    "comment behind quotes": (b"V='Hunter2' #cd", "V"),
    "text behind quotes": (b"V='Hunter2'x", "V"),
    "white space behind": (b"V=Hunter2 ", "V"),
    "backslash": (b"V=Hunter2\\", "V"),
    "backslash in quotes": (b"V='Hunter2\\n'", "V"),
    "quote in quotes": (b"V='Hun'ter2'", "V"),
    "unclosed double quote": (b'V="Hunter2', "V"),
    "unclosed single quote": (b"V='Hunter2", "V"),
    "two lines in quotes": (b"V='Hunter2\nb'", "V"),
    "tilde": (b"V=~/Hunter2", "V"),
    "accent without quotes": ("V=Hunter2é".encode(), "V"),
    "second definition": (b"FIRST=Hunter2", "FIRST"),
    "spaces around": (b"V = Hunter2", None),
    "space in front": (b" V=Hunter2", None),
    "colon": (b"V: Hunter2", None),
    "no value": (b"Hunter2", None),
    "export": (b"export V=Hunter2", None),
    "dash in the name": (b"A-B=Hunter2", None),
    "dot in the name": (b"A.B=Hunter2", None),
    "digit in front": (b"1V=Hunter2", None),
    "accent in the name": ("É=Hunter2".encode(), None),
    "no UTF-8": (b"V=Hunter2\xe9", None),
    "NUL": (b"V=Hunter2\0b", None),
}

#: Lowest first (design.md, section 6).
SOURCES = ("config/.env.defaults", ".env.shared", ".env", ".env.local", "process environment")


@pytest.mark.parametrize(("line", "value"), ACCEPTED.items(), ids=ACCEPTED)
def test_an_accepted_line_has_the_value_that_all_readers_see(tmp_path: Path, line: str, value: str) -> None:
    file = tmp_path / ".env"
    file.write_text(f"# it's a comment\n\n  # another\n{line}\n", encoding="utf-8")
    assert envfile.read(file, ".env") == {"V": value}


@pytest.mark.parametrize(("line", "key"), REFUSED.values(), ids=REFUSED)
def test_a_refused_line_is_named_by_file_number_and_key_never_by_value(
    tmp_path: Path, line: bytes, key: str | None
) -> None:
    file = tmp_path / ".env.local"
    file.write_bytes(b"FIRST=1\n# comment\n" + line + b"\nLAST=2\n")
    with pytest.raises(EnvFileError) as refused:
        envfile.read(file, ".env.local")
    told = f"{refused.value.summary} {refused.value.fix}"
    assert ".env.local, line 3" in told
    assert key is None or f", {key}:" in told
    assert "Hunter2" not in told


def test_a_byte_order_mark_is_refused(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"\xef\xbb\xbfV=Hunter2\n")
    with pytest.raises(EnvFileError, match=r"\.env, line 1: .*byte order mark"):
        envfile.read(file, ".env")


@pytest.mark.parametrize("content", ["V='a\rb'\n", "# comment\rV=abc\nW=1\n"], ids=["in a value", "in a comment"])
def test_a_carriage_return_is_refused_wherever_it_stands(content: str) -> None:
    with pytest.raises(EnvFileError):
        envfile.parse(content, ".env")


@pytest.mark.parametrize(
    "name",
    [
        "COMPOSE_FILE",
        "COMPOSE_PROJECT_NAME",
        "DOCKER_HOST",
        "LD_PRELOAD",
        "PATH",
        "HOME",
        "BASH_ENV",
        "ENV",
        "IFS",
        "SHELLOPTS",
        "PYTHONPATH",
    ],
)
def test_a_name_that_steers_docker_or_the_system_is_refused(name: str) -> None:
    with pytest.raises(EnvFileError, match=rf"\.env, line 1, {name}: "):
        envfile.parse(f"{name}=x\n", ".env")


@pytest.mark.parametrize("name", ["PATHS", "HOMEPAGE", "ENVIRONMENT", "KESTRA_DOCKER_NETWORK", "KESTRA_PATH"])
def test_a_name_that_only_looks_like_one_is_accepted(name: str) -> None:
    assert envfile.parse(f"{name}=x\n", ".env") == {name: "x"}


@pytest.mark.parametrize("name", ["UID", "EUID", "PPID", "RANDOM", "SECONDS", "_"])
def test_a_name_that_bash_keeps_for_itself_is_refused(name: str) -> None:
    with pytest.raises(EnvFileError):
        envfile.parse(f"{name}=5\n", ".env")


def test_an_absent_file_has_no_variables_and_a_folder_is_refused(tmp_path: Path) -> None:
    assert envfile.read(tmp_path / ".env", ".env") == {}
    (tmp_path / ".env").mkdir()
    with pytest.raises(EnvFileError, match=r"\.env cannot be read"):
        envfile.read(tmp_path / ".env", ".env")


@pytest.mark.parametrize("present", range(1, 6))
def test_the_highest_source_that_has_a_variable_wins(tmp_path: Path, present: int) -> None:
    (tmp_path / "config").mkdir()
    for number, name in enumerate(SOURCES[: min(present, 4)]):
        (tmp_path / name).write_text(f"V={number}\nONLY_{number}=x\n")
    environment = envfile.load(tmp_path, {"V": "4"} if present == 5 else {})
    assert (environment["V"], environment.source("V")) == (str(present - 1), SOURCES[present - 1])
    assert all(environment[f"ONLY_{number}"] == "x" for number in range(min(present, 4)))


def test_an_empty_value_of_a_higher_source_counts_as_a_value(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("V=low\n")
    assert envfile.load(tmp_path, {"V": ""})["V"] == ""


def test_a_secret_is_only_reached_by_its_own_door() -> None:
    environment = Environment({"DB_PASSWORD": Variable("Hunter2", ".env"), "PORT": Variable("1", ".env")})
    with pytest.raises(KeyError, match=r"secret\('DB_PASSWORD'\)") as refused:
        environment["DB_PASSWORD"]
    assert dict(environment) == {"PORT": "1"}
    assert len(environment) == 1
    assert environment.get("DB_PASSWORD") is None
    secret = environment.secret("DB_PASSWORD")
    assert secret is not None
    assert secret.get_secret_value() == "Hunter2"
    assert environment.secret("OTHER_PASSWORD") is None
    assert environment.select(["DB_PASSWORD", "ABSENT"]) == {"DB_PASSWORD": "Hunter2"}
    assert environment.secret_values() == ("Hunter2",)
    assert "Hunter2" not in f"{environment} {environment!r} {secret} {secret!r} {refused.value}"


@pytest.mark.parametrize(
    "name", ["KESTRA_DB_PASSWORD", "password", "GITHUB_TOKEN", "CLIENT_SECRET", "TLS_PRIVATE_KEY", "GCP_CREDENTIALS"]
)
def test_a_name_tells_that_its_value_is_secret(name: str) -> None:
    assert envfile.is_secret(name)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "DB_PASSWD", "SMTP_PASS", "AWS_ACCESS_KEY_ID", "KEY_PASSPHRASE"])
def test_a_usual_name_of_a_secret_is_known(name: str) -> None:
    assert envfile.is_secret(name)


@pytest.mark.parametrize("name", ["KESTRA_HTTP_PORT", "KESTRA_BASICAUTH_USERNAME", "PATH", "KESTRA_IMAGE"])
def test_an_ordinary_name_is_no_secret(name: str) -> None:
    assert not envfile.is_secret(name)
