"""Examples for the OpenAPI document; the tests hold them against what is really answered."""

from __future__ import annotations

from typing import Any

ERROR: dict[str, Any] = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["success", "error", "category", "message"],
            "properties": {
                "success": {"const": False},
                "error": {"type": "string"},
                "category": {
                    "enum": ["docker-down", "port-conflict", "permission", "config", "busy", "plugin", "unknown"]
                },
                "message": {"type": "string"},
                "fallbackCommand": {"type": "string"},
            },
        },
        "example": {
            "success": False,
            "error": "Conflict",
            "category": "busy",
            "message": "tools is held by operator (web) (pid 4242): start ledger. Try: wait for it to end",
            "fallbackCommand": "launcher start ledger",
        },
    }
}

OPERATION: dict[str, Any] = {
    "id": "3f9a1c0b77de",
    "action": "start",
    "services": ["ledger"],
    "phases": [],
    "actor": "operator (web)",
    "command": "launcher start ledger",
    "state": "running",
    "cancelling": False,
    "created_at": "2026-01-31T12:00:00+00:00",
    "finished_at": None,
    "progress": [
        {
            "service": "ledger",
            "phase": "pulling",
            "message": "example/ledger:1",
            "done_bytes": 104857600,
            "total_bytes": 524288000,
            "since": "2026-01-31T12:00:01+00:00",
        }
    ],
    "outcomes": [],
    "problems": [],
    "exit_code": None,
    "category": None,
    "message": None,
    "fix": None,
}

SERVICE: dict[str, Any] = {
    "id": "ledger",
    "title": "Ledger",
    "type": "tools",
    "stack": "tools",
    "aliases": ["book"],
    "depends_on": ["ledger-database"],
    "dependants": [],
    "state": "ready",
    "message": "the API answers with our credentials",
    "latency_ms": 14,
    "commands": {
        "start": "launcher start ledger",
        "stop": "launcher stop ledger",
        "restart": "launcher restart ledger",
    },
    "current": {"id": "ledger", "state": "ready", "container": "running"},
}

STATUS: dict[str, Any] = {
    "overallStatus": "ok",
    "totalServices": 1,
    "degradedCount": 0,
    "downCount": 0,
    "averageLatencyMs": 14,
    "lastCheckAt": "2026-01-31T12:00:00Z",
    "services": [
        {
            "id": "ledger",
            "name": "Ledger",
            "description": "Ledger",
            "category": "tools",
            "port": 8080,
            "status": "ok",
            "latencyMs": 14,
            "updatedAt": "2026-01-31T12:00:00Z",
            "details": {
                "message": "the API answers with our credentials",
                "healthUrl": "http://localhost:8080",
                "evidence": [],
            },
            "state": "ready",
            "container": "running",
            "stack": "tools",
            "counted": True,
            "links": [{"title": "Ledger", "url": "http://localhost:8080"}],
        }
    ],
}

SSE = (
    'id: 5b1f00aa-7\nevent: change\ndata: {"read_at":"2026-01-31T12:00:00+00:00",'
    '"services":[{"id":"ledger","state":"ready"}]}\n\n'
)


def _answer(example: object, kind: str = "application/json") -> dict[str, Any]:
    return {"description": "Answered", "content": {kind: {"example": example}}}


#: By method and path.
ANSWERS: dict[str, dict[str, Any]] = {
    "GET /health": _answer({"status": "ok", "service": "service-launcher-api"}),
    "GET /metrics": _answer(
        'service_launcher_service_status{service_id="ledger",service_name="Ledger"} 1.0\n',
        "text/plain",
    ),
    "GET /api/status": _answer(STATUS),
    "GET /api/services": _answer([SERVICE]),
    "GET /api/services/{service}": _answer(SERVICE),
    "GET /api/events": _answer(SSE, "text/event-stream"),
    "GET /api/services/{service}/logs": _answer(
        '{"time": "2026-01-31T12:00:00+00:00", "service": "ledger", "text": "Ledger started"}\n',
        "application/x-ndjson",
    ),
    "GET /api/timeline": _answer(
        [
            {
                "time": "2026-01-31T12:00:00Z",
                "operation": None,
                "service": "ledger",
                "what": "container.died",
                "actor": "engine",
                "detail": {"exit_code": 137, "container": "tools-ledger"},
            }
        ]
    ),
    "GET /api/operations": _answer([OPERATION]),
    "GET /api/operations/{operation}": _answer(OPERATION),
    "POST /api/operations/{operation}/cancel": _answer({**OPERATION, "cancelling": True}),
    "POST /api/services/{service}/start": _answer(OPERATION),
    "POST /api/services/{service}/stop": _answer({**OPERATION, "action": "stop"}),
    "POST /api/services/{service}/restart": _answer({**OPERATION, "action": "restart"}),
    "POST /api/stacks/{stack}/start": _answer({**OPERATION, "services": [], "phases": ["tools"]}),
    "POST /api/stacks/{stack}/stop": _answer({**OPERATION, "action": "stop", "services": [], "phases": ["tools"]}),
    "POST /api/auto-start/{service}": _answer(
        {
            "success": True,
            "message": "ledger is being started: GET /api/operations/3f9a1c0b77de",
            "serviceId": "ledger",
        }
    ),
    "POST /api/codes": _answer({"code": "…", "role": "operator"}),
}
