"""Adding to `.env`: atomic, 0600 from the first byte, and never at the cost of what is there."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from service_launcher import envfile
from service_launcher.errors import EnvFileError
from service_launcher.launcher import _password

WANTED = {"B_PASSWORD": ("Hunter2$", "for the database"), "PORT": ("8080", "")}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk does, without a disk: a write beyond `size` bytes fails half-way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_new_file_has_a_header_comments_and_values(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    assert envfile.add_absent(file, WANTED, "# header\n") == ["B_PASSWORD", "PORT"]
    assert file.read_text() == "# header\n# for the database\nB_PASSWORD='Hunter2$'\nPORT=8080\n"


@pytest.mark.parametrize(
    "old", [b"", b"PORT=1\n", b"PORT=1", b"# caf\xc3\xa9\n\n  \nPORT='1 2'\n# end", b"B_PASSWORD=x\n\n\n"]
)
def test_adding_never_changes_a_byte_that_is_there(tmp_path: Path, old: bytes) -> None:
    file = tmp_path / ".env"
    file.write_bytes(old)
    before = envfile.read(file, ".env")
    added = envfile.add_absent(file, WANTED)
    assert file.read_bytes().startswith(old)
    assert set(added) == WANTED.keys() - before.keys()
    assert envfile.read(file, ".env") == {name: value for name, (value, _) in WANTED.items()} | before


def test_nothing_is_written_where_nothing_is_missing(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    envfile.add_absent(file, WANTED)
    before = file.stat()
    assert envfile.add_absent(file, WANTED) == []
    assert file.stat() == before


def test_a_malformed_file_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b'PORT="1"\n')
    with pytest.raises(EnvFileError, match="line 1, PORT"):
        envfile.add_absent(file, WANTED)
    assert file.read_bytes() == b'PORT="1"\n'


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_the_file_is_private_from_its_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int) -> None:
    file = tmp_path / ".env"
    created = []
    real_open = os.open

    def watching(path: os.PathLike[str], flags: int, mode: int = 0o777, **more: int) -> int:
        descriptor = real_open(path, flags, mode, **more)
        if flags & os.O_CREAT:
            created.append((os.fstat(descriptor).st_mode & 0o777, os.fstat(descriptor).st_size))
        return descriptor

    monkeypatch.setattr(os, "open", watching)
    before = os.umask(umask)
    try:
        envfile.add_absent(file, WANTED)
    finally:
        os.umask(before)
    assert created == [(0o600, 0)]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_everybody_could_read_becomes_private(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=1\n")
    file.chmod(0o644)
    envfile.add_absent(file, WANTED)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("target_exists", [True, False])
def test_a_symbolic_link_is_refused_and_its_target_untouched(tmp_path: Path, target_exists: bool) -> None:
    target, link = tmp_path / "elsewhere", tmp_path / ".env"
    if target_exists:
        target.write_text("PORT=1\n")
    link.symlink_to(target)
    with pytest.raises(EnvFileError, match="symbolic link"):
        envfile.add_absent(link, WANTED)
    assert link.is_symlink()
    assert (target.read_text() == "PORT=1\n") if target_exists else not target.exists()


def test_a_full_disk_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=1\n")
    with files_of_at_most(20), pytest.raises((OSError, EnvFileError)):
        envfile.add_absent(file, WANTED)
    assert file.read_text() == "PORT=1\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_failing_sync_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=1\n")

    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises((OSError, EnvFileError)):
        envfile.add_absent(file, WANTED)
    assert file.read_text() == "PORT=1\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_is_an_error_that_an_operator_can_read(tmp_path: Path) -> None:
    with files_of_at_most(20), pytest.raises(EnvFileError):
        envfile.add_absent(tmp_path / ".env", WANTED)


@pytest.mark.parametrize("value", ["it's", "back\\slash", "two\nlines"])
def test_a_value_without_a_safe_form_is_refused_by_name(tmp_path: Path, value: str) -> None:
    with pytest.raises(EnvFileError, match="B_PASSWORD") as refused:
        envfile.add_absent(tmp_path / ".env", {"B_PASSWORD": (value, "")})
    assert value not in f"{refused.value.summary} {refused.value.fix}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", ["a\0b", "a\rb", "\udcff"], ids=["NUL", "carriage return", "no UTF-8"])
def test_a_value_that_cannot_be_read_back_is_refused(value: str) -> None:
    with pytest.raises(EnvFileError):
        envfile.quote("V", value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_file_keeps_its_owner(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=1\n")
    os.chown(file, 1234, 1234)
    envfile.add_absent(file, WANTED)
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 1234)


def test_generated_passwords_are_long_plain_mixed_and_never_the_same() -> None:
    passwords = [_password() for _ in range(2000)]
    assert len(set(passwords)) == len(passwords)
    for password in passwords:
        assert len(password) >= 24
        assert password.isascii()
        assert password.isalnum()
        assert any(map(str.isupper, password))
        assert any(map(str.islower, password))
        assert any(map(str.isdigit, password))
    used = set("".join(passwords))
    assert len(used) == 62
