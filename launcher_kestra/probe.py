"""Whether Kestra itself answers: an authenticated API call, and what its open endpoints say when it does not."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from service_launcher import Evidence, Host, Verdict

from launcher_kestra.services import DEFAULT_USERNAME, KESTRA, PASSWORD, USERNAME

AUTHENTICATED = "/api/v1/main/flows/search?size=1"
CONFIGS = "/api/v1/configs"
AUTH_ERRORS = "/api/v1/basicAuthValidationErrors"
_RESULTS = re.compile(r'\s*\{\s*"results"\s*:\s*\[')
SECONDS = 1.0  # /health and the API hang when the database is gone; three calls have to fit into one status


@dataclass(frozen=True)
class Answered:
    """What Kestra said: the evidence, its version if it told it, and whether a person has to act (`refused`)."""

    evidence: Evidence
    version: str | None = None
    refused: bool = False


def ask(host: Host, address: tuple[str, int]) -> Answered:
    """Call the API as an operator would; 200 with our credentials is the only good answer."""
    url = f"http://{address[0]}:{address[1]}"
    password = host.environment.secret(PASSWORD)
    username = host.environment.get(USERNAME) or DEFAULT_USERNAME
    credentials = (username, password) if password else None
    answer = host.probe_http(url + AUTHENTICATED, seconds=SECONDS, credentials=credentials)
    if answer.failure:
        return Answered(_evidence(Verdict.BAD, f"the API does not answer: {answer.failure}"))
    # The flow in it may be longer than what is read of an answer.
    genuine = "results" in _object(answer.body) if answer.whole else _RESULTS.match(answer.body)
    if answer.status == 200 and not genuine:
        return Answered(
            _evidence(Verdict.BAD, "an authenticated API call answered 200 with something that is not Kestra's")
        )
    if answer.status == 200:
        return Answered(
            _evidence(Verdict.OK, "an authenticated API call answered 200"), _version(_open(host, url + CONFIGS))
        )
    if answer.status != 401:
        return Answered(_evidence(Verdict.BAD, f"an authenticated API call answered {answer.status}"))
    configs = _open(host, url + CONFIGS)
    version = _version(configs)
    if configs.get("isBasicAuthInitialized") is False:
        errors = host.probe_http(url + AUTH_ERRORS, seconds=SECONDS)
        reasons = _reasons(errors.body) or "no credentials were configured"
        detail = f"Kestra runs without a login, and whoever comes first can set one: {host.redact(reasons)}"
        return Answered(_evidence(Verdict.BAD, detail), version, refused=True)
    detail = f"Kestra refuses the credentials ({USERNAME}, {PASSWORD}): 401; they hold from its next start"
    return Answered(_evidence(Verdict.BAD, detail), version, refused=True)


def version(host: Host) -> str | None:
    """What a running Kestra says that it is; None where none answers."""
    address = KESTRA.address(KESTRA.status(host), 8080)
    return _version(_open(host, f"http://{address[0]}:{address[1]}{CONFIGS}")) if address else None


def _open(host: Host, url: str) -> dict[str, object]:
    return _object(host.probe_http(url, seconds=SECONDS).body)


def _object(body: str) -> dict[str, object]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _version(configs: dict[str, object]) -> str | None:
    version = configs.get("version")
    return version if isinstance(version, str) else None


def _reasons(body: str) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    return "; ".join(map(str, found)) if isinstance(found, list) else ""


def _evidence(verdict: Verdict, detail: str) -> Evidence:
    return Evidence(layer="application", verdict=verdict, detail=detail)
