"""What the Kestra plugin decides without Docker: when it is skipped, which credentials it takes, how it is run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from service_launcher import AutoStart, Host, Verdict
from service_launcher.compose import ComposeProject
from service_launcher.envfile import Environment, Variable
from service_launcher.events import LastReady
from service_launcher.prober import MAX_BYTES, Answer
from service_launcher.redaction import Redactor

from launcher_kestra import credentials, database, plugin, probe
from launcher_kestra.manual import _plain, command
from launcher_kestra.plugin import launcher_auto_start
from launcher_kestra.services import FILE, HARDENED_FILE, KESTRA, POSTGRES, ToolsService, postgres_major

CHECKOUT = Path(__file__).parents[2]
GOOD = "Right1Password"
DEFAULTS = ("k3str4", "kestra", "admin", "postgres", "changeme", "Admin1234", "KESTRA123", "Changeme1")
DATA_TARGET = "KESTRA_POSTGRES_DATA_TARGET"


@dataclass
class FakeHost:
    """As much of a Host as these rules look at; `compose` gives back what it was asked with."""

    environment: Environment
    root: Path = CHECKOUT

    def compose(
        self, project: str, files: Sequence[Path], services: Sequence[str], variables: Mapping[str, str]
    ) -> dict[str, Any]:
        return {"project": project, "files": files, "services": services, "variables": variables}


def host(**values: str | None) -> Any:
    """A host with good credentials and the given variables; None takes one away."""
    merged = {"KESTRA_BASICAUTH_PASSWORD": GOOD, "KESTRA_DB_PASSWORD": GOOD, **values}
    return FakeHost(Environment({k: Variable(v, ".env") for k, v in merged.items() if v is not None}))


def answer(service: ToolsService = KESTRA, /, **values: str) -> AutoStart:
    """What the plugin says to a start by phase; silence means yes."""
    return launcher_auto_start(service.entry(), host(**values).environment) or AutoStart(start=True)


# SKIP_KESTRA_AUTO_START


@pytest.mark.parametrize("name", ["SKIP_KESTRA_AUTO_START", "SKIP_Kestra_AUTO_START"])
@pytest.mark.parametrize("value", ["1", "true", "yes", "on", "TRUE", " On "])
def test_a_clear_yes_skips_under_both_spellings_and_is_the_reason(name: str, value: str) -> None:
    assert answer(**{name: value}) == AutoStart(start=False, reason=f"{name}={value}")


@pytest.mark.parametrize("name", ["SKIP_KESTRA_AUTO_START", "SKIP_Kestra_AUTO_START"])
@pytest.mark.parametrize("value", ["0", "false", "no", "off", "", "OFF", " "])
def test_a_clear_no_does_not_skip(name: str, value: str) -> None:
    assert answer(**{name: value}) == AutoStart(start=True)


@pytest.mark.parametrize("name", ["SKIP_KESTRA_AUTO_START", "SKIP_Kestra_AUTO_START"])
@pytest.mark.parametrize("value", ["maybe", "2", "ja", "y", "-"])
def test_an_unclear_value_skips_and_warns_by_name(name: str, value: str) -> None:
    said = answer(**{name: value})
    assert not said.start
    assert said.warning == said.reason == f"{name} is neither yes nor no, so Kestra is left out"


@pytest.mark.parametrize(("new", "old", "starts"), [("1", "0", False), ("0", "1", True), ("", "1", True)])
def test_of_two_values_that_differ_the_upper_case_wins_with_a_warning(new: str, old: str, starts: bool) -> None:
    said = answer(SKIP_KESTRA_AUTO_START=new, SKIP_Kestra_AUTO_START=old)
    assert said.start is starts
    assert said.warning == "SKIP_KESTRA_AUTO_START and SKIP_Kestra_AUTO_START differ; SKIP_KESTRA_AUTO_START counts"


def test_of_two_equal_values_none_is_warned_of() -> None:
    assert answer(SKIP_KESTRA_AUTO_START="1", SKIP_Kestra_AUTO_START="1").warning == ""


@pytest.mark.parametrize("value", ["1", "maybe"])
def test_the_database_is_never_skipped(value: str) -> None:
    assert answer(POSTGRES, SKIP_KESTRA_AUTO_START=value, SKIP_Kestra_AUTO_START=value) == AutoStart(start=True)
    assert answer() == AutoStart(start=True)


# The probe


def test_a_flow_that_is_longer_than_what_is_read_is_kestras_all_the_same() -> None:
    def answers(body: str) -> Any:
        told = host()
        said = Answer(200, body, whole=len(body) < MAX_BYTES)
        told.probe_http = lambda url, **more: said if "flows" in url else Answer(200, "{}")
        return probe.ask(told, ("127.0.0.1", 8080)).evidence.verdict

    assert answers('{"results":[{"id":"long","source":"' + "x" * MAX_BYTES) is Verdict.OK
    assert answers('{"results":[],"total":0}') is Verdict.OK
    assert answers('{"error":"results"}') is Verdict.BAD
    assert answers('{"results": [') is Verdict.BAD
    assert answers('{"error":"' + "x" * MAX_BYTES) is Verdict.BAD
    assert answers("<html>results</html>") is Verdict.BAD


# Credentials


def refused(**values: str | None) -> list[str]:
    """What is refused, after looking that each problem has a fix and none tells a value."""
    found = credentials.problems(host(**values))
    told = " ".join(f"{p.summary} {p.fix}" for p in found)
    assert all(p.fix for p in found)
    assert not any(value in told for value in values.values() if value and len(value) > 4)
    return [p.summary for p in found if p.severity == "error"]


def test_letters_outside_ascii_are_no_problem() -> None:
    assert refused(KESTRA_BASICAUTH_PASSWORD="Outside1ASCIIé", KESTRA_DB_PASSWORD="Outside1ASCIIé") == []


def test_good_credentials_have_no_problem() -> None:
    assert refused() == []


@pytest.mark.parametrize("name", ["admin@kestra.local", "a.b+c@mail.example.org", "x@y.z", "a" * 250 + "@b.org"])
def test_an_address_with_a_dot_after_the_at_is_accepted(name: str) -> None:
    assert refused(KESTRA_BASICAUTH_USERNAME=name) == []


@pytest.mark.parametrize(
    "name",
    [
        *("admin", "admin@localhost", "@kestra.local", "admin@", "admin@kestra.", "admin@.local"),
        *("ad min@kestra.local", "a@b@kestra.local", "admin@kestra.local\n", "Kestra <admin@kestra.local>"),
        "a" * 251 + "@b.org",
    ],
)
def test_anything_else_is_refused_as_a_user_name(name: str) -> None:
    assert len(told := refused(KESTRA_BASICAUTH_USERNAME=name)) == 1
    assert told[0].startswith("KESTRA_BASICAUTH_USERNAME is no e-mail address")


def test_a_placeholder_in_the_user_name_is_refused() -> None:
    assert refused(KESTRA_BASICAUTH_USERNAME="${HOME}@kestra.local")


@pytest.mark.parametrize("name", ["KESTRA_DB_NAME", "KESTRA_DB_USER"])
def test_a_name_in_the_database_is_a_plain_identifier(name: str) -> None:
    for value in ("kestra", "_k1", "K" * 63, "", None):
        assert refused(**{name: value}) == []
    for value in ("kes tra", "kestra;drop", "1kestra", "kestra-db", "késtra", "K" * 64, "${HOME}"):
        assert refused(**{name: value}) == [f"{name} is not made of letters, digits and _ alone"]


@pytest.mark.parametrize("name", ["KESTRA_BASICAUTH_PASSWORD", "KESTRA_DB_PASSWORD"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_password_is_refused_with_the_command_that_makes_one(name: str, value: str | None) -> None:
    assert refused(**{name: value}) == [f"{name} is not set"]
    assert credentials.problems(host(**{name: value}))[0].fix == "launcher init"


@pytest.mark.parametrize("name", ["KESTRA_BASICAUTH_PASSWORD", "KESTRA_DB_PASSWORD"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        *((known, "is a default that everybody knows") for known in DEFAULTS),
        ("Right1${Password", "contains ${, which Kestra would resolve as a placeholder"),
        ("Right1Pass${HOME}word", "contains ${, which Kestra would resolve as a placeholder"),
        ("Right1\x00Password", "contains a control character"),
        ("Right1\nPassword", "contains a control character"),
    ],
)
def test_a_weakness_of_any_password_is_named(name: str, value: str, why: str) -> None:
    assert refused(**{name: value}) == [f"{name} {why}"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("Right1P", "has not 8 to 256 characters"),
        ("Aa1" + "x" * 254, "has not 8 to 256 characters"),
        ("Right1 Password", "contains white space"),
        ("Right1Password ", "contains white space"),
        ("Right1\u00a0Password", "contains white space"),
        ("right1password", "is weak"),
        ("RIGHT1PASSWORD", "is weak"),
        ("RightPassword", "is weak"),
        ("Éèà1ÉÈÀÇ", "is weak"),
    ],
)
def test_a_weakness_of_the_login_password_is_named(value: str, why: str) -> None:
    assert len(told := refused(KESTRA_BASICAUTH_PASSWORD=value)) == 1
    assert told[0].startswith(f"KESTRA_BASICAUTH_PASSWORD {why}")
    assert refused(KESTRA_DB_PASSWORD=value) == [] or len(value) < 8


@pytest.mark.parametrize("name", ["KESTRA_BASICAUTH_PASSWORD", "KESTRA_DB_PASSWORD"])
@pytest.mark.parametrize("character", "\"'$#:{}\\%é")
def test_a_hard_character_is_accepted(name: str, character: str) -> None:
    assert refused(**{name: f"Right1{character}Password"}) == []


@pytest.mark.parametrize("length", [8, 200, 256])
def test_a_long_password_is_accepted(length: int) -> None:
    assert refused(KESTRA_BASICAUTH_PASSWORD=("Aa1" * 100)[:length], KESTRA_DB_PASSWORD=("Aa1" * 100)[:length]) == []


def test_a_short_password_of_the_database_is_refused() -> None:
    assert refused(KESTRA_DB_PASSWORD="ab1Z9cd") == ["KESTRA_DB_PASSWORD has fewer than 8 characters"]
    assert refused(KESTRA_DB_PASSWORD="ab1Z9cde") == []


def test_every_weak_credential_is_told_at_once() -> None:
    weak = refused(KESTRA_BASICAUTH_USERNAME="admin", KESTRA_BASICAUTH_PASSWORD="kestra", KESTRA_DB_PASSWORD=None)
    names = ["KESTRA_BASICAUTH_USERNAME", "KESTRA_BASICAUTH_PASSWORD", "KESTRA_DB_PASSWORD"]
    assert [summary.split()[0] for summary in weak] == names


# Compose


def filled_in(service: ToolsService, **values: str | None) -> Mapping[str, str]:
    """The variables that a service's compose file is filled with."""
    asked: Any = service.compose(host(**values))
    variables: Mapping[str, str] = asked["variables"]
    return variables


