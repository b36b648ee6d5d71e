"""Data is never moved by accident: another folder, volume or major version is refused before anything changes."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.engines import PrivateEngine
from tests.installations import Installation

#: The launcher as somebody who may use the Engine and read his own files, and none of other people.
UNPRIVILEGED = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    str(Path(sys.executable).with_name("launcher")),
)


def test_another_storage_folder_is_refused_with_both_named(installation: Installation, tmp_path: Path) -> None:
    assert installation.launcher("start").code == 0
    old, new = installation.root / "tools/kestra/storage", tmp_path / "elsewhere"
    for gone in (False, True):
        if gone:  # without a container the launcher has to remember
            assert installation.compose("down").code == 0
        done = installation.launcher("start", KESTRA_STORAGE_DIR=str(new))
        assert done.code == (1 if gone else 3), done.text
        assert f"would use {new} for /app/storage instead of {old}" in done.err
        assert not new.exists()
    done = installation.launcher(
        "start", KESTRA_STORAGE_DIR=str(new), LAUNCHER_ALLOW_DATA_MOVE="kestra-orchestrator,other"
    )
    assert done.code == 0, done.text
    assert "LAUNCHER_ALLOW_DATA_MOVE allows it" in done.err
    assert installation.launcher("start", KESTRA_STORAGE_DIR=str(new)).code == 0, "it is the present one now"


def test_a_link_to_another_storage_folder_is_seen_through(installation: Installation, tmp_path: Path) -> None:
    assert installation.launcher("start").code == 0
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "same").symlink_to(installation.root / "tools/kestra/storage")
    done = installation.launcher("start", KESTRA_STORAGE_DIR=str(tmp_path / "link"))
    assert done.code == 3, done.text
    assert f"would use {tmp_path / 'link'} for /app/storage" in done.err
    assert installation.launcher("start", KESTRA_STORAGE_DIR=str(tmp_path / "same")).code == 0


def test_another_volume_is_refused_with_both_named(installation: Installation, engine: PrivateEngine) -> None:
    assert installation.launcher("start").code == 0
    assert installation.launcher("stop", "kestra-postgres").code == 0
    installation.edited("name: tools-kestra-postgres-data", "name: fresh-postgres-data")
    done = installation.launcher("start")
    assert done.code == 3, done.text
    assert (
        "would use fresh-postgres-data for /var/lib/postgresql/data instead of tools-kestra-postgres-data" in done.err
    )
    assert "fresh-postgres-data" not in engine.docker("volume", "ls", "--quiet")


def test_an_empty_volume_beside_a_full_one_of_that_name_is_refused(
    installation: Installation, engine: PrivateEngine
) -> None:
    old = "oldname_tools-kestra-postgres-data"
    engine.docker("volume", "create", old)
    assert installation.launcher("start", "kestra-postgres").code == 0, "an empty look-alike is no reason"
    assert installation.compose("down", "--volumes").code == 0
    folder = Path(engine.docker("volume", "inspect", "--format", "{{.Mountpoint}}", old).strip())
    (folder / "PG_VERSION").write_text("17\n")
    (installation.root / ".launcher/events.jsonl").unlink()
    for exists in (False, True):
        if exists:
            engine.docker("volume", "create", "tools-kestra-postgres-data")
        done = installation.launcher("start", "kestra-postgres")
        assert done.code == 3, done.text
        assert f"the empty volume tools-kestra-postgres-data beside {old}" in done.err
    done = installation.launcher("start", "kestra-postgres", LAUNCHER_ALLOW_DATA_MOVE="kestra-postgres")
    assert done.code == 0, done.text


def test_a_volume_that_is_gone_is_not_quietly_made_anew(installation: Installation, engine: PrivateEngine) -> None:
    assert installation.launcher("start").code == 0
    assert installation.compose("down", "--volumes").code == 0
    done = installation.launcher("start")
    assert done.code == 3, done.text
    assert "tools-kestra-postgres-data, where the data of kestra-postgres was, is gone" in done.err
    assert "tools-kestra-cds" not in done.err, "a cache may vanish"
    assert "tools-kestra-postgres-data" not in engine.docker("volume", "ls", "--quiet")
    done = installation.launcher("start", LAUNCHER_ALLOW_DATA_MOVE="kestra-postgres")
    assert done.code == 0, done.text


def test_a_volume_that_would_be_mounted_beside_the_data_is_refused(
    installation: Installation, engine: PrivateEngine
) -> None:
    """As after a way back from PostgreSQL 18: the server would begin without data, in a volume without a name."""
    assert installation.launcher("start", "kestra-postgres").code == 0
    before = engine.docker("volume", "ls", "--quiet")
    elsewhere = {"KESTRA_POSTGRES_DATA_TARGET": "/var/lib/postgresql"}
    for removed in (False, True):
        if removed:
            assert installation.compose("down").code == 0
        done = installation.launcher("start", "kestra-postgres", **elsewhere)
        assert done.code == 3, done.text
        assert "and PostgreSQL 17 keeps its data in /var/lib/postgresql/data" in done.err
    assert engine.docker("volume", "ls", "--quiet") == before


def test_another_major_version_of_the_database_is_refused(installation: Installation, engine: PrivateEngine) -> None:
    assert installation.launcher("start", "kestra-postgres").code == 0
    (installation.root / "Dockerfile").write_text("FROM local/postgres:17\nENV PG_MAJOR=18\n")
    engine.docker("build", "--tag", "local/postgres:18-by-name", str(installation.root))
    try:
        done = installation.launcher("start", KESTRA_POSTGRES_IMAGE="local/postgres:18-by-name")
        assert done.code == 3, done.text
        assert "is PostgreSQL 18, and the data in the volume tools-kestra-postgres-data is of 17" in done.err
        assert installation.state("kestra-postgres") == "ready"
    finally:
        engine.docker("image", "rm", "local/postgres:18-by-name")


def test_the_last_major_version_is_remembered_where_the_data_cannot_be_read(
    installation: Installation, engine: PrivateEngine
) -> None:
    """As for somebody who is not root, once the container is removed."""
    assert installation.launcher("start", "kestra-postgres").code == 0
    (installation.root / "Dockerfile").write_text("FROM local/postgres:17\nENV PG_MAJOR=18\n")
    engine.docker("build", "--tag", "local/postgres:18-by-name", str(installation.root))
    assert installation.compose("down").code == 0
    newer = {"KESTRA_POSTGRES_IMAGE": "local/postgres:18-by-name"}
    try:
        done = installation.run(*UNPRIVILEGED, "start", "kestra-postgres", **newer)
        assert done.code == 3, done.text
        assert "is PostgreSQL 18, and the data in the volume tools-kestra-postgres-data is of 17" in done.err
        found = installation.run(*UNPRIVILEGED, "doctor", **newer)
        assert "data in tools-kestra-postgres-data are of PostgreSQL 17, the image is 18" in found.text
        # Where there are no data, what they once were does not matter.
        engine.docker("volume", "rm", "tools-kestra-postgres-data")
        gone = installation.run(*UNPRIVILEGED, "start", "kestra-postgres", **newer)
        assert "is gone; a start would begin without data" in gone.err
        assert "the data in the volume" not in gone.err
    finally:
        engine.docker("image", "rm", "local/postgres:18-by-name")
    done = installation.launcher("start", "kestra-postgres", LAUNCHER_ALLOW_DATA_MOVE="kestra-postgres")
    assert done.code == 0, done.text
    assert installation.compose("down").code == 0
    same = installation.run(*UNPRIVILEGED, "doctor")
    assert "the version of the data in tools-kestra-postgres-data cannot be read" in same.text
    assert installation.run(*UNPRIVILEGED, "start", "kestra-postgres").code == 0
