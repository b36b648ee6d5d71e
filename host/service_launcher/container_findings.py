"""What every container needs to live long: a restart policy that brings it back, bounded logs, an image of today."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service_launcher.containers import Detail, EngineFacts, ImageFacts
from service_launcher.models import Finding, now

#: PostgreSQL, like most, publishes mended versions every three months; two of these are missed by then.
OLD_IMAGE_DAYS = 180
#: moby 45610, mended in Engine 28.0.
LOOPBACK_IS_A_BOUNDARY = 28
#: These drivers have a limit of their own or hand the lines to somebody who has.
BOUNDED_DRIVERS = ("local", "journald", "syslog", "none")


@dataclass(frozen=True)
class Made:
    """How a container is made, as the engine tells of one that is there, or compose of one that is to come."""

    service: str
    restart: str
    log_driver: str
    log_options: Mapping[str, str]

    @classmethod
    def by_engine(cls, service: str, detail: Detail) -> Made:
        """From the inspection of a container."""
        return cls(service, detail.restart_policy, detail.log_driver, detail.log_options)

    @classmethod
    def by_compose(cls, service: str, rendered: Mapping[str, Any]) -> Made:
        """From a service of the rendered project; the engine's own log driver counts where none is named."""
        logging = rendered.get("logging") or {}
        options = logging.get("options") or {}
        return cls(service, rendered.get("restart") or "no", logging.get("driver") or "json-file", options)


def restart(made: Made, engine: EngineFacts) -> Finding:
    """Whether the container comes back after the engine has crashed.

    After SIGKILL of dockerd 26.1 containers with `unless-stopped` stay down and those with `always` come back; with
    live-restore they go on running (measured).
    """
    policy = made.restart.partition(":")[0]

    def finding(verdict: Any, words: str, fix: str = "") -> Finding:
        summary = f"{made.service}: restart policy {policy} {words}"
        return Finding(check="restart", verdict=verdict, summary=summary, fix=fix)

    if policy == "always":
        return finding("pass", "brings it back after a crash of the engine")
    if policy == "unless-stopped" and engine.live_restore:
        return finding("pass", "brings it back, and live-restore keeps it running through a crash of the engine")
    if policy == "unless-stopped":
        fix = '"live-restore": true in /etc/docker/daemon.json, or launcher start after such a crash'
        return finding("warn", "does not bring it back after the engine was killed (a clean stop is fine)", fix)
    words = (
        "does not bring it back after it ended" if policy == "no" else "leaves it down when it ends with exit code 0"
    )
    return finding("warn", words, "restart: unless-stopped in the compose file")


def logs(made: Made) -> Finding:
    """Whether the container's log has a limit."""
    limit = made.log_options.get("max-size")
    if limit:
        files = made.log_options.get("max-file", "1")
        return _pass("logs", f"{made.service}: its log is limited to {files} files of {limit}")
    if made.log_driver in BOUNDED_DRIVERS:
        return _pass("logs", f"{made.service}: its log driver {made.log_driver} keeps no file without a limit")
    return Finding(
        check="logs",
        verdict="warn",
        summary=f"{made.service}: its log has no limit ({made.log_driver}) and can fill the disk",
        fix="logging: {driver: json-file, options: {max-size: 10m, max-file: 3}} in the compose file",
    )


def image(service: str, name: str, facts: ImageFacts | None) -> Iterator[Finding]:
    """How old the image is, and whether its name can mean another one tomorrow."""
    tag = name.rpartition("/")[2].partition(":")[2]
    if "@" not in name and tag in ("", "latest"):
        yield Finding(
            check="image",
            verdict="warn",
            summary=f"{service}: {name} is a rolling tag: the next pull can be another major version",
            fix="name an exact version in .env",
        )
    if facts is None:
        yield _pass("image", f"{service}: {name} is not on this machine yet; a start fetches it")
    elif facts.created_at is not None:
        days = (now() - facts.created_at).days
        if days > OLD_IMAGE_DAYS:
            summary = f"{service}: {name} was made {days} days ago; newer ones may mend holes"
            yield Finding(check="image", verdict="warn", summary=summary, fix=f"docker pull {name}, or a newer version")
        else:
            yield _pass("image", f"{service}: {name} was made {days} days ago")


def loopback(engine: EngineFacts) -> str | None:
    """Why a port published on loopback can be reached from outside, if it can."""
    major = engine.version.partition(".")[0]
    if not major.isdigit() or int(major) >= LOOPBACK_IS_A_BOUNDARY:
        return None
    return (
        f"Docker Engine {engine.version} lets neighbours on the same network reach ports published on 127.0.0.1; "
        f"{LOOPBACK_IS_A_BOUNDARY}.0 and newer do not"
    )


def _pass(check: str, summary: str) -> Finding:
    return Finding(check=check, verdict="pass", summary=summary)


def privileges(service: str, breaches: Iterable[str]) -> Iterator[Finding]:
    """What a container can do to the machine, as `policy.breaches` tells."""
    for words in breaches:
        fix = "leave that out of the compose file, or trust whoever controls the service as root"
        yield Finding(check="policy", verdict="warn", summary=f"{service} {words}", fix=fix)