@pytest.mark.parametrize(
    ("image", "target"),
    [
        ("postgres:17", None),
        ("postgres:17.6-alpine3.22", None),
        ("postgres:9.6", None),
        ("local/postgres:17", None),
        ("postgres:18", "/var/lib/postgresql"),
        ("postgres:18.1-trixie", "/var/lib/postgresql"),
        ("registry.example.org/db/postgres:v19", "/var/lib/postgresql"),
        (None, None),
        ("localhost:5000/postgres:17", None),
        ("postgres@sha256:99ab", None),
    ],
)
def test_from_postgres_18_on_the_data_stand_in_the_parent_folder(image: str | None, target: str | None) -> None:
    assert filled_in(POSTGRES, KESTRA_POSTGRES_IMAGE=image).get(DATA_TARGET) == target


def test_a_data_folder_that_is_set_stays() -> None:
    filled = filled_in(POSTGRES, KESTRA_POSTGRES_IMAGE="postgres:18", KESTRA_POSTGRES_DATA_TARGET="/data")
    assert filled[DATA_TARGET] == "/data"


@pytest.mark.parametrize(
    ("privileges", "files"), [(None, [FILE]), ("docker", [FILE]), ("hardened", [FILE, HARDENED_FILE])]
)
def test_hardened_adds_its_file(privileges: str | None, files: list[str]) -> None:
    assert KESTRA.files(host(KESTRA_PRIVILEGES=privileges)) == tuple(CHECKOUT / file for file in files)


