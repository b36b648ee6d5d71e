"""What has to hold after every fault; each function is one invariant of the list of faults, I1 to I12."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from tests.database_image import DATABASE_PASSWORD
from tests.faults.campaign import DATA, WITNESSES, Case, Command
from tests.installations import PASSWORD, USERNAME

READ_SECONDS = 3.0
READING = ("status", "plan", "list", "logs", "config", "events", "explain", "doctor", "health", "plugins", "manifest")
AIR = 2.0  # the tests share the machine; the figures are measured by bench, not here


@dataclass
class Before:
    """What a case had before its fault: things that belong to somebody else, and the file that must never be lost.

    What is to be kept in the database and beside it `Case.up` leaves there, and remembers.
    """

    foreign: str
    env: bytes

    @classmethod
    def taken(cls, case: Case) -> Before:
        """Put foreign things on the Engine, and remember them with what is ours."""
        docker = case.engine.docker
        docker("network", "create", "--subnet", "10.99.0.0/24", "somebody-elses")
        docker("volume", "create", "somebody-elses")
        docker("create", "--name", "somebody-elses", "local/kestra-rehearsal:1")
        env = (case.installation.root / ".env").read_bytes()
        return cls(_foreign(case), env)


def _foreign(case: Case) -> str:
    found = [
        case.engine.docker(kind, "inspect", "--format", what, "somebody-elses")
        for kind, what in (
            ("network", "{{.Id}}"),
            ("volume", "{{.CreatedAt}}"),
            ("container", "{{.Id}} {{.State.Status}}"),
        )
    ]
    return " ".join(found)


def truth(case: Case) -> None:
    """I1: ready only where container, health check and application agree, and were asked just now."""
    for command in case.installation.commands:
        if command.argv[0] != "status" or "--json" not in command.argv or not command.done.out:
            continue
        for status in command.done.json()["services"]:
            if status["state"] != "ready":
                continue
            verdicts = {e["layer"]: e["verdict"] for e in status["evidence"]}
            assert set(verdicts.values()) <= {"ok", "not_applicable"}, status
            asked = {"kestra-orchestrator": {"container", "application"}, "kestra-postgres": {"container", "health"}}
            for layer in asked.get(status["id"], {"container"}):
                assert verdicts[layer] == "ok", status
            for evidence in status["evidence"]:
                assert -1 < evidence["age_seconds"] <= evidence["counts_seconds"], status
            assert command.done.code == 0, status


def bounded(case: Case) -> None:
    """I2: every reading command ends in 3 s, whatever is broken."""
    for command in case.installation.commands:
        if command.argv[0] in READING and "--follow" not in command.argv and "--watch" not in command.argv:
            assert command.done.seconds <= READ_SECONDS + AIR, (command.argv, command.done.seconds)


def one_writer(case: Case) -> None:
    """I3: no two operations of the project overlapped, by their own records."""
    under_way: list[str] = []
    for event in case.records():
        if event["what"] == "operation.started":
            # One that was killed never says that it has ended; the next may begin all the same.
            under_way = [event["operation"]]
        elif event["what"] == "operation.finished":
            assert under_way == [event["operation"]], "two operations were under way at once"
            under_way = []


def only_own_things(case: Case, before: Before) -> None:
    """I4: what belongs to somebody else is as it was."""
    assert _foreign(case) == before.foreign


def lost(case: Case, before: Before) -> tuple[str, str]:
    """I5: what is gone of what must never be lost, empty when nothing is; and what was looked at.

    What the fault itself takes away is not asked for.
    """
    gone, looked = [], [".env"]
    if (case.installation.root / ".env").read_bytes() != before.env:
        gone.append(".env")
    if case.volume and case.row.takes != DATA:
        looked.append(f"{WITNESSES} rows")
        if case.present_volume() != case.volume:
            gone.append(f"volume {DATA}")
        elif (count := case.sql("select count(*) from witness", check=False)) != str(WITNESSES):
            gone.append(f"{WITNESSES} committed rows (found {count or 'none'})")
    if case.volume:
        looked.append("storage")
        if not case.storage_is_whole():
            gone.append("storage")
    if case.executions:
        looked.append("flow and executions")
        if case.installation.api("GET", "/api/v1/main/flows/tests.launcher/hello")[0] != 200:
            gone.append("flow")
        if case.installation.executions() < case.executions:
            gone.append("executions")
    return ", ".join(gone), ", ".join(looked)


def convergence(case: Case) -> None:
    """I6: with the cause gone, start brings everything to ready by itself, and a second start changes no container."""
    done = case.installation.launcher("start")
    assert done.code == 0, done.text
    services = case.installation.launcher("status", "--json").json()["services"]
    assert {s["state"] for s in services if s["stack"] == "tools"} == {"ready"}, services
    ids = case.ids()
    again = case.installation.launcher("start")
    assert again.code == 0, again.text
    assert case.ids() == ids


def files_are_whole(case: Case) -> None:
    """I7: files of the launcher are complete, 0600, and no half-written one is left."""
    root = case.installation.root
    assert not list(root.glob(".env.*.new"))
    assert (root / ".env").stat().st_mode & 0o777 == 0o600
    for path in (root / ".launcher").glob("events*.jsonl"):
        assert path.stat().st_mode & 0o777 == 0o600
    case.records()  # every line is whole


def secrecy(case: Case) -> None:
    """I8: no secret in anything that was printed or recorded."""
    told = [c.done.text for c in case.installation.commands]
    told += [p.read_text(errors="replace") for p in (case.installation.root / ".launcher").rglob("*") if p.is_file()]
    login = b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()  # as it stands in a request
    coded = [b64encode(secret.encode()).decode().rstrip("=")[:-1] for secret in (PASSWORD, DATABASE_PASSWORD)]
    for secret in (PASSWORD, DATABASE_PASSWORD, login, *coded):
        assert not any(secret in text for text in told)


def explained(case: Case) -> None:
    """I9: every failure has a cause and a next step, and never a traceback."""
    for command in case.installation.commands:
        _explained(command)


def _explained(command: Command) -> None:
    text = command.done.text
    assert "Traceback" not in text, text
    assert "should not have happened" not in text, text
    if command.argv[0] == "doctor" and command.done.code == 1:  # a verdict, whose every failure has its own fix
        lines = text.splitlines()
        failures = [number for number, line in enumerate(lines) if line.startswith("✖ fail")]
        assert failures, text
        assert all("try:" in lines[number + 1] for number in failures), text
        return
    if "--json" in command.argv and command.done.out:
        said = command.done.json()
        for outcome in said.get("outcomes", ()) if isinstance(said, dict) else ():
            if outcome["result"] == "failed":
                assert outcome["explanation"]["cause"], outcome
                assert outcome["explanation"]["next_command"], outcome
            if outcome["result"] == "refused":
                assert all(problem["fix"] for problem in outcome["problems"]), outcome
                assert outcome["problems"], outcome
        return
    if command.done.code not in (0, 130, 143):
        assert "Error:" in command.done.err or "❌" in command.done.err, text
        assert "Try:" in command.done.err or "try:" in command.done.err, text


def capped(case: Case) -> None:
    """I11: what the launcher writes for itself stays small."""
    for path in (case.installation.root / ".launcher").glob("*"):
        assert path.is_dir() or path.stat().st_size < 10_100_000


def told_of(case: Case) -> None:
    """I12: each operation has its record before and after, in order; of one that was killed the next one writes it."""
    records = case.records()
    # What the Engine tells is recorded when it is heard, with the time at which it happened.
    times = [event["time"] for event in records if event["actor"] != "engine"]
    assert times == sorted(times)
    begun, ended = (
        sorted(event["operation"] for event in records if event["what"] == f"operation.{end}")
        for end in ("started", "finished")
    )
    assert begun == ended, "two records for each operation"


def hold(case: Case, before: Before) -> tuple[str, str]:
    """Assert those that apply to the row, and return what was lost, and of what."""
    left_out = case.row.without
    if "I6" not in left_out:
        convergence(case)
    if "I3" not in left_out:
        one_writer(case)
    if "I4" not in left_out:
        only_own_things(case, before)
    gone, looked = lost(case, before)
    for number, invariant in (
        ("I1", truth),
        ("I2", bounded),
        ("I7", files_are_whole),
        ("I8", secrecy),
        ("I9", explained),
        ("I11", capped),
        ("I12", told_of),
    ):
        if number not in left_out:
            invariant(case)
    return gone, looked
