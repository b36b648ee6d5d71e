"""Files that people write wrong, while everything runs: nothing is touched, the place is named (F37 to F39)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tests.faults.campaign import COMPOSE_FILE, Case, Seen, row

ENV = Path(".env")
MANIFEST = Path("config/services-manifest.json")

BAD_LINES = {
    "V=abc\r": "carriage return",
    "V=pa$word": "single quotes",
    'V="pa$word"': "single quotes",
    "V=$(touch canary)": "single quotes",
    "V=ab #cd": "single quotes",
    "V = abc": "KEY=value",
    "V: abc": "KEY=value",
    'V="abc': "single quotes",
    "V": "KEY=value",
    "V=a\0b": "NUL",
    "A-B=1": "KEY=value",
    "COMPOSE_FILE=x": "steers docker",
    "KESTRA_IMAGE=again": "defined twice",
}


def _refused(case: Case, file: Path, *commands: str, says: str) -> Seen:
    """Each command ends with 2 and says so, and the containers are the same."""
    ids = case.ids()
    for command in commands:
        done = case.installation.launcher(command)
        assert done.code == 2, done.text
        assert file.name in done.err, done.err
        assert says in done.err, done.err
    assert case.ids() == ids
    return Seen("refused", done.code, done.seconds)


@row("F37", "compose file invalid", "an unclosed bracket at its end", state="refused", code=2)
def compose_file_invalid(case: Case) -> Iterator[Seen]:
    path = case.installation.root / COMPOSE_FILE
    text = path.read_text()
    path.write_text(text + "\nnonsense: [\n")
    yield _refused(case, COMPOSE_FILE, "restart", says="yaml: line")
    path.write_text(text)


@row("F37", "compose file cut", "cut off at 20 places (seeded)", state="nothing touched", code=1, slow=True)
def compose_file_cut(case: Case) -> Iterator[Seen]:
    path = case.installation.root / COMPOSE_FILE
    text, ids = path.read_text(), case.ids()
    codes = set()
    for part in range(1, 20):
        path.write_text(text[: len(text) * part // 20])
        # Some pieces are valid files with less in them: plan looks without touching anything.
        codes.add(case.installation.launcher("plan", "restart").code)
        check = case.installation.launcher("manifest", "check")
        codes.add(check.code)
    assert case.ids() == ids
    assert codes <= {0, 1, 2}
    path.write_text(text)
    yield Seen("nothing touched", max(codes), check.seconds)


@row(
    "F38",
    "env file invalid",
    f"{len(BAD_LINES)} lines that its readers read differently",
    state="refused",
    code=2,
    slow=True,
)
def env_file_invalid(case: Case) -> Iterator[Seen]:
    path = case.installation.root / ENV
    whole = path.read_bytes()
    line = whole.count(b"\n") + 1
    for bad, why in BAD_LINES.items():
        path.write_bytes(whole + bad.encode() + b"\n")
        done = case.installation.launcher("restart")
        assert (done.code, f".env, line {line}" in done.err, why in done.err) == (2, True, True), (bad, done.err)
        assert path.read_bytes() == whole + bad.encode() + b"\n"
    for content, why in ((b"\xef\xbb\xbf" + whole, "byte order mark"), (whole + b"V=caf\xe9\n", "not UTF-8")):
        path.write_bytes(content)
        done = case.installation.launcher("restart")
        assert (done.code, why in done.err) == (2, True), done.err
    path.write_bytes(whole)
    assert not list(case.installation.root.rglob("canary"))
    yield Seen("refused", done.code, done.seconds)


@row("F39", "manifest cut", "cut off at 12 places", state="refused", code=2, slow=True)
def manifest_cut(case: Case) -> Iterator[Seen]:
    path = case.installation.root / MANIFEST
    whole = path.read_bytes()
    for part in range(12):
        path.write_bytes(whole[: (len(whole) - 3) * part // 12])
        seen = _refused(case, MANIFEST, "start", says="line")
    path.write_bytes(whole)
    yield seen


@row("F39", "manifest hostile", "BOM, a key twice, 1000 levels, a huge number, NaN", state="refused or read", code=2)
def manifest_hostile(case: Case) -> Iterator[Seen]:
    path = case.installation.root / MANIFEST
    whole = path.read_bytes()
    first = json.loads(whole)["services"][0]
    bad = {
        "BOM": b"\xef\xbb\xbf" + whole,
        "twice": whole.replace(b'"version"', b'"version": 1, "version"', 1),
        "deep": b'{"version": 1, "services": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        "huge": whole.replace(b'"version": 1', b'"version": ' + b"9" * 5000, 1),
        "NaN": json.dumps({"version": 1, "services": [first | {"port": float("nan")}]}).encode(),
        "deeper": b'{"version": 1, "services": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    }
    codes = {}
    for name, content in bad.items():
        path.write_bytes(content)
        done = case.installation.launcher("status")
        codes[name] = done.code
        assert done.code in (0, 2), (name, done.text)
    path.write_bytes(whole)
    yield Seen("refused or read", max(codes.values()), done.seconds)
