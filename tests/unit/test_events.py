"""The record of operations: private, a line per event, no secrets, bounded, and harmless when it cannot be kept."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import threading
from pathlib import Path
from typing import Any

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


def test_a_secret_that_is_a_word_of_an_id_changes_no_id(tmp_path: Path) -> None:
    log = EventLog(tmp_path / ".launcher/events.jsonl", Redactor(["postgres"]))
    places = {"/var/lib/postgresql": "postgres-data"}
    ready = {"state": "ready", "places": places, "message": "postgres answers"}
    log.record(operation("operation.started", "start", "kestra-postgres"))
    log.record(Event(what="state.changed", service="kestra-postgres", actor="ana", detail=ready))
    assert log.wanted() == {"kestra-postgres"}
    assert log.last_ready("kestra-postgres").places == places
    assert log.unfinished()["start"].detail["services"] == ["kestra-postgres"]
    assert lines(tmp_path)[1]["detail"] == {**ready, "message": f"{MASK} answers"}
    ended = {"outcome": "failed", "services": {"kestra-postgres": "failed: postgres is no password"}}
    log.record(Event(what="operation.finished", operation="start", actor="ana", detail=ended))
    assert "postgres is" not in str(lines(tmp_path)[2]["detail"])


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


def test_what_is_wanted_and_where_data_is_outlives_every_turnover(
    tmp_path: Path, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_BYTES", 1000)
    places = {"/data": "volume"}
    log.record(changed("quiet", state="ready", places=places))
    log.record(changed("moved", state="ready", places={"/data": "first"}))
    log.record(changed("moved", state="ready", places={"/data": "second"}))
    log.record(changed("stopped", state="ready", places=places))
    log.record(changed("stopped", state="stopped", requested=True))
    log.record(operation("operation.started", "restart", "restarted"))
    log.record(changed("restarted", state="ready"))
    log.record(changed("restarted", actor="engine", state="stopped", requested=True))
    log.record(
        Event(
            what="state.changed",
            operation="restart",
            service="restarted",
            actor="ana",
            detail={"state": "stopped", "requested": False},
        )
    )
    before = log.wanted()
    for number in range(60):
        log.record(event(number=number))
        assert log.wanted() == before
        assert log.last_ready("quiet").places == log.last_ready("stopped").places == places
        assert log.last_ready("moved").places == {"/data": "second"}
    assert {"quiet", "moved"} <= before
    assert "stopped" not in before
    folder = tmp_path / ".launcher"
    kept = (folder / "events.kept.jsonl").read_text().splitlines()
    assert len(kept) <= 6, "only what is needed"
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in folder.iterdir())


def test_the_last_state_and_an_operation_under_way_are_known_right_after_a_turnover(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.record(changed("one", state="failed"))
    log.record(operation("operation.started", "start", "one"))
    monkeypatch.setattr(events, "MAX_BYTES", 100)
    log.record(event(number=1))
    assert log.last_states()["one"].state == "failed"
    assert "start" in log.unfinished()


def soon() -> threading.Event:
    """Set after a while, so that who waits for what never comes fails instead."""
    stop = threading.Event()
    timer = threading.Timer(10, stop.set)
    timer.daemon = True
    timer.start()
    return stop


def _write(path: Path, writer: int) -> None:
    own = EventLog(path, Redactor())
    for number in range(400):
        own.record(event(writer=writer, number=number))
    os._exit(1 if own.lost else 0)


def test_several_writers_lose_no_line_while_the_record_turns_over(
    tmp_path: Path, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than fits into one file and less than into two, so that everything is still there at the end."""
    monkeypatch.setattr(events, "MAX_BYTES", 200_000)
    path = tmp_path / ".launcher/events.jsonl"
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_write, args=(path, writer)) for writer in range(5)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 5
    assert path.with_suffix(".1.jsonl").exists()
    told = [(e.detail["writer"], e.detail["number"]) for e in log.read()]
    assert sorted(told) == [(writer, number) for writer in range(5) for number in range(400)]


def test_a_turnover_that_fails_loses_nothing(tmp_path: Path, log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_BYTES", 500)
    log.record(changed("one", state="ready"))
    (tmp_path / ".launcher/events.kept.jsonl").mkdir()  # nothing can take its place
    for number in range(20):
        log.record(event(number=number))
        assert log.lost is None
    assert [e.detail["number"] for e in log.read() if "number" in e.detail] == list(range(20))
    assert log.wanted() == {"one"}


def test_a_turnover_while_the_record_is_opened_hides_nothing_and_doubles_nothing(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_BYTES", 1000)
    log.record(changed("one", state="ready"))
    for number in range(12):
        log.record(event(number=number))
    opened = Path.open
    more = iter([range(12, 17)])  # so many turn it over once

    def between_two_files(path: Path, mode: str) -> Any:
        file = opened(path, mode)
        for number in next(more, ()):
            log.record(event(number=number))
        return file

    monkeypatch.setattr(Path, "open", between_two_files)
    told = list(log.read())
    assert told[0].service == "one"
    numbers = [e.detail["number"] for e in told if "number" in e.detail]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) >= {8, 9, 10, 11}


def test_a_follower_misses_nothing_and_hears_nothing_twice_when_the_record_turns_over(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_BYTES", 1000)
    log.record(event(number=-1))
    coming = log.follow(soon(), 0.001)
    heard = []
    for number in range(0, 100, 5):  # the record turns over within most of these
        for one in range(number, number + 5):
            log.record(event(number=one))
        heard += [next(coming).detail["number"] for _ in range(5)]
    assert heard == list(range(100))


def test_a_follower_does_not_hear_what_was_there_before_it(log: EventLog, tmp_path: Path) -> None:
    log.record(event(number=0))
    (tmp_path / ".launcher/events.jsonl").rename(tmp_path / ".launcher/events.1.jsonl")
    coming = log.follow(soon(), 0.001)
    log.record(event(number=1))
    assert next(coming).detail["number"] == 1


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


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("cut_off", [False, True])
def test_a_stop_by_a_start_that_then_fails_is_no_wish(log: EventLog, late: bool, cut_off: bool) -> None:
    """What crashes or has changed is stopped before it is started; `watch`, which does that, would give up at once."""
    detail = {"outcome": "failed"} if cut_off else {"outcome": "failed", "seconds": 0.1}
    begun = operation("operation.started", "start", "one")
    engines = changed("one", actor="engine", state="stopped", requested=True)
    for told in (
        changed("one", state="ready"),
        begun,
        *(() if late else (engines,)),
        changed("one", state="failed"),
        Event(what="operation.finished", operation="start", actor="ana", detail=detail),
        *((engines,) if late else ()),
    ):
        log.record(told)
    # Of a launcher that was killed nobody knows until when it was at work.
    assert log.wanted() == (set() if cut_off else {"one"})


def test_a_stop_by_hand_after_a_start_is_a_wish(log: EventLog) -> None:
    for told in (
        operation("operation.started", "start", "one"),
        changed("one", state="ready"),
        Event(what="operation.finished", operation="start", actor="ana", detail={"seconds": 0.1}),
        changed("one", actor="engine", state="stopped", requested=True),
    ):
        log.record(told)
    assert log.wanted() == set()