def test_compose_gets_declared_variables_only() -> None:
    filled = filled_in(KESTRA, AWS_SECRET_ACCESS_KEY="x", KESTRA_HTTP_PORT="8180", PATH="/bin")
    assert filled == {"KESTRA_HTTP_PORT": "8180", "KESTRA_DB_PASSWORD": GOOD, "KESTRA_BASICAUTH_PASSWORD": GOOD}


# By hand


HARD = "Right1\"'$#:{}\\%éPassword"


@pytest.fixture(scope="module")
def rendered() -> Any:
    """The compose file as compose renders it with hard passwords; needs the docker command, no Engine."""
    values = {
        "KESTRA_DB_PASSWORD": f"db{HARD}",
        "KESTRA_BASICAUTH_PASSWORD": f"login{HARD}",
        "KESTRA_HTTP_PORT": "8180",
    }
    file = CHECKOUT / FILE
    return _plain(ComposeProject("tools", (file,), file.parent, values, Redactor()).config())


@pytest.mark.parametrize("detach", [True, False])
def test_no_secret_stands_in_the_docker_command(rendered: Any, detach: bool) -> None:
    argv, values = command(rendered["services"]["kestra"], rendered, detach)
    assert values["KESTRA_DB_PASSWORD"] == f"db{HARD}"
    assert values["KESTRA_BASICAUTH_PASSWORD"] == f"login{HARD}"
    assert not [word for word in argv if HARD in word or "Right1" in word]
    assert HARD not in shlex.join(argv)
    assert {argv[i + 1] for i, word in enumerate(argv) if word == "--env"} == set(values)


