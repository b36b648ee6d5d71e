"""Why Kestra and its PostgreSQL do not come up, by the lines that they write; seen on 1.3.25, 2.0 and PostgreSQL 17."""

from __future__ import annotations

from service_launcher import Cause

from launcher_kestra.services import DATA_TARGET, DATABASE_NAME, DATABASE_PASSWORD, PASSWORD, USERNAME

DATABASE = (
    Cause(
        id="database-password",
        pattern=r"password authentication failed for user",
        sentence=f"{DATABASE_PASSWORD} is not the password that the database was first started with: "
        "it only counts while the volume is empty",
        fix=f"put the old {DATABASE_PASSWORD} back into .env, or change the role's password in the database, "
        "then: launcher start kestra",
    ),
    Cause(
        id="database-major",
        pattern=r"initialized by PostgreSQL version \d+, which is not compatible with this version \d+",
        sentence="the data in the volume is of another major version of PostgreSQL than the image",
        fix="name the image of the old major version in KESTRA_POSTGRES_IMAGE; another one needs dump and restore",
    ),
    Cause(
        id="database-place",
        pattern=r"in 18\+, these Docker images are configured to store database data|"
        r"there appears to be PostgreSQL data in",
        sentence="PostgreSQL 18 and newer keep their data one folder higher than the volume is mounted",
        fix=f"{DATA_TARGET}=/var/lib/postgresql in .env, or name the image of the old major version in "
        "KESTRA_POSTGRES_IMAGE",
    ),
    Cause(
        id="database-half-made",
        pattern=r"role \"[^\"]+\" does not exist|directory \"[^\"]*\" exists but is not empty|"
        r"is not a database cluster directory|could not locate a valid checkpoint record|"
        r"could not find the database system|incorrect checksum in control file|initialized with PG_CONTROL_VERSION|"
        r"could not (?:open|access)[^\n]*(?:global/|postgresql\.conf|PG_VERSION)[^\n]*No such file",
        sentence="the first start of the database was broken off, or its files are damaged ({line})",
        fix="launcher logs kestra-postgres; a volume without data may be removed by hand, one with data never",
    ),
    Cause(
        id="database-missing",
        pattern=r"database \"(?P<database>[^\"]+)\" does not exist",
        sentence="the database {database} does not exist: " + DATABASE_NAME + " has changed since the first start",
        fix=f"put the old {DATABASE_NAME} back into .env, then: launcher start kestra",
    ),
)

KESTRA = (
    *DATABASE,
    Cause(
        id="kestra-open",
        pattern=r"Kestra runs without a login[^\n]*",
        sentence="{0}",
        fix=f"set {USERNAME} and {PASSWORD} to values that Kestra accepts, then: launcher restart kestra",
    ),
    Cause(
        id="kestra-credentials",
        pattern=r"Kestra refuses the credentials[^\n]*",
        sentence="{0}",
        fix=f"if {PASSWORD} has just been changed: launcher restart kestra; else put the old one back into .env",
    ),
    Cause(
        id="migration",
        pattern=r"Migration checksum mismatch[^\n]*|FlywayValidateException[^\n]*|"
        r"Detected (?:failed migration|applied migration not resolved)[^\n]*|Validate failed: Migrations[^\n]*|"
        r"Found non-empty schema[^\n]* but no schema history table",
        sentence="the tables in the database are of another version of Kestra, or of another program ({0})",
        fix="name the image of the version that made them in KESTRA_IMAGE; back up before the next upgrade",
    ),
    Cause(
        id="database-lost",
        pattern=r"fatal error while (?:consuming|polling)[^\n]*|Initiating (?:application )?shutdown|"
        r"jdbc-queue\S* [^\n]*Shutdown (?:initiated|completed)",
        sentence="Kestra lost the connection to its database; it ends with exit code 0 up to three minutes after that",
        fix="launcher explain kestra-postgres, then: launcher restart kestra",
    ),
    Cause(
        id="database-unknown",
        pattern=r"UnknownHostException: kestra-postgres",
        sentence="Kestra's database has no name on their network: its container does not run, or the network is gone",
        fix="launcher status kestra-postgres; launcher start kestra",
    ),
    Cause(
        id="database-refuses",
        pattern=r"Connection to (?P<host>\S+?):(?P<number>\d+) refused",
        sentence="nothing listens at the database's address {host}:{number}",
        fix="launcher explain kestra-postgres",
    ),
    Cause(
        id="port-inside",
        pattern=r"Unable to start server\. Port \*:(?P<number>\d+) already in use",
        sentence="port {number} inside Kestra's container is taken",
        fix="look for `--port` in the command and in KESTRA_JAVA_OPTS, then: launcher restart kestra",
    ),
    Cause(
        id="configuration-missing",
        pattern=r"Required property \[kestra\.repository\.type\]|NoSuchBeanException[^\n]*SettingRepositoryInterface",
        sentence="Kestra found no configuration: KESTRA_CONFIGURATION did not reach it",
        fix="launcher manifest check; compare the compose file with the one that came with the launcher",
    ),
    Cause(
        id="placeholder",
        pattern=r"Could not resolve placeholder \$\{(?P<name>\w+)",
        sentence="a value in Kestra's configuration names ${{{name}}}, which is not set in its container",
        fix="set it, or take `${{` out of the value; then: launcher restart kestra",
    ),
    Cause(
        id="configuration-yaml",
        pattern=r"while parsing an? [a-z][^\n]*",
        sentence="Kestra's configuration is no valid YAML ({0})",
        fix="correct KESTRA_CONFIGURATION in the compose file, then: launcher start kestra",
    ),
    Cause(
        id="configuration-folder",
        pattern=r"cannot create (?P<file>\S+): (?:Read-only file system|Permission denied)",
        sentence="Kestra cannot write its configuration to {file}",
        fix="make that folder writable for the container's user (a tmpfs will do), then: launcher start kestra",
    ),
)
