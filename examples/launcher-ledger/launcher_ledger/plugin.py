"""Ledger and its own PostgreSQL, described by data; the ledger also needs Kestra, which another plugin owns."""

from service_launcher import ComposePlugin, ComposeService, Variable

VARIABLES = (
    Variable(name="LEDGER_IMAGE", default="local/kestra-rehearsal:1", meaning="image of the ledger"),
    Variable(name="LEDGER_POSTGRES_IMAGE", default="local/postgres:17", meaning="image of the ledger's database"),
    Variable(name="LEDGER_DB_PASSWORD", kind="password", required=True, meaning="password of the ledger's database"),
    Variable(name="LEDGER_PORT", default="8090", meaning="port of the ledger's page"),
)
COMPOSE_FILE = "tools/compose/docker-compose.ledger.yml"

plugin = ComposePlugin(
    ComposeService(
        id="ledger-postgres",
        title="Ledger PostgreSQL",
        tier="database",
        stack="ledger",
        project="ledger",
        service="ledger-postgres",
        file=COMPOSE_FILE,
        package="launcher_ledger",
        path="tools/ledger",
        variables=VARIABLES,
    ),
    ComposeService(
        id="ledger",
        title="Ledger",
        stack="ledger",
        project="ledger",
        service="ledger",
        file=COMPOSE_FILE,
        package="launcher_ledger",
        path="tools/ledger",
        depends_on=("ledger-postgres", "kestra-orchestrator"),
        variables=VARIABLES,
        published={8080: "LEDGER_PORT"},
        link_port=8080,
    ),
)
