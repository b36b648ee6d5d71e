"""The record of operations: private, a line per event, no secrets, bounded, and harmless when it cannot be kept."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pytest
from service_launcher import events
from service_launcher.events import EventLog
from service_launcher.models import Event
from service_launcher.redaction import MASK, Redactor

SECRET = 'Right1"Password'


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    """A record in a folder that is not there yet."""
    return EventLog(tmp_path / ".launcher/events.jsonl", Redactor([SECRET]))


def event(**detail: object) -> Event:
    """Something that happened."""
    return Event(what="operation.started", actor="ana (cli)", detail=detail)


def lines(tmp_path: Path) -> list[dict[str, object]]:
    """The record, read as its readers read it: line by line."""
    return [json.loads(line) for line in (tmp_path / ".launcher/events.jsonl").read_text().split("\n")[:-1]]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_the_record_is_private(tmp_path: Path, log: EventLog, umask: int) -> None:
    before = os.umask(umask)
    try:
        log.record(event())
    finally:
        os.umask(before)
    file = tmp_path / ".launcher/events.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_every_event_is_one_line_of_json(tmp_path: Path, log: EventLog) -> None:
    told = [event(words="two\nlines and\ta tab"), event(words='{"forged": true}\n{"what": "x"}'), event(words="é☕")]
    for one in told:
        log.record(one)
    assert [line["detail"] for line in lines(tmp_path)] == [one.detail for one in told]
    assert set(lines(tmp_path)[0]) == {"time", "operation", "service", "what", "actor", "detail"}
    assert str(lines(tmp_path)[0]["time"]).endswith("Z")
    assert log.lost is None


@pytest.mark.parametrize("words", ["a\x1b[31mb", "a\x08b", "a\x7fb", "a\x9bb", "a\u202eb"])
def test_control_characters_leave_a_line_readable(tmp_path: Path, log: EventLog, words: str) -> None:
    log.record(event(words=words))
    assert lines(tmp_path)


def test_no_secret_is_recorded(tmp_path: Path, log: EventLog) -> None:
    log.record(event(message=f"cannot log in with {SECRET}", nested=[{"again": f"<{SECRET}>"}]))
    assert lines(tmp_path)[0]["detail"] == {"message": f"cannot log in with {MASK}", "nested": [{"again": f"<{MASK}>"}]}


def test_two_logs_append_to_one_record(tmp_path: Path, log: EventLog) -> None:
    other = EventLog(tmp_path / ".launcher/events.jsonl", Redactor())
    for number in range(4):
        (log, other)[number % 2].record(event(number=number))
    assert [line["detail"] for line in lines(tmp_path)] == [{"number": n} for n in range(4)]


def test_a_full_record_is_turned_over_once(tmp_path: Path, log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_BYTES", 1000)
    folder = tmp_path / ".launcher"
    for number in range(40):
        log.record(event(number=number))
    assert sorted(file.name for file in folder.iterdir()) == ["events.1.jsonl", "events.jsonl"]
    assert lines(tmp_path)[-1]["detail"] == {"number": 39}
    assert all(file.stat().st_size < 1300 for file in folder.iterdir())
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in folder.iterdir())


def test_listeners_are_told_in_turn_after_the_record(tmp_path: Path, log: EventLog) -> None:
    heard = []
    log.listen(lambda told: heard.append((1, told, len(lines(tmp_path)))))
    log.listen(lambda told: heard.append((2, told, len(lines(tmp_path)))))
    one = event()
    log.record(one)
    assert heard == [(1, one, 1), (2, one, 1)]


def test_a_full_disk_loses_the_line_and_says_so_but_not_the_operation(tmp_path: Path, log: EventLog) -> None:
    heard: list[Event] = []
    log.listen(heard.append)
    log.record(event())
    size = (tmp_path / ".launcher/events.jsonl").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        log.record(event())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert log.lost is not None
    assert log.lost.startswith("events are not recorded: events.jsonl: ")
    assert (len(heard), len(lines(tmp_path))) == (2, 1)


def test_half_a_line_is_a_lost_line_and_spoils_no_other(tmp_path: Path, log: EventLog) -> None:
    log.record(event(number=0))
    size = (tmp_path / ".launcher/events.jsonl").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
    try:
        log.record(event(number=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert log.lost is not None
    log.record(event(number=2))
    last = (tmp_path / ".launcher/events.jsonl").read_text().split("\n")[-2]
    assert json.loads(last)["detail"] == {"number": 2}


def test_a_link_in_place_of_the_record_is_not_followed(tmp_path: Path, log: EventLog) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / ".launcher").mkdir()
    (tmp_path / ".launcher/events.jsonl").symlink_to(tmp_path / "target")
    log.record(event())
    assert (tmp_path / "target").read_text() == "precious"
    assert log.lost is not None


def changed(service: str, actor: str = "ana", **detail: object) -> Event:
    """A change of state."""
    return Event(what="state.changed", service=service, actor=actor, detail=detail)


def operation(what: str, action: str, *services: str) -> Event:
    """The begin or the end of one operation."""
    return Event(what=what, operation=action, actor="ana", detail={"action": action, "services": services})


def test_wanted_is_what_was_up_until_somebody_stopped_it(log: EventLog) -> None:
    for told in (
        changed("up", state="ready"),
        changed("crashed", state="ready"),
        changed("crashed", state="failed"),
        changed("crashed", state="stopped"),
        changed("stopped", state="ready"),
        changed("stopped", state="stopped", requested=True),
        changed("never", state="failed"),
        changed("again", state="stopped", requested=True),
        changed("again", state="ready"),
        operation("operation.started", "start", "never"),
    ):
        log.record(told)
    assert log.wanted() == {"up", "crashed", "again"}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("action", ["start", "restart", "stop"])
def test_a_stop_on_the_way_to_a_start_is_no_wish(log: EventLog, action: str, late: bool) -> None:
    engines = changed("one", actor="engine", state="stopped", requested=True)
    detail = {"state": "stopped", "requested": action == "stop"}
    own = Event(what="state.changed", operation=action, service="one", actor="ana", detail=detail)
    ended = operation("operation.finished", action)
    for told in (
        changed("one", state="ready"),
        changed("other", state="ready"),
        operation("operation.started", action, "one"),
        *([own, ended, engines] if late else [engines, own, ended]),
    ):
        log.record(told)
    assert log.wanted() == ({"other"} if action == "stop" else {"one", "other"})


@pytest.mark.parametrize(("stopped", "wanted"), [("one", {"other"}), ("other", {"one"})])
def test_a_stop_by_hand_is_a_wish_also_after_an_operation_that_was_killed(
    log: EventLog, stopped: str, wanted: set[str]
) -> None:
    for told in (
        changed("one", state="ready"),
        changed("other", state="ready"),
        operation("operation.started", "restart", "one"),
        changed(stopped, actor="engine", state="stopped", requested=True),
    ):
        log.record(told)
    assert log.wanted() == wanted
