"""The documents that older dashboards read: they know the words ok, degraded and down; richer truth has extra keys."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from service_launcher.health import WORDS, Word
from service_launcher.models import Link, ServiceState
from service_launcher.web.stream import View

ORDER = {"down": 0, "degraded": 1, "ok": 2, "skipped": 3, "unmanaged": 4}
PORT_WORDS = {"ok": "healthy", "down": "unhealthy", "degraded": "unhealthy"}


class Shape(BaseModel):
    """Keys in the old API's spelling."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True)


class Details(Shape):
    """What stands behind a status: always a sentence, and where a person can look."""

    message: str
    health_url: str | None
    evidence: list[dict[str, Any]] = Field(default_factory=list)


class OneStatus(Shape):
    """A service in the old words; `state` is the launcher's own, `counted` whether it is in the totals."""

    id: str
    name: str
    description: str
    category: str
    port: int | None
    status: Word
    latency_ms: int | None
    updated_at: datetime
    details: Details
    state: ServiceState
    container: str | None
    stack: str | None
    counted: bool
    links: list[Link]


class StatusDocument(Shape):
    """`GET /api/status`; sorted down, degraded, ok, then by name. What is not counted is in no total."""

    overall_status: Literal["ok", "degraded", "down"]
    total_services: int
    degraded_count: int
    down_count: int
    average_latency_ms: int | None
    last_check_at: datetime
    services: list[OneStatus]


class PortHealth(Shape):
    """Whether what stands behind a port works, as the check of its service found."""

    is_healthy: bool
    response_time_ms: int | None
    last_checked: datetime


class OnePort(Shape):
    """A port of this machine and whose it is."""

    port: int
    service: dict[str, Any]
    status: Literal["healthy", "unhealthy", "unknown"]
    health: PortHealth
    urls: list[str]


class PortStats(Shape):
    """How many ports stand how."""

    total: int
    healthy: int
    unhealthy: int
    by_category: dict[str, int]


class PortsDocument(Shape):
    """`GET /api/ports`."""

    success: Literal[True] = True
    timestamp: datetime
    duration_ms: int
    stats: PortStats
    ports: list[OnePort]


def status_document(view: View) -> StatusDocument:
    """The status of everything, as the old dashboard reads it."""
    services = [_one(view, document) for document in view.services.values()]
    services.sort(key=lambda s: (ORDER[s.status], s.name, s.id))
    counted = [s for s in services if s.counted]
    words = Counter(s.status for s in counted)
    latencies = [s.latency_ms for s in counted if s.latency_ms is not None]
    return StatusDocument(
        # A check of nothing is never healthy.
        overall_status="down" if words["down"] else "degraded" if words["degraded"] or not counted else "ok",
        total_services=len(counted),
        degraded_count=words["degraded"] + words["down"],
        down_count=words["down"],
        average_latency_ms=round(sum(latencies) / len(latencies)) if latencies else None,
        last_check_at=view.at,
        services=services,
    )


def ports_document(view: View) -> PortsDocument:
    """Every port of the services and how what is behind it stands."""
    ports = []
    for document in view.services.values():
        current, word = document["current"], WORDS[document["state"]]
        own = {"id": document["id"], "name": document["title"], "category": document["type"]}
        linked = [link["url"] for link in current["links"]]
        numbers = {port["port"] for port in current["ports"]} or {document["port"]} - {None}
        unknown = document["state"] in (ServiceState.UNKNOWN, ServiceState.UNMANAGED, ServiceState.SKIPPED)
        for number in sorted(numbers):
            ports.append(
                OnePort.model_validate(
                    {
                        "port": number,
                        "service": own,
                        "status": "unknown" if unknown else PORT_WORDS[word],
                        "health": PortHealth(
                            is_healthy=word == "ok", response_time_ms=document["latency_ms"], last_checked=view.at
                        ),
                        "urls": [url for url in linked if f":{number}" in url],
                    }
                )
            )
    states, categories = Counter(p.status for p in ports), Counter(str(p.service["category"]) for p in ports)
    stats = PortStats(
        total=len(ports), healthy=states["healthy"], unhealthy=states["unhealthy"], by_category=dict(categories)
    )
    longest = max((d["latency_ms"] or 0 for d in view.services.values()), default=0)
    return PortsDocument(timestamp=view.at, duration_ms=longest, stats=stats, ports=ports)


def _one(view: View, document: dict[str, Any]) -> OneStatus:
    current = document["current"]
    links = [Link.model_validate(link) for link in current["links"]]
    linked = next((p["port"] for p in current["ports"] if any(f":{p['port']}" in link.url for link in links)), None)
    return OneStatus(
        id=document["id"],
        name=document["title"],
        description=document.get("note") or document["title"],
        category=document["type"],
        port=linked or document["port"],
        status=WORDS[document["state"]],
        latency_ms=document["latency_ms"],
        updated_at=view.at,
        details=Details(
            message=current["message"],
            health_url=links[0].url if links else None,
            evidence=current["evidence"],
        ),
        state=document["state"],
        container=current["container"],
        stack=document["stack"],
        counted=current["counted"],
        links=links,
    )
