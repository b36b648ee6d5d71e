"""What `launcher doctor` says of Kestra and its PostgreSQL beyond what every container needs."""

from __future__ import annotations

from collections.abc import Iterator

from service_launcher import ConfigurationError, Finding, Host, Problem

from launcher_kestra import database, probe, versions
from launcher_kestra.services import KESTRA, PRIVILEGES

#: With less it is killed under load; 512 MiB runs simple flows (measured).
LOW_LIMIT_BYTES = 1 << 30
#: What Kestra's documentation asks for: 4 GiB and two processors.
WANTED_BYTES, WANTED_CPUS = 4 << 30, 2
SOCKET = "/var/run/docker.sock"  # where it stands in the container
IMAGE = "KESTRA_IMAGE"
UPGRADE = f"{IMAGE}=kestra/kestra:v1.3.38 or newer in .env, then launcher start kestra"
DATA = database.VOLUME
STAND_IN = "local/kestra-rehearsal:"


def of_kestra(host: Host) -> Iterator[Finding]:
    """Version, privileges and memory."""
    yield from _version(host)
    yield _privileges(host)
    yield from _memory(host)


def of_database(host: Host) -> Iterator[Finding]:
    """Whether the image can read the data that is there: PostgreSQL writes its major version beside them."""
    wanted = database.image_major(host)
    if DATA not in host.engine.volumes() or wanted is None:
        return
    try:
        written = database.data_major(host)
    except OSError as error:
        written = database.last_major(host)
        if written in (None, wanted):
            words = f"the version of the data in {DATA} cannot be read: {error.strerror}"
            yield _finding("data", "warn", words, "sudo launcher doctor, on the machine of the Docker Engine")
            return
    if written is None:
        yield _finding("data", "pass", f"the volume {DATA} holds no data yet")
    elif written == wanted:
        yield _finding("data", "pass", f"the data in {DATA} are of PostgreSQL {written}, and so is the image")
    else:
        words = f"the data in {DATA} are of PostgreSQL {written}, the image is {wanted} and will not start on them"
        fix = f"KESTRA_POSTGRES_IMAGE=postgres:{written} in .env; another major needs a dump and a restore"
        yield _finding("data", "fail", words, fix)


def holes_of_image(host: Host) -> list[Problem]:
    """What a start warns of: holes of the version that the image's tag names, and a rolling tag."""
    image = KESTRA.value(host, IMAGE)
    version = versions.parse(versions.tag(image))
    found = _holes(version) if version else []
    if turns := versions.rolling(image):
        found.append(f"{image} {turns}")
    return [Problem(severity="warn", summary=words, fix=UPGRADE) for words in found]


def _version(host: Host) -> Iterator[Finding]:
    """What the running Kestra says of itself counts, else the tag of the image that a start would take."""
    image = KESTRA.value(host, IMAGE)
    said = probe.version(host)
    named = said or versions.tag(image)
    version = versions.parse(named)
    if said == "rehearsal" or (said is None and image.startswith(STAND_IN)):
        yield _finding("version", "pass", "a rehearsal stand-in runs or would be started: it is not Kestra")
    elif version is None:
        words = f"which version {image} is cannot be told before it runs"
        yield _finding("version", "warn", words, "name an exact version in .env")
    elif version < (1, 0, 0):
        yield _finding("version", "fail", f"Kestra {named} gets no fixes, and 0.20 starts without a login", UPGRADE)
    else:
        found = _holes(version)
        yield from (_finding("version", "fail", words, UPGRADE) for words in found)
        if not found and (why := versions.doubt(version)):
            yield _finding("version", "warn", f"Kestra {named}: {why}", UPGRADE)
        elif not found:
            yield _finding("version", "pass", f"Kestra {named} has no hole that is known here")


def _holes(version: versions.Version) -> list[str]:
    return [f"Kestra {versions.text(version)} has a known hole: {hole}" for hole in versions.holes(version)]


def _privileges(host: Host) -> Finding:
    """As the container is; without one, as a start would make it."""
    container = KESTRA.container(host)
    detail = host.engine.detail(container.id) if container else None
    hardened = host.environment.get(PRIVILEGES) == "hardened"
    socket = any(mount.target == SOCKET for mount in detail.mounts) if detail else not hardened
    verb = "runs" if detail else "would run"
    if detail and hardened and socket:
        words = "Kestra still runs as root with the Docker socket: it was made before KESTRA_PRIVILEGES=hardened"
        return _finding("privileges", "warn", words, "launcher start kestra")
    if not socket:
        return _finding("privileges", "pass", f"Kestra {verb} as its own user, without the Docker socket")
    words = f"Kestra {verb} as root with the Docker socket: whoever may write flows is root on this machine"
    return _finding("privileges", "warn", words, f"{PRIVILEGES}=hardened in .env, where no task needs a container")


def _memory(host: Host) -> Iterator[Finding]:
    try:
        limit = int(KESTRA.compose(host).config()["services"][KESTRA.service].get("mem_limit") or 0)
    except ConfigurationError:
        limit = 0  # preflight says what compose refuses
    engine = host.engine.facts()
    if 0 < limit < LOW_LIMIT_BYTES:
        words = f"KESTRA_MEMORY_LIMIT is {limit >> 20} MiB; under 1 GiB Kestra is killed as soon as it has work"
        yield _finding("memory", "warn", words, "KESTRA_MEMORY_LIMIT=4g in .env, or unset it")
    elif limit:
        yield _finding("memory", "pass", f"Kestra may take {limit >> 20} MiB, half of it as heap")
    if engine.memory_bytes < WANTED_BYTES or engine.cpus < WANTED_CPUS:
        has = f"{engine.memory_bytes >> 20} MiB and {engine.cpus} processors"
        words = f"the machine of the containers has {has}; Kestra asks for 4 GiB and 2"
        yield _finding("memory", "warn", words, "a larger machine")


def _finding(check: str, verdict: str, summary: str, fix: str = "") -> Finding:
    return Finding.model_validate({"check": check, "verdict": verdict, "summary": summary, "fix": fix})
