"""Health as Prometheus reads it, under the names that alerts already use."""

from __future__ import annotations

from collections.abc import Mapping

from service_launcher.health_records import HealthReport

VALUES: Mapping[str, float] = {"ok": 1, "degraded": 0.5, "down": 0, "healthy": 1, "critical": 0}


def exposition(report: HealthReport, launches: Mapping[tuple[str, str, str], int] | None = None) -> str:
    """The report in Prometheus' text format; what is not counted is left out.

    `launches` counts starts by service, way and outcome, for a process that lives long enough to count.
    """
    from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

    registry = CollectorRegistry()

    def gauge(name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"service_launcher_{name}", meaning, labels, registry=registry)

    overall = gauge("overall_status", "Health of everything: 1 healthy, 0.5 degraded, 0 critical")
    overall.set(VALUES[report.overall_health])
    service = ("service_id", "service_name")
    status = gauge("service_status", "Health of a service: 1 ok, 0.5 degraded, 0 down", *service)
    seconds = gauge("health_check_duration_seconds", "How long the check of a service took", *service)
    for found in report.local_services:
        if found.counted:
            status.labels(found.name, found.title).set(VALUES[found.health])
            seconds.labels(found.name, found.title).set(found.latency_seconds)
    container = ("service_id", "container")
    cpu = gauge("container_cpu_percent", "Processor time of a container; 100 is one core", *container)
    memory = gauge("container_memory_bytes", "Memory of a container without the file cache", *container)
    limit = gauge("container_memory_limit_bytes", "Memory that a container can have at most", *container)
    for used in report.docker_containers:
        if used.cpu_percent is not None and used.memory_bytes is not None and used.memory_limit_bytes is not None:
            labels = (used.service_name, used.name)
            cpu.labels(*labels).set(used.cpu_percent)
            memory.labels(*labels).set(used.memory_bytes)
            limit.labels(*labels).set(used.memory_limit_bytes)
    if launches is not None:
        way = ("service_name", "method", "status")
        total = Counter("service_launcher_launch_total", "Starts since the server began", way, registry=registry)
        for key, number in launches.items():
            total.labels(*key).inc(number)
    return generate_latest(registry).decode()
