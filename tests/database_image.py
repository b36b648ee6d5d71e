"""An image of the database in which it is made already, which takes the longest part of a first start.

The stand-in for Kestra starts on it; the real Kestra always begins with PostgreSQL's own image and an empty volume.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.engines import PrivateEngine

POSTGRES = "local/postgres:17"
DATABASE_PASSWORD = "database1Password2of3tests"
MADE = "local/postgres:17-made"

_LABEL = "tests.made-from"
_CREDENTIALS = {"POSTGRES_DB": "kestra", "POSTGRES_USER": "kestra", "POSTGRES_PASSWORD": DATABASE_PASSWORD}
#: With other credentials, or on a volume with data, it does what PostgreSQL's own image does.
_ENTRYPOINT = f"""\
if [ "$POSTGRES_DB $POSTGRES_USER $POSTGRES_PASSWORD" = "{" ".join(_CREDENTIALS.values())}" ] &&
  [ ! -s "$PGDATA/PG_VERSION" ]; then
  cp -a /made/. "$PGDATA"
fi
exec docker-entrypoint.sh "$@"
"""


def provide(engine: PrivateEngine) -> None:
    """Make the image on an Engine that has PostgreSQL's own, by a first start of that one, unless it is there."""
    wanted = hashlib.sha256(f"{engine.inspect(POSTGRES, '{{.Id}}')} {_ENTRYPOINT}".encode()).hexdigest()
    label = f'{{{{index .Config.Labels "{_LABEL}"}}}}'
    if engine.docker("image", "inspect", "--format", label, MADE, check=False) == wanted:
        return
    variables = {**_CREDENTIALS, "POSTGRES_INITDB_ARGS": "--data-checksums", "PGDATA": "/made"}
    options = [f"--env={name}={value}" for name, value in variables.items()]
    engine.docker("run", "--detach", "--name", "made", "--network", "none", *options, POSTGRES)
    try:
        # The server that the entry point needs for a first start listens on no network.
        answers = "until pg_isready -q -h 127.0.0.1; do sleep 0.1; done"
        engine.docker("exec", "made", "timeout", "60", "sh", "-c", answers)
        engine.docker("stop", "made")
        changes = (
            "ENV PGDATA=/var/lib/postgresql/data",
            f"LABEL {_LABEL}={wanted}",
            f"ENTRYPOINT {json.dumps(['sh', '-c', _ENTRYPOINT, 'sh'])}",
            'CMD ["postgres"]',
        )
        engine.docker("commit", *(f"--change={change}" for change in changes), "made", MADE)
    finally:
        engine.docker("rm", "--force", "--volumes", "made", check=False)
