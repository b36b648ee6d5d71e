"""Each symptom of the operators' guide, brought about on real containers: the launcher says what the guide quotes.

The guide is read here: a symptom without a way to bring it about fails, and so does a sentence that nobody prints.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.engines import PrivateEngine, wait_for
from tests.guide import Symptom, symptoms
from tests.installations import REAL_KESTRA, STAND_IN, Installation

POSTGRES = "tools-kestra-postgres"
Provoke = Callable[[Installation, PrivateEngine], str]


def _exported(*arguments: str, **exported: str) -> Provoke:
    """What the launcher prints with variables as an operator would export them."""
    return lambda installation, engine: installation.launcher(*arguments, **exported).text


def launcher_missing(installation: Installation, engine: PrivateEngine) -> str:
    return installation.run("scripts/docker/start-stacks.sh", PATH="/usr/bin:/bin").text


def no_root(installation: Installation, engine: PrivateEngine) -> str:
    return installation.run("launcher", "status", cwd=Path("/")).text


def engine_frozen(installation: Installation, engine: PrivateEngine) -> str:
    engine.signal(signal.SIGSTOP)
    try:
        return installation.launcher("status").text
    finally:
        engine.signal(signal.SIGCONT)


def env_line(installation: Installation, engine: PrivateEngine) -> str:
    with (installation.root / ".env").open("a") as env:
        env.write("KESTRA_JAVA_OPTS=-Xmx512m -Xms512m\n")
    return installation.launcher("start").text


def passwords_missing(installation: Installation, engine: PrivateEngine) -> str:
    (installation.root / ".env").write_text(f"KESTRA_IMAGE={STAND_IN}\nKESTRA_POSTGRES_IMAGE=local/postgres:17\n")
    return installation.launcher("start").text


def port_process(installation: Installation, engine: PrivateEngine) -> str:
    with socket.create_server(("127.0.0.1", 8080)):
        return installation.launcher("start").text


def port_container(installation: Installation, engine: PrivateEngine) -> str:
    engine.docker("run", "-d", "--name", "adminer", "-p", "127.0.0.1:8080:8080", STAND_IN)
    return installation.launcher("start").text


def network_missing(installation: Installation, engine: PrivateEngine) -> str:
    return installation.launcher("start", "kestra-postgres").text


def storage_read_only(installation: Installation, engine: PrivateEngine) -> str:
    folder = installation.root.parent / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], check=True)
    try:
        return installation.launcher("doctor", KESTRA_STORAGE_DIR=str(folder / "storage")).text
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def disk_full(installation: Installation, engine: PrivateEngine) -> str:
    folder = installation.root.parent / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", str(folder)], check=True)
    try:
        return Installation.copied(CHECKOUT, folder / "root", engine, kestra=STAND_IN).launcher("start").text
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def busy(installation: Installation, engine: PrivateEngine) -> str:
    locks = installation.root / ".launcher/locks"
    locks.mkdir(parents=True, mode=0o700)
    descriptor = os.open(locks / "tools.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        return installation.launcher("start").text
    finally:
        os.close(descriptor)


def freeze(installation: Installation, engine: PrivateEngine) -> str:
    (installation.root / "FREEZE-NOTICE.md").write_text("# Freeze\n\n**Status:** ACTIVE\n")
    return installation.run("scripts/docker/start-stacks.sh", "--phase", "tools").text


def another_installation(installation: Installation, engine: PrivateEngine) -> str:
    other = Installation.copied(CHECKOUT, installation.root.parent / "other", engine, kestra=STAND_IN)
    for one in (installation, other):
        assert one.launcher("init").code == 0
    assert other.launcher("start", "kestra-postgres").code == 0
    return installation.launcher("start").text


def storage_moved(installation: Installation, engine: PrivateEngine) -> str:
    assert installation.launcher("start").code == 0
    return installation.launcher("start", KESTRA_STORAGE_DIR=str(installation.root.parent / "elsewhere")).text


def volume_empty(installation: Installation, engine: PrivateEngine) -> str:
    old = "oldname_tools-kestra-postgres-data"
    engine.docker("volume", "create", old)
    mountpoint = engine.docker("volume", "inspect", "--format", "{{.Mountpoint}}", old)
    (Path(mountpoint) / "PG_VERSION").write_text("17\n")
    return installation.launcher("start").text


def volume_gone(installation: Installation, engine: PrivateEngine) -> str:
    assert installation.launcher("start", "kestra-postgres").code == 0
    assert installation.compose("down", "--volumes").code == 0
    return installation.launcher("start").text


def postgres_major(installation: Installation, engine: PrivateEngine) -> str:
    assert installation.launcher("start", "kestra-postgres").code == 0
    engine.docker(
        "build", "--tag", "local/postgres:18-by-name", "-", input=b"FROM local/postgres:17\nENV PG_MAJOR=18\n"
    )
    try:
        return installation.launcher("start", KESTRA_POSTGRES_IMAGE="local/postgres:18-by-name").text
    finally:
        engine.docker("image", "rm", "local/postgres:18-by-name")


def database_password(installation: Installation, engine: PrivateEngine) -> str:
    assert installation.launcher("start", "kestra-postgres").code == 0
    assert installation.launcher("stop", "kestra-postgres").code == 0
    return installation.launcher("start", "kestra-postgres", KESTRA_DB_PASSWORD="another1Password2now").text


def memory(installation: Installation, engine: PrivateEngine) -> str:
    installation.stand_in(STANDIN_MEMORY_MB="300")
    return installation.launcher("start", KESTRA_MEMORY_LIMIT="64m").text


def crash(installation: Installation, engine: PrivateEngine) -> str:
    installation.stand_in(STANDIN_EXIT="3")
    return installation.launcher("start").text


def skipped(installation: Installation, engine: PrivateEngine) -> str:
    return installation.run("scripts/docker/start-stacks.sh", "--phase", "tools", SKIP_KESTRA_AUTO_START="1").text


def plugin_disabled(installation: Installation, engine: PrivateEngine) -> str:
    (installation.root / "config/plugins.toml").write_text('disabled = ["kestra"]\n')
    return installation.launcher("status").text


#: Refused or only looked at: nothing is started, so that they need no engine swept clean.
PROVOKED_BEFORE_A_START: dict[str, Provoke] = {
    "launcher-missing": launcher_missing,
    "no-root": no_root,
    "engine-silent": _exported("status", DOCKER_HOST="unix:///run/no-such-engine.sock"),
    "engine-frozen": engine_frozen,
    "env-line": env_line,
    "passwords-missing": passwords_missing,
    "password-weak": _exported("start", KESTRA_BASICAUTH_PASSWORD="alllowercase1"),
    "password-known": _exported("start", KESTRA_DB_PASSWORD="postgres"),
    "user-name": _exported("start", KESTRA_BASICAUTH_USERNAME="admin"),
    "storage-relative": _exported("doctor", KESTRA_STORAGE_DIR="some/where"),
    "storage-read-only": storage_read_only,
    "disk-full": disk_full,
    "privileges-word": _exported("doctor", KESTRA_PRIVILEGES="hardend"),
    "busy": busy,
    "freeze": freeze,
    "volume-empty": volume_empty,
    "plugin-disabled": plugin_disabled,
}

PROVOKED_BY_A_START: dict[str, Provoke] = {
    "port-process": port_process,
    "port-container": port_container,
    "network-missing": network_missing,
    "image-missing": _exported("start", KESTRA_IMAGE="local/kestra:no-such-version"),
    "another-installation": another_installation,
    "storage-moved": storage_moved,
    "volume-gone": volume_gone,
    "postgres-major": postgres_major,
    "database-password": database_password,
    "memory": memory,
    "crash": crash,
    "skipped": skipped,
}


def known_holes(installation: Installation, engine: PrivateEngine) -> str:
    return installation.launcher("status", "kestra").text


def login_changed(installation: Installation, engine: PrivateEngine) -> str:
    installation.await_state("kestra", "ready", 60)

    def answered() -> str:
        text = installation.launcher("status", "kestra", KESTRA_BASICAUTH_PASSWORD="another1Password2now").text
        return "" if "no answer within" in text else text

    def cause() -> object:
        told = installation.launcher("explain", "kestra", "--json", KESTRA_BASICAUTH_PASSWORD="another1Password2now")
        return told.json()["cause_id"]

    wait_for(lambda: cause() == "kestra-credentials", 60, "the refusal is the cause")
    return str(wait_for(answered, 60, "Kestra's first refusal, for which a busy machine may take more than a second"))


def database_paused(installation: Installation, engine: PrivateEngine) -> str:
    engine.docker("pause", POSTGRES)
    try:
        return installation.launcher("status", "kestra").text
    finally:
        engine.docker("unpause", POSTGRES)


def database_stopped(installation: Installation, engine: PrivateEngine) -> str:
    engine.docker("stop", POSTGRES)
    return installation.launcher("status", "kestra").text


def database_restarted(installation: Installation, engine: PrivateEngine) -> str:
    engine.docker("start", POSTGRES)
    installation.await_state("kestra-postgres", "ready", 30)
    return installation.launcher("status", "kestra").text


def main_thread_ended(installation: Installation, engine: PrivateEngine) -> str:
    engine.docker("pause", POSTGRES)
    try:
        engine.docker("restart", "--time", "1", "tools-kestra")
        installation.await_state("kestra", "failed", 60)
    finally:
        engine.docker("unpause", POSTGRES)
    return installation.launcher("status", "kestra").text


def without_login(installation: Installation, engine: PrivateEngine) -> str:
    assert installation.compose("down", "--volumes", "--timeout", "20").code == 0
    up = installation.compose("up", "-d", "kestra", KESTRA_BASICAUTH_PASSWORD="weak")
    assert up.code == 0, up.text
    installation.await_state("kestra", "failed", 120)
    assert installation.launcher("explain", "kestra", "--json").json()["cause_id"] == "kestra-open"
    return installation.launcher("status", "kestra").text


#: In this order, on one Kestra: each leaves behind what the next begins with.
PROVOKED_ON_KESTRA: dict[str, Provoke] = {
    "known-holes": known_holes,
    "login-changed": login_changed,
    "database-paused": database_paused,
    "database-stopped": database_stopped,
    "database-restarted": database_restarted,
    "main-thread": main_thread_ended,
    "open": without_login,
}


def _of(function: str, order: dict[str, Provoke]) -> list[Symptom]:
    """The guide's symptoms that a test here has to show, in the order in which they are brought about."""
    named = {symptom.id: symptom for symptom in symptoms() if symptom.function == function}
    assert named.keys() == order.keys(), f"the guide and {function} differ: {named.keys() ^ order.keys()}"
    return [named[name] for name in order]


