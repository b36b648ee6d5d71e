"""What a compose file asks for beyond a container of its own; allowed, and said wherever an operator looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: Capabilities that open the machine; those that a service may well need (NET_BIND_SERVICE …) are not among them.
_CAPABILITIES = {"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "NET_ADMIN", "DAC_READ_SEARCH", "BPF"}
_NAMESPACES = {"network_mode": "network", "pid": "processes", "ipc": "shared memory", "userns_mode": "users"}


def breaches(service: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each way in which a service of a compose project reaches for the machine."""
    if service.get("privileged") in (True, "true"):
        yield "is privileged: it can do everything that root can on this machine"
    for volume in service.get("volumes") or ():
        source, target = _ends(volume)
        if "docker.sock" in source or "docker.sock" in target:
            yield "mounts the Docker socket: whoever controls it is root on this machine"
        elif source in ("/", "/etc", "/root", "/proc", "/sys", "/dev", "/var/lib/docker"):
            yield f"mounts {source} of this machine"
    for key, what in _NAMESPACES.items():
        if service.get(key) == "host":
            yield f"shares the machine's {what} ({key}: host)"
    if risky := sorted(_CAPABILITIES & {str(name).removeprefix("CAP_") for name in service.get("cap_add") or ()}):
        yield f"takes the capabilities {', '.join(risky)}"
    if service.get("devices"):
        yield f"uses devices of this machine ({len(service['devices'])})"


def _ends(volume: Any) -> tuple[str, str]:
    """Source and target of a volume in either of compose's ways to write one."""
    if isinstance(volume, str):
        parts = volume.rsplit(":", 2) if volume.endswith((":ro", ":rw", ":z", ":Z")) else volume.rsplit(":", 1)
        return parts[0], parts[1] if len(parts) > 1 else ""
    return str(volume.get("source") or ""), str(volume.get("target") or "")
