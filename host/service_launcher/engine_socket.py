"""Short questions to a Docker Engine through its socket on this machine.

The docker SDK would do; importing it took a quarter of `launcher status`.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode


class NoAnswer(Exception):
    """Why there is no answer."""


class EngineSocket:
    """A socket, and the newest API version of the engine behind it (empty before the first answer).

    Each question has a connection of its own, and `seconds` for the whole answer. Raises NoAnswer when nobody answers,
    or somebody as no engine does.
    """

    def __init__(self, path: str, seconds: float) -> None:
        self._path, self._seconds = path, seconds
        self.api_version = ""

    def get(self, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        """HTTP status and body of a resource of the Engine API, such as `/containers/json`."""
        deadline = time.monotonic() + self._seconds
        if not self.api_version:
            version = self._get("/_ping", deadline)[0].headers["Api-Version"]
            if not version:
                raise NoAnswer("what answers is no Docker Engine")
            self.api_version = version
        response, body = self._get(f"/v{self.api_version}{path}?{urlencode(query)}", deadline)
        return response.status, body

    def _get(self, target: str, deadline: float) -> tuple[http.client.HTTPResponse, bytes]:
        connection = _Connection(self._path, deadline)
        try:
            connection.request("GET", target)
            response = connection.getresponse()
            return response, response.read()
        except OSError as error:
            raise NoAnswer(error.strerror or str(error)) from error
        except http.client.HTTPException as error:  # its text may be whatever came over the line
            raise NoAnswer(f"its answer is cut off or no HTTP: {type(error).__name__}") from error
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, deadline: float) -> None:
        super().__init__("localhost")
        self._path, self._deadline = path, deadline

    def connect(self) -> None:
        self.sock = _Impatient(socket.AF_UNIX)
        self.sock.deadline = self._deadline
        self.sock.settimeout(self.sock.left())
        self.sock.connect(self._path)


class _Impatient(socket.socket):
    """Waits until a deadline for all that it receives, and not for each piece anew."""

    deadline = 0.0

    def left(self) -> float:
        return max(self.deadline - time.monotonic(), 0.001)

    def recv_into(self, *arguments: Any, **named: Any) -> int:
        self.settimeout(self.left())
        return super().recv_into(*arguments, **named)


def explanation(body: bytes) -> str:
    """Why the engine refuses, out of its answer."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, LookupError, TypeError):
        return "it does not say why"
