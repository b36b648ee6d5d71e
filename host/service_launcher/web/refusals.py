"""Errors as HTTP knows them: a status, one of the categories that dashboards read, a sentence, the next command."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Literal

from starlette.responses import JSONResponse

from service_launcher.errors import (
    Busy,
    ConfigurationError,
    EngineUnavailable,
    Interrupted,
    LauncherError,
    PluginFailed,
    PreflightRefused,
    UnknownPhase,
    UnknownService,
)

Category = Literal["docker-down", "port-conflict", "permission", "config", "busy", "plugin", "unknown"]

#: The words of preflight and of explanations for a port that somebody else has.
_PORT_TAKEN = re.compile(r"\bport \d+\b.*\b(?:is|was) taken\b")


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(
        self, status: int, category: Category, message: str, fallback: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.category, self.message, self.fallback = status, category, message, fallback
        self.headers = headers or {}

    def response(self) -> JSONResponse:
        """The answer in the shape that old readers know."""
        return error_response(self.status, self.category, self.message, self.fallback, self.headers)


def error_response(
    status: int, category: Category, message: str, fallback: str = "", headers: dict[str, str] | None = None
) -> JSONResponse:
    """An error in the shape that old readers know."""
    body = {"success": False, "error": HTTPStatus(status).phrase, "category": category, "message": message}
    if fallback:
        body["fallbackCommand"] = fallback
    return JSONResponse(body, status, headers)


def refused(error: LauncherError, fallback: str = "") -> Refused:
    """What the launcher refused, as an answer; its exit code decides the status."""
    status, category = judged(error)
    message = f"{error.summary}. Try: {error.fix}" if error.fix else error.summary
    return Refused(status, category, message, fallback)


def judged(error: LauncherError | Interrupted) -> tuple[int, Category]:
    """Status and category of an error."""
    match error:
        case UnknownService() | UnknownPhase():
            return 404, "config"
        case ConfigurationError():
            return 422, "config"
        case Busy():
            return 409, "busy"
        case EngineUnavailable():
            return 503, "docker-down"
        case PluginFailed():
            return 502, "plugin"
        case PreflightRefused():
            return 409, category_of(error.summary)
    return 500, category_of(error.summary)


def category_of(sentence: str) -> Category:
    """The category that the launcher's words for a failed service mean."""
    if _PORT_TAKEN.search(sentence):
        return "port-conflict"
    if "ermission denied" in sentence:
        return "permission"
    return "plugin" if sentence.startswith("plugin ") else "unknown"
