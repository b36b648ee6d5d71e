"""The catalogue of causes: each is recognised by the line that the real program writes, and by the narrowest name."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest
from service_launcher import Cause
from service_launcher.containers import Detail
from service_launcher.engine import Engine
from service_launcher.explanation import CAUSES, SEARCHED_LINES, Explainer, recognise
from service_launcher.models import ServiceState, ServiceStatus
from service_launcher.observation import Observer
from service_launcher.redaction import Redactor

from launcher_kestra.causes import DATABASE, KESTRA

#: Lines as written by Docker Engine 26.1, runc, PostgreSQL 17, Kestra 1.3.25 and 2.0, and the launcher itself.
HOST_LINES = {
    "host-port-taken": (  # 28.0, and later
        "driver failed programming external connectivity on endpoint web (1f): failed to bind host port for "
        "127.0.0.1:8080:172.18.0.2:80/tcp: address already in use",
        "driver failed programming external connectivity on endpoint web (1f): failed to bind host port "
        "127.0.0.1:8080/tcp: address already in use",
        "failed to set up container networking: driver failed programming external connectivity on endpoint web (1f): "
        "failed to bind host port for [::]:8080:[fd00::2]:80/tcp: address already in use",
        "failed to bind host port 0.0.0.0:8080/udp: address already in use",
    ),
    "port-taken": (
        "driver failed programming external connectivity on endpoint web (1f): "
        "failed to bind port 127.0.0.1:8080/tcp: Error starting userland proxy: "
        "listen tcp4 127.0.0.1:8080: bind: address already in use",
        "driver failed programming external connectivity on endpoint web (1f): "
        "Bind for 127.0.0.1:8080 failed: port is already allocated",
    ),
    "image-missing": (
        "pulling 127.0.0.1:9/nobody/there:1 failed: dial tcp 127.0.0.1:9: connect: connection refused",
        "pulling registry.example/app:2 stalled: no data for 60 s",
        "the image local/kestra:none is not here",
        "No such image: postgres:99",
    ),
    "network-missing": (
        "network tradingsystem_backend declared as external, but could not be found",
        "network 6a1f2b not found",
    ),
    "health-command-missing": (
        'health: OCI runtime exec failed: exec failed: unable to start container process: exec: "curl": '
        "executable file not found in $PATH: unknown",
        "health: /bin/sh: 1: curl: not found",
        "health: sh: curl: not found",
        "health: /bin/bash: line 1: pg_isready: command not found",
    ),
    "command-missing": (
        'failed to create task for container: error during container init: exec: "/app/gone": '
        "stat /app/gone: no such file or directory: unknown",
    ),
    "socket-permission": (
        "java.io.IOException: Permission denied connecting to unix:///var/run/docker.sock: permission denied "
        "while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
    ),
    "no-space": (
        'PANIC:  could not write to file "pg_wal/xlogtemp.30": No space left on device',
        "java.io.IOException: Disk quota exceeded",
    ),
    "out-of-memory": (
        "java.lang.OutOfMemoryError: Java heap space",
        "FATAL:  could not map anonymous shared memory: Cannot allocate memory",
    ),
    "read-only": ("could not open lock file: Read-only file system",),
    "permission-denied": (
        "java.nio.file.AccessDeniedException: /app/storage/main",
        'FATAL:  could not open file "global/pg_filenode": Permission denied',
    ),
    "port-taken-inside": ('could not bind IPv4 address "0.0.0.0": Address already in use',),
    "host-unknown": (
        "java.net.UnknownHostException: elsewhere",
        'could not translate host name "db" to address: Name or service not known',
        "dial tcp: lookup db on 127.0.0.11:53: no such host",
        "psql: error: connection to server failed: Temporary failure in name resolution",
    ),
    "clocks-differ": ("the engine's clock is 3600 s ahead of the launcher's, so the age of its evidence is unknown",),
    "evidence-old": ("its health evidence is 3600 s old (passed); it counts for 15 s",),
    "plugin-broken": (
        "its plugin search is failed: plugin search failed in load: ModuleNotFoundError: No module named 'gone'",
        "its plugin search is not installed",
        "plugin search did not return from launcher_status within 2.8 s",
    ),
}

DATABASE_LINES = {
    "database-password": ('FATAL:  password authentication failed for user "kestra"',),
    "database-major": (
        "DETAIL:  The data directory was initialized by PostgreSQL version 16, which is not compatible with this "
        "version 17.6 (Debian 17.6-0+deb13u1).",
    ),
    "database-place": ("Error: in 18+, these Docker images are configured to store database data in a format",),
    "database-half-made": (
        'FATAL:  role "kestra" does not exist',
        "postgres: could not find the database system",
        'but could not open file "/var/lib/postgresql/data/global/pg_control": No such file or directory',
        'could not open file "global/pg_filenode.map": No such file or directory',
        'could not access the server configuration file "/var/lib/postgresql/data/postgresql.conf": No such file',
        "FATAL:  incorrect checksum in control file",
        "DETAIL:  The database cluster was initialized with PG_CONTROL_VERSION 0, but the server",
        "PANIC:  could not locate a valid checkpoint record at 0/1B02D28",
        'initdb: error: directory "/var/lib/postgresql/data" exists but is not empty',
    ),
    "database-missing": ('FATAL:  database "orders" does not exist',),
}

KESTRA_LINES = {
    "kestra-open": ("Kestra runs without a login: whoever reaches it first owns it",),
    "kestra-credentials": ("Kestra refuses the credentials in .env (401)",),
    "migration": (
        "Migration checksum mismatch for migration version 1.22",
        "Detected applied migration not resolved locally: 2.0.01",
        'Found non-empty schema(s) "public" but no schema history table. Use baseline() or set baselineOnMigrate',
    ),
    "database-unknown": ("Caused by: java.net.UnknownHostException: kestra-postgres",),
    "database-refuses": (
        "org.postgresql.util.PSQLException: Connection to kestra-postgres:5432 refused. Check that the hostname",
    ),
    "port-inside": ("Unable to start server. Port *:8080 already in use.",),
    "database-lost": (
        "ERROR Fatal error while consuming the queue: fatal error while consuming. Initiating application shutdown",
        "fatal error while polling. Initiating shutdown",
        "INFO  jdbc-queue-WorkerJob_0 i.kestra.core.contexts.KestraContext Kestra server - Shutdown initiated",
    ),
    "configuration-missing": (
        "Required property [kestra.repository.type] defined in file [bean] not present in the configuration",
        "io.micronaut.context.exceptions.NoSuchBeanException: No bean of type "
        "[io.kestra.core.repositories.SettingRepositoryInterface] exists",
    ),
    "placeholder": ("Could not resolve placeholder ${KESTRA_DB_PASSWORD}",),
    "configuration-yaml": ("while parsing a block mapping", "while parsing a node", "while parsing an anchor"),
    "configuration-folder": (
        "/app/kestra: 33: cannot create /app/confs/application.yml: Read-only file system",
        "/app/kestra: 33: cannot create /app/confs/application.yml: Permission denied",
    ),
}


def _cases(lines: dict[str, tuple[str, ...]], causes: tuple[Cause, ...]) -> list[object]:
    return [
        pytest.param(line, causes, wanted, id=f"{wanted}-{number}")
        for wanted, several in lines.items()
        for number, line in enumerate(several)
    ]


@pytest.mark.parametrize(
    ("line", "causes", "wanted"),
    [
        *_cases(HOST_LINES, CAUSES),
        *_cases(DATABASE_LINES, (*DATABASE, *CAUSES)),
        *_cases({**DATABASE_LINES, **KESTRA_LINES}, (*KESTRA, *CAUSES)),
    ],
)
def test_a_line_is_recognised_among_others(line: str, causes: tuple[Cause, ...], wanted: str) -> None:
    found = recognise(f"first line\n{line}\nlast line", causes)
    assert found is not None
    cause, match = found
    assert cause.id == wanted
    values = {"service": "kestra", "line": line, **{k: v for k, v in match.groupdict().items() if v}}
    cause.sentence.format(match[0], **values)
    cause.fix.format(match[0], **values)
    assert values.get("port", "8080") == "8080"


def test_every_cause_has_a_line_that_shows_it() -> None:
    assert {cause.id for cause in CAUSES} == HOST_LINES.keys()
    assert {cause.id for cause in DATABASE} == DATABASE_LINES.keys()
    assert {cause.id for cause in KESTRA} == {**DATABASE_LINES, **KESTRA_LINES}.keys()


@pytest.mark.parametrize(
    "line",
    [
        "Version mismatch: Database version is older than what dialect supports: 17.12",
        "✅ Kestra is ready! Open the UI at: http://localhost:8080",
        "LOG:  database system is ready to accept connections",
        "Loaded 0 tutorial flows",
    ],
)
def test_what_means_nothing_is_no_cause(line: str) -> None:
    assert recognise(line, (*KESTRA, *CAUSES)) is None


def explained(
    lines: Sequence[str],
    message: str = "it fails",
    state: ServiceState = ServiceState.FAILED,
    exit_code: int = 1,
    secret: str = "nothing",
) -> dict[str, object]:
    """What is said of a container of Kestra whose log has these lines."""
    observer = SimpleNamespace(
        redact=Redactor([secret]),
        plugins=SimpleNamespace(causes=lambda entry: KESTRA),
        graph=SimpleNamespace(entries={"one": None}),
        events=SimpleNamespace(read=lambda: ()),
    )
    status = ServiceStatus(id="one", state=state, message=message)
    detail = Detail("exited", None, None, exit_code, False, 0, False, "", None)
    return Explainer(cast(Observer, observer), Engine())._cause("one", status, detail, lines, (), None)


def test_what_a_sentence_takes_out_of_the_middle_of_a_secret_is_never_shown() -> None:
    secret = "canary7Secret7Password"
    message = f"login {secret}{'y' * 70} Name or service not known"
    cause = str(explained([], message, secret=secret)["cause"])
    assert "Name or service not known" in cause
    assert secret[-6:] not in cause


def test_what_was_seen_comes_before_what_stands_in_the_log() -> None:
    flows = ['a flow: FATAL: password authentication failed for user "reporting"', "another: Permission denied"]
    assert explained(flows)["cause_id"] == "database-password"
    seen = explained(flows, "Kestra refuses the credentials (KESTRA_BASICAUTH_USERNAME): 401")
    assert seen["cause_id"] == "kestra-credentials"


def test_the_log_of_who_was_asked_to_end_is_not_why() -> None:
    flows = ["a flow: Permission denied"]
    assert explained(flows, "stopped", ServiceState.STOPPED, exit_code=143) == {}
    lost = explained(["fatal error while polling. Initiating shutdown"], "stopped", ServiceState.STOPPED, exit_code=0)
    assert lost["cause_id"] == "database-lost"


def test_a_sentence_shows_the_line_in_which_something_was_found_and_no_more() -> None:
    told = str(explained(["before", f"{'a' * 900} EACCES {'b' * 900}", "after"])["cause"])
    assert "EACCES" in told
    assert len(told) < 400
    assert "before" not in told
    assert "after" not in told


def test_long_lines_are_searched_in_time() -> None:
    began = time.monotonic()
    assert explained(["exec: /x " * 3500] * SEARCHED_LINES) == {}
    assert time.monotonic() - began < 3
