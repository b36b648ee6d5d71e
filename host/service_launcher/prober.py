"""Asks an application over HTTP or TCP whether it answers; every question has a deadline and a size limit."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

MAX_BYTES = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """What came back: an HTTP status and body (`""` for TCP), or the reason why nothing did.

    Of a body that is longer than 64 KiB there is only the beginning, and `whole` is false.
    """

    status: int | None
    body: str = ""
    failure: str = ""
    whole: bool = True

    @property
    def ok(self) -> bool:
        """Whether the answer was a success."""
        return self.status is not None and 200 <= self.status < 300


def http(
    url: str,
    *,
    seconds: float = 2.0,
    credentials: tuple[str, SecretStr] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """GET a URL without following redirects; reads 64 KiB at most. Never raises for what the other side does."""
    import urllib3

    sent = dict(headers or {})
    if credentials is not None:
        user, password = credentials
        # urllib3's helper encodes as latin-1; servers of today expect UTF-8.
        sent["Authorization"] = _basic(user, password)
    began = time.monotonic()
    pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=seconds))
    try:
        response = pool.request("GET", url, headers=sent, redirect=False, preload_content=False)
        try:
            body = b""
            while len(body) < MAX_BYTES and (piece := response.read1(MAX_BYTES - len(body), decode_content=False)):
                if time.monotonic() - began > seconds:  # the timeout is for each piece, and there may be many
                    return Answer(None, failure=f"no answer within {seconds:g} s")
                body += piece
            return Answer(response.status, body.decode("utf-8", "replace"), whole=len(body) < MAX_BYTES)
        finally:
            response.close()
    except urllib3.exceptions.HTTPError as error:
        return Answer(None, failure=_plain(error, seconds))
    finally:
        pool.clear()


def tcp(address: str, port: int, *, seconds: float = 1.0) -> Answer:
    """Connect and hang up; an IPv6 address may stand in brackets. Status 200 stands for an accepted connection."""
    try:
        with socket.create_connection((address.strip("[]"), port), timeout=seconds):
            return Answer(200)
    except OSError as error:
        return Answer(None, failure=error.strerror or "timed out")


def _basic(user: str, password: SecretStr) -> str:
    from base64 import b64encode

    return "Basic " + b64encode(f"{user}:{password.get_secret_value()}".encode()).decode()


def _plain(error: Exception, seconds: float) -> str:
    text = repr(error)
    if "timed out" in text or "Timeout" in text:
        return f"no answer within {seconds:g} s"
    if "refused" in text:
        return "connection refused"
    if "RemoteDisconnected" in text or "reset" in text or "ProtocolError" in text:
        return "the connection was closed without an answer"
    return type(error).__name__
