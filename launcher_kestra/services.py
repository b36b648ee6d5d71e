"""Kestra and its PostgreSQL, described: what they are called, where they live, and every variable that they read."""

from __future__ import annotations

import re
from pathlib import Path

from service_launcher import Compose, ComposeService, Host, Variable

FILE = "tools/compose/docker-compose.tools.yml"
HARDENED_FILE = "tools/compose/docker-compose.tools.hardened.yml"

USERNAME = "KESTRA_BASICAUTH_USERNAME"
PASSWORD = "KESTRA_BASICAUTH_PASSWORD"
DEFAULT_USERNAME = "admin@kestra.local"
DATABASE_NAME = "KESTRA_DB_NAME"
DATABASE_USER = "KESTRA_DB_USER"
DATABASE_PASSWORD = "KESTRA_DB_PASSWORD"
DATA_TARGET = "KESTRA_POSTGRES_DATA_TARGET"
PRIVILEGES = "KESTRA_PRIVILEGES"
SKIP = "SKIP_KESTRA_AUTO_START"
OLD_SKIP = "SKIP_Kestra_AUTO_START"

VARIABLES = (
    Variable(name="KESTRA_POSTGRES_IMAGE", default="postgres:17", meaning="image of the database"),
    Variable(name=DATABASE_NAME, default="kestra", initial="kestra", meaning="name of the database"),
    Variable(name=DATABASE_USER, default="kestra", initial="kestra", meaning="user of the database"),
    Variable(name=DATABASE_PASSWORD, kind="password", required=True, meaning="password of the database's user"),
    Variable(name=DATA_TARGET, default="/var/lib/postgresql/data", meaning="folder of the data in the container; by image from PostgreSQL 18 on"),
    Variable(name="KESTRA_IMAGE", default="kestra/kestra:latest", meaning="image of Kestra; production pins a version"),
    Variable(name="KESTRA_PULL_POLICY", default="missing", meaning="always, missing or never"),
    Variable(name=USERNAME, default=DEFAULT_USERNAME, initial=DEFAULT_USERNAME, meaning="user of Kestra's page and API: an e-mail address with a dot after the @"),
    Variable(name=PASSWORD, kind="password", required=True, meaning="password for Kestra's page and API: 8 to 256 characters with lower and upper case and a digit, no white space"),
    Variable(name="KESTRA_HTTP_PORT", default="8080", meaning="port of Kestra's page and API"),
    Variable(name="KESTRA_MANAGEMENT_PORT", default="8081", meaning="port of Kestra's health and metrics"),
    Variable(name="KESTRA_BIND_ADDRESS", default="127.0.0.1", meaning="address on which both ports are published"),
    Variable(name="KESTRA_STORAGE_DIR", default="../kestra/storage", meaning="Kestra's storage; absolute when set (default tools/kestra/storage)"),
    Variable(name="KESTRA_WORKDIR_DIR", default="../kestra/workdir", meaning="working folder of tasks; absolute when set (default tools/kestra/workdir)"),
    Variable(name="KESTRA_CONTAINER_NAME", default="tools-kestra", meaning="name of Kestra's container"),
    Variable(name="KESTRA_DOCKER_NETWORK", kind="network", default="tradingsystem_backend", meaning="shared network, created by launcher init and start"),
    Variable(name="KESTRA_DOCKER_SOCKET", default="/var/run/docker.sock", meaning="socket of the Docker Engine that runs tasks in containers"),
    Variable(name="KESTRA_MEMORY_LIMIT", meaning="memory limit such as 4g; half of it becomes the heap (unset: no limit)"),
    Variable(name="KESTRA_JAVA_OPTS", meaning="more options for the JVM"),
    Variable(name=PRIVILEGES, default="docker", meaning="docker (root and the Docker socket) or hardened (neither)"),
    Variable(name="LAUNCHER_INSTALLATION_ID", kind="identifier", meaning="label of the containers: which installation made them"),
    Variable(name=SKIP, meaning="1, true, yes, on: a start by phase leaves Kestra out"),
    Variable(name=OLD_SKIP, meaning="older spelling of SKIP_KESTRA_AUTO_START"),
)  # fmt: skip


class ToolsService(ComposeService):
    """A service of the tools file: adds the hardened file and the place of PostgreSQL's data."""

    def files(self, host: Host) -> tuple[Path, ...]:
        """The tools file, and the hardened one when it is asked for."""
        hardened = host.environment.get(PRIVILEGES) == "hardened"
        return (*super().files(host), *([self.locate(host, HARDENED_FILE)] if hardened else []))

    def compose(self, host: Host, **more: str) -> Compose:
        """The service in compose; PostgreSQL 18 and newer keep their data one folder higher."""
        if (postgres_major(host) or 0) >= 18 and not host.environment.get(DATA_TARGET):
            more = {DATA_TARGET: "/var/lib/postgresql"} | more
        return super().compose(host, **more)


def postgres_major(host: Host) -> int | None:
    """The major version of PostgreSQL that its image's tag names."""
    return tagged_major(host.environment.get("KESTRA_POSTGRES_IMAGE") or "postgres:17")


def tagged_major(image: str) -> int | None:
    """The major version in an image's tag; neither the port of a registry nor a digest or id is one."""
    if image.startswith("sha256:"):
        return None
    major = re.search(r":v?(\d+)", image.rpartition("/")[2].partition("@")[0])
    return int(major[1]) if major else None


POSTGRES = ToolsService(
    id="kestra-postgres",
    title="Kestra PostgreSQL",
    service="tools-kestra-postgres",
    tier="database",
    project="tools",
    file=FILE,
    package="launcher_kestra",
    path="tools/kestra",
    variables=VARIABLES,
    networks=("KESTRA_DOCKER_NETWORK",),
    start_seconds=180,
    grace_seconds=60,
)

KESTRA = ToolsService(
    id="kestra-orchestrator",
    title="Kestra Orchestrator",
    aliases=("kestra",),
    service="kestra",
    project="tools",
    file=FILE,
    package="launcher_kestra",
    path="tools/kestra",
    depends_on=("kestra-postgres",),
    variables=VARIABLES,
    published={8080: "KESTRA_HTTP_PORT", 8081: "KESTRA_MANAGEMENT_PORT"},
    link_port=8080,
    folders=("KESTRA_STORAGE_DIR", "KESTRA_WORKDIR_DIR"),
    networks=("KESTRA_DOCKER_NETWORK",),
    caches=("/app/cds",),
    status_script="tools/kestra/scripts/status.sh",
    start_seconds=300,
    grace_seconds=360,
)
