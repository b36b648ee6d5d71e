"""An installation whose files change: its launcher is built anew once for each change; a wrong file is said once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pytest
from service_launcher.errors import ConfigurationError
from service_launcher.installation import Installation
from service_launcher.launcher import Launcher
from service_launcher.settings import Settings


class Built:
    """What is built from the files; it reads their content at that time, again and again."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(root, "ana")
        self.text = (root / ".env").read_text()
        if "wrong" in self.text:
            raise ConfigurationError(".env is wrong")
        if "broken" in self.text:
            raise RuntimeError("unforeseen")

    def live(self, stop: threading.Event, *asked: object) -> Iterator[str]:
        """The content of the file, until `stop` is set."""
        while not stop.is_set():
            yield self.text


class Changing:
    """An installation with a `.env`, how often it was built, and what was complained of."""

    def __init__(self, root: Path) -> None:
        self.root, self.builds = root, 0
        self.complaints: list[tuple[str, str]] = []
        self.write("one")
        self.installation = Installation(self.build, lambda old, wrong: self.complain(old, wrong))

    def build(self) -> Launcher:
        """Build once more."""
        self.builds += 1
        return cast(Launcher, Built(self.root))

    def complain(self, old: Launcher, wrong: ConfigurationError) -> None:
        """Remember a complaint."""
        self.complaints.append((cast(Any, old).text, wrong.summary))

    def write(self, text: str) -> None:
        """Replace the `.env`."""
        (self.root / "new").write_text(text)
        (self.root / "new").replace(self.root / ".env")


@pytest.fixture
def changing(tmp_path: Path) -> Changing:
    """Such an installation."""
    return Changing(tmp_path)


def test_a_wrong_file_is_read_and_said_once_and_the_values_before_stay(changing: Changing) -> None:
    changing.write("wrong")
    for _ in range(3):
        launcher, wrong = changing.installation.readable()
        assert cast(Any, launcher).text == "one"
        assert str(wrong) == ".env is wrong"
        with pytest.raises(ConfigurationError, match="is wrong"):
            changing.installation.current()
    assert changing.builds == 2
    assert changing.complaints == [("one", ".env is wrong")]
    changing.write("two")
    assert cast(Any, changing.installation.current()).text == "two"
    assert changing.installation.readable()[1] is None


def test_a_change_that_keeps_size_and_time_is_seen(changing: Changing) -> None:
    file = changing.root / ".env"
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    changing.write("two")
    os.utime(file, ns=times)
    assert cast(Any, changing.installation.current()).text == "two"


def test_an_unforeseen_failure_is_not_taken_for_success(changing: Changing) -> None:
    changing.write("broken")
    for _ in range(2):
        with pytest.raises(RuntimeError):
            changing.installation.readable()


def test_where_nobody_hears_the_complaint_the_values_before_stay_all_the_same(
    changing: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(old: Launcher, wrong: ConfigurationError) -> None:
        raise OSError("no terminal")

    monkeypatch.setattr(changing, "complain", closed)
    changing.write("wrong")
    assert str(changing.installation.readable()[1]) == ".env is wrong"


def test_readings_follow_the_files(changing: Changing) -> None:
    stop = threading.Event()
    readings = changing.installation.live(stop)
    assert [cast(str, reading) for _, _, reading in islice(readings, 2)] == ["one", "one"]
    changing.write("two")
    assert [cast(str, reading) for _, _, reading in islice(readings, 2)] == ["two", "two"]
    changing.write("wrong")
    for _ in range(5):
        _, wrong, reading = next(readings)
        assert (str(wrong), cast(str, reading)) == (".env is wrong", "two")
    assert changing.builds == 3, "not again for every reading"
    stop.set()
    assert not list(readings)


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("old")
    texts = iter(["newer", "newer"])

    def build() -> Launcher:
        built = Built(tmp_path)
        (tmp_path / "new").write_text(next(texts, "newer"))
        (tmp_path / "new").replace(tmp_path / ".env")
        return cast(Launcher, built)

    installation = Installation(build)
    assert cast(Any, installation.current()).text == "newer"