@pytest.fixture
def unstarted(engine: PrivateEngine, tmp_path: Path) -> Installation:
    """A copy of the checkout on an engine without containers."""
    return Installation.copied(CHECKOUT, tmp_path / "installation", engine, kestra=STAND_IN)


@pytest.mark.parametrize(
    "symptom", _of("test_the_launcher_says_it_before_a_start", PROVOKED_BEFORE_A_START), ids=lambda symptom: symptom.id
)
def test_the_launcher_says_it_before_a_start(unstarted: Installation, engine: PrivateEngine, symptom: Symptom) -> None:
    printed = PROVOKED_BEFORE_A_START[symptom.id](unstarted, engine)
    assert symptom.is_in(printed), printed
    assert engine.docker("ps", "--all", "--quiet") == ""


@pytest.mark.parametrize(
    "symptom", _of("test_the_launcher_says_it", PROVOKED_BY_A_START), ids=lambda symptom: symptom.id
)
def test_the_launcher_says_it(installation: Installation, engine: PrivateEngine, symptom: Symptom) -> None:
    printed = PROVOKED_BY_A_START[symptom.id](installation, engine)
    assert symptom.is_in(printed), printed


@pytest.fixture(scope="module")
def kestra(engine: PrivateEngine, module_folder: Path) -> Iterator[Installation]:
    """A running Kestra, shared by its symptoms."""
    engine.wipe()
    installation = Installation.copied(CHECKOUT, module_folder / "root", engine, kestra=REAL_KESTRA)
    done = installation.launcher("start")
    assert done.code == 0, done.text
    yield installation
    engine.wipe()


@pytest.mark.kestra
@pytest.mark.parametrize(
    "symptom", _of("test_the_launcher_says_it_of_the_real_kestra", PROVOKED_ON_KESTRA), ids=lambda symptom: symptom.id
)
def test_the_launcher_says_it_of_the_real_kestra(kestra: Installation, engine: PrivateEngine, symptom: Symptom) -> None:
    printed = PROVOKED_ON_KESTRA[symptom.id](kestra, engine)
    assert symptom.is_in(printed), printed
