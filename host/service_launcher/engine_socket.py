"""Short questions to a Docker Engine through its socket on this machine.

The docker SDK would do; importing it took a quarter of `launcher status`.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from functools import cached_property
from urllib.parse import urlencode


class NoAnswer(Exception):
    """Why there is no answer."""


class EngineSocket:
    """A socket and the API version of the engine behind it. Each question has a connection of its own.

    Raises NoAnswer when nobody answers, or somebody as no engine does.
    """

    def __init__(self, path: str, seconds: float) -> None:
        self._path, self._seconds = path, seconds

    def get(self, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        """HTTP status and body of a resource of the Engine API, such as `/containers/json`."""
        response, body = self._get(f"/v{self.api_version}{path}?{urlencode(query)}")
        return response.status, body

    @cached_property
    def api_version(self) -> str:
        """The newest that the engine speaks, from its answer to a ping."""
        version = self._get("/_ping")[0].headers["Api-Version"]
        if not version:
            raise NoAnswer("what answers is no Docker Engine")
        return version

    def _get(self, target: str) -> tuple[http.client.HTTPResponse, bytes]:
        connection = _Connection(self._path, self._seconds)
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
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def explanation(body: bytes) -> str:
    """Why the engine refuses, out of its answer."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, LookupError, TypeError):
        return "it does not say why"