def test_the_docker_command_is_the_compose_file_again(rendered: Any) -> None:
    argv, values = command(rendered["services"]["kestra"], rendered, detach=True)
    assert argv[:3] == ["docker", "run", "--pull=always"]
    assert argv[-3:] == ["kestra/kestra:latest", "server", "standalone"]
    pairs = list(pairwise(argv))
    for pair in [
        ("--name", "tools-kestra"),
        ("--publish", "127.0.0.1:8180:8080"),
        ("--publish", "127.0.0.1:8081:8081"),
        ("--label", "com.tradingsystem.mode=manual"),
        ("--network", "tradingsystem_backend"),
        ("--network", "tools-kestra-private"),
        ("--mount", "type=volume,source=tools-kestra-cds,target=/app/cds"),
        ("--restart", "unless-stopped"),
    ]:
        assert pair in pairs
    assert "${KESTRA_DB_PASSWORD}" in values["KESTRA_CONFIGURATION"]
    assert HARD not in values["KESTRA_CONFIGURATION"]
    assert json.dumps(argv)


def test_an_image_built_here_is_never_pulled(rendered: Any) -> None:
    service = rendered["services"]["kestra"] | {"image": "local/kestra:1"}
    argv, _ = command(service, rendered, detach=False)
    assert "--pull=never" in argv
    assert "--rm" in argv
    assert "--restart" not in argv


@pytest.mark.parametrize(
    ("codes", "just"),
    [
        ([], False),
        ([0], True),
        ([1, 1, 0], True),
        ([0, 0], False),
        ([0, 1], False),
        ([0, 0, 0, 0, 1], False),
        ([1], False),
    ],
)
def test_kestra_is_just_healthy_after_its_first_passed_check_only(
    monkeypatch: pytest.MonkeyPatch, codes: list[int], just: bool
) -> None:
    """Days later an API that is silent is ill, also while the health check has not failed three times yet."""
    checks = [SimpleNamespace(exit_code=code) for code in codes]
    engine = SimpleNamespace(detail=lambda container_id: SimpleNamespace(health_log=checks))
    monkeypatch.setattr(ToolsService, "container", lambda self, host: SimpleNamespace(id="1"))
    assert plugin._just_healthy(cast(Host, SimpleNamespace(engine=engine))) is just


@pytest.mark.parametrize(
    ("image", "target", "refused"),
    [
        ("postgres:17", None, False),
        ("postgres:17", "/var/lib/postgresql/data", False),
        ("postgres:17", "/var/lib/postgresql/data/", False),
        ("postgres:17", "/var/lib/postgresql", True),
        ("postgres:17", "/data", True),
        ("postgres:18", "/var/lib/postgresql", False),
        ("postgres:18", "/var/lib/postgresql/data", True),
        ("postgres", "/data", False),
    ],
)
def test_a_volume_beside_the_data_is_refused(image: str, target: str | None, refused: bool) -> None:
    """The server would begin without data, in a volume without a name."""
    values = {"KESTRA_POSTGRES_IMAGE": image, DATA_TARGET: target}
    found = list(database._place(host(**values), postgres_major(host(**values))))
    assert [problem.severity for problem in found] == ["error"] * refused
    assert all(f"{DATA_TARGET} is {target}" in problem.summary for problem in found)


@pytest.mark.parametrize(
    ("image", "image_id", "present", "major"),
    [
        ("postgres:17", "sha256:17", {}, 17),  # gone, so its tag has to do
        ("registry.example:5000/postgres:17-alpine", "sha256:17", {}, 17),
        ("postgres:latest", "sha256:17", {}, None),
        ("sha256:1700", "sha256:1700", {}, None),
        ("postgres:latest", "sha256:17", {"sha256:17": "17", "postgres:latest": "18"}, 17),  # the name has moved on
        ("", "", {}, None),
    ],
)
def test_the_last_image_tells_the_major_version_of_the_data(
    monkeypatch: pytest.MonkeyPatch, image: str, image_id: str, present: dict[str, str], major: int | None
) -> None:
    monkeypatch.setattr(ToolsService, "container", lambda self, host: None)
    facts = {name: SimpleNamespace(environment={"PG_MAJOR": number}) for name, number in present.items()}
    last = LastReady(image=image, image_id=image_id)
    asked = SimpleNamespace(
        engine=SimpleNamespace(image=facts.get), last_ready=lambda: last, environment=Environment({})
    )
    assert database.last_major(cast(Host, asked)) == major
    asked.environment = Environment({"LAUNCHER_ALLOW_DATA_MOVE": Variable("other,kestra-postgres", "shell")})
    assert database.last_major(cast(Host, asked)) is None
