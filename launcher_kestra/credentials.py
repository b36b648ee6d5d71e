"""Which credentials Kestra's server and its page both accept, and which everybody knows."""

from __future__ import annotations

import re

from service_launcher import Host, Problem

from launcher_kestra.services import (
    DATABASE_NAME,
    DATABASE_PASSWORD,
    DATABASE_USER,
    DEFAULT_USERNAME,
    PASSWORD,
    USERNAME,
)

# The page asks for a dot after the @ and the server for nothing but the usual characters: an address must pass both.
_EMAIL = re.compile(r"[A-Za-z0-9._%+!#$&'*/=?^`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
#: From Kestra's own examples and charts, and what people write first.
_KNOWN = [
    "k3str4",
    "kestra",
    "admin",
    "postgres",
    "changeme",
    "password",
    "admin1234",
    "kestra123",
    "changeme1",
    "changeme#1234",
]
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
MIN_LENGTH, MAX_LENGTH = 8, 256


def problems(host: Host) -> list[Problem]:
    """What is wrong with the credentials, naming the variable and never the value."""
    found = []
    username = host.environment.get(USERNAME) or DEFAULT_USERNAME
    if not _EMAIL.fullmatch(username) or len(username) > MAX_LENGTH:
        found.append(
            _refused(USERNAME, "is no e-mail address with a dot after the @; Kestra would start without a login")
        )
    elif "${" in username:
        found.append(_refused(USERNAME, "contains ${, which Kestra would resolve as a placeholder"))
    for name in (DATABASE_NAME, DATABASE_USER):
        # Anything else would have to be quoted in SQL, and tools that do not quote it print whole statements.
        if not _IDENTIFIER.fullmatch(host.environment.get(name) or "kestra"):
            found.append(_refused(name, "is not made of letters, digits and _ alone"))
    for name, check in ((PASSWORD, _login_weakness), (DATABASE_PASSWORD, _database_weakness)):
        secret = host.environment.secret(name)
        value = secret.get_secret_value() if secret else ""
        if not value:
            found.append(_refused(name, "is not set", "launcher init"))
        elif weakness := check(value):
            found.append(_refused(name, weakness))
    return found


def _any_weakness(value: str) -> str | None:
    if value.casefold() in _KNOWN:
        return "is a default that everybody knows"
    if "${" in value:
        return "contains ${, which Kestra would resolve as a placeholder"
    if any(ord(c) < 32 for c in value):
        return "contains a control character"
    return None


def _database_weakness(value: str) -> str | None:
    # What is shorter is found quickly, and would be masked in half of all words.
    return _any_weakness(value) or ("has fewer than 8 characters" if len(value) < MIN_LENGTH else None)


def _login_weakness(value: str) -> str | None:
    if weakness := _any_weakness(value):
        return weakness
    if not MIN_LENGTH <= len(value) <= MAX_LENGTH:
        return "has not 8 to 256 characters"
    if re.search(r"\s", value):
        return "contains white space, which Kestra's page refuses"
    if not (re.search("[a-z]", value) and re.search("[A-Z]", value) and re.search("[0-9]", value)):
        return "is weak: Kestra wants lower case, upper case and a digit"
    return None


def _refused(name: str, why: str, fix: str = "") -> Problem:
    return Problem(
        severity="error", summary=f"{name} {why}", fix=fix or f"change {name} in .env or export it, then start again"
    )
