"""No secret and no control character leaves the launcher, in whatever form it comes."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from service_launcher.redaction import MASK, Redactor, printable


def in_base64(secret: str, before: int = 0, after: str = "z") -> str:
    """A secret inside a longer text, as in an Authorization header."""
    return base64.b64encode(b"u" * before + secret.encode() + after.encode()).decode()


def in_lower_case(encoded: str) -> str:
    """As encoders write it that use small hexadecimal digits."""
    return re.sub("%..", lambda escape: escape[0].lower(), encoded)


FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "dollars doubled, as compose prints it": lambda s: s.replace("$", "$$"),
    "JSON": json.dumps,
    "JSON with its letters": lambda s: json.dumps(s, ensure_ascii=False),
    "JSON in JSON": lambda s: json.dumps({"line": json.dumps({"password": s})}),
    "URL": lambda s: f"postgresql://kestra:{quote(s, safe='')}@db/kestra",
    "URL with its slashes": lambda s: f"/users/{quote(s)}?x=1",
    "URL in lower case": lambda s: f"postgresql://kestra:{in_lower_case(quote(s, safe=''))}@db/kestra",
    "form in lower case": lambda s: f"password={in_lower_case(quote_plus(s))}&user=x",
    "form": lambda s: f"password={quote_plus(s)}&user=x",
    "JSON as docker writes it": lambda s: (
        json.dumps(s, ensure_ascii=False)[1:-1].replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    ),
    "base64 alone": lambda s: in_base64(s, after=""),
    "base64 at offset 0": in_base64,
    "base64 for URLs": lambda s: in_base64(s).translate(str.maketrans("+/", "-_")),
    "base64 at offset 1": lambda s: in_base64(s, before=1),
    "base64 at offset 2": lambda s: in_base64(s, before=2),
    "base64 at offset 3": lambda s: in_base64(s, before=3, after="zz"),
}

SECRETS = [
    "Right1Password",
    "pa$$word$1",
    'quo"te\\slash',
    "café ☕ &?/+ =",
    "x%41y#z{}1",
    "Right1/Pass+wo?d",
    "~~~???>>>ooo",
    "tab\tand\nline1",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_masked_in_every_form(secret: str, form: str) -> None:
    shown = Redactor([secret])(f"before {FORMS[form](secret)} after")
    assert MASK in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert secret not in shown
    assert quote(secret, safe="") not in shown


@given(
    secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=40),
    before=st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    after=st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    form=st.sampled_from(sorted(FORMS)),
)
def test_no_secret_survives_in_any_form(secret: str, before: str, after: str, form: str) -> None:
    embedded = FORMS[form](secret)
    shown = Redactor([secret])(f"{before} {embedded} {after}")
    assume(secret not in MASK)
    assert MASK in shown
    # What surrounds the secret may by chance hold it too; what stood in its place may not.
    assert shown.count(MASK) >= f"{before} {embedded} {after}".count(embedded)


@given(st.binary(min_size=0, max_size=5), st.text(st.characters(exclude_categories=["Cs"]), min_size=8), st.binary())
def test_no_secret_survives_in_the_base64_of_a_longer_text(before: bytes, secret: str, after: bytes) -> None:
    code = base64.b64encode(before + secret.encode() + after).decode()
    assert MASK in Redactor([secret])(code)


def test_the_longest_of_two_secrets_is_masked_whole() -> None:
    assert Redactor(["Password1", "Password1Password2"])("<Password1Password2>") == f"<{MASK}>"


def test_all_secrets_of_a_text_are_masked() -> None:
    shown = Redactor(["first-secret", "second-secret"])("first-secret, second-secret, first-secret")
    assert shown == f"{MASK}, {MASK}, {MASK}"


def test_a_secret_that_is_a_pattern_is_taken_literally() -> None:
    redact = Redactor(["(.*)+[a-z]$"])
    assert redact("harmless words") == "harmless words"
    assert redact("x(.*)+[a-z]$x") == f"x{MASK}x"


@pytest.mark.parametrize("secrets", [[], [""], ["short"]])
def test_without_a_secret_worth_masking_text_stays_as_it_is(secrets: list[str]) -> None:
    assert Redactor(secrets)("a short text\n\twith lines ☕") == "a short text\n\twith lines ☕"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hcleared", "cleared"),
        ("\x1b[?25lhidden", "hidden"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1bc", "\\x1bc"),
        ("\x9b31mred", "\\x9b31mred"),
        ("over\rwritten", "over\\x0dwritten"),
        ("two\r\nlines", "two\nlines"),
        ("tab\tline\n", "tab\tline\n"),
        ("back\x08space \x00 \x7f", "back\\x08space \\x00 \\x7f"),
        ("abc\u202egnp.exe", "abc\\x202egnp.exe"),
        ("\u2066isolate\u2069 \u200fmark \u061c", "\\x2066isolate\\x2069 \\x200fmark \\x61c"),
        ("café ☕ ção", "café ☕ ção"),
    ],
)
def test_nothing_that_steers_a_terminal_is_left(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert Redactor()(text) == shown


@given(st.text())
def test_printable_text_holds_no_control_character(text: str) -> None:
    shown = printable(text)
    assert not any((ord(c) < 32 and c not in "\t\n") or 0x7F <= ord(c) <= 0x9F for c in shown)
    assert not set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(shown)
    assert printable(shown) == shown


def test_a_colour_code_inside_a_secret_does_not_save_it() -> None:
    assert "Right1Password" not in Redactor(["Right1Password"])("Right1\x1b[1mPassword")


def test_a_secret_of_other_bytes_than_text_is_masked_as_it_is_shown() -> None:
    redact = Redactor([os.fsdecode(b"caf\xe9-secret")])
    assert "secret" not in redact("the login is caf\ufffd-secret")
    assert "secret" not in redact("the login is caf%E9-secret")
    assert redact.longest
