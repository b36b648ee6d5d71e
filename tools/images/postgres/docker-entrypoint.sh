#!/usr/bin/env bash
# Makes the database at the first start, then becomes the server.
#
# Variables: POSTGRES_PASSWORD (needed), POSTGRES_USER, POSTGRES_DB, POSTGRES_INITDB_ARGS, each also as …_FILE;
# POSTGRES_HOST_AUTH_METHOD; PGDATA. Files in /docker-entrypoint-initdb.d (*.sql, *.sql.gz, *.sh) run once.
#
# Secrets are only ever passed as data (a file of initdb, a variable of psql): no shell and no SQL text sees them.
set -euo pipefail

say() { printf 'docker-entrypoint: %s\n' "$*" >&2; }

fail() {
  say "$1"
  printf '  try: %s\n' "$2" >&2
  exit 1
}

# from_file NAME: takes the variable from the file that NAME_FILE names.
from_file() {
  local name=$1 file_variable=$1_FILE
  local file=${!file_variable:-}
  [[ -n $file ]] || return 0
  [[ -z ${!name:-} ]] || fail "both $name and $file_variable are set" "set only one of them"
  [[ -r $file ]] || fail "$file_variable names a file that can't be read: $file" "mount it, readable for this user"
  printf -v "$name" '%s' "$(<"$file")"
  unset "$file_variable"
}

own_folders() {
  mkdir -p "$PGDATA" /var/run/postgresql
  # Some volumes refuse these; whether it matters is for initdb and the server to say.
  chmod 700 "$PGDATA" || true
  chmod 3777 /var/run/postgresql || true
  find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres {} + || true
}

create_cluster() {
  local arguments=()
  if [[ -n ${POSTGRES_INITDB_ARGS:-} ]]; then
    # xargs knows quotes and expands nothing.
    mapfile -t arguments < <(xargs -n 1 printf '%s\n' <<<"$POSTGRES_INITDB_ARGS")
  fi
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${arguments[@]}"
  printf '\nhost all all all %s\n' "$POSTGRES_HOST_AUTH_METHOD" >>"$PGDATA/pg_hba.conf"
}

query() { psql --no-psqlrc --no-password --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" "$@"; }

run_initdb_files() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) say "running $file" && bash "$file" ;;
      *.sql) say "running $file" && query --dbname="$POSTGRES_DB" --file="$file" ;;
      *.sql.gz) say "running $file" && gzip -dc "$file" | query --dbname="$POSTGRES_DB" ;;
      */'*') ;;
      *) say "ignoring $file" ;;
    esac
  done
}

# Nobody may take the server of this phase for the real one: it listens on no network, and its socket is elsewhere.
create_database() {
  local server
  PGHOST=$(mktemp -d)
  export PGHOST
  "$@" -c listen_addresses= -c unix_socket_directories="$PGHOST" &
  server=$!
  until pg_isready --quiet --username="$POSTGRES_USER" --dbname=postgres; do
    kill -0 "$server" 2>/dev/null || fail "the server ended before the database was created" "read its lines above"
    sleep 0.05
  done
  if [[ $POSTGRES_DB != postgres ]]; then
    query --dbname=postgres --set=name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
  fi
  run_initdb_files
  kill -INT "$server"
  wait "$server"
  rm -rf "$PGHOST"
  unset PGHOST
}

# From 18 on the volume is the folder above the data. One that is mounted where the data used to be would stay empty, and a new
# database beside old data would look like a loss: the official image begins in neither case.
no_data_elsewhere() {
  local folder found=()
  if ((PG_MAJOR < 18)) || [[ $PGDATA != "/var/lib/postgresql/$PG_MAJOR/docker" ]]; then return; fi
  for folder in /var/lib/postgresql /var/lib/postgresql/data /var/lib/postgresql/*/docker; do
    if [[ -s $folder/PG_VERSION ]]; then found+=("$folder"); fi
  done
  if ((${#found[@]} == 0)) && mountpoint -q /var/lib/postgresql/data; then
    found=("/var/lib/postgresql/data (unused mount/volume)")
  fi
  ((${#found[@]} == 0)) || fail "there appears to be PostgreSQL data in ${found[*]}, and this image keeps its own in $PGDATA" \
    "mount the volume at /var/lib/postgresql; data of another major version needs dump and restore"
}

initialize() {
  local name
  no_data_elsewhere
  for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS; do from_file "$name"; done
  : "${POSTGRES_USER:=postgres}" "${POSTGRES_HOST_AUTH_METHOD:=scram-sha-256}" "${POSTGRES_PASSWORD:=}"
  : "${POSTGRES_DB:=$POSTGRES_USER}"
  if [[ -z $POSTGRES_PASSWORD && $POSTGRES_HOST_AUTH_METHOD != trust ]]; then
    fail "the database is not initialized, and there is no password for its superuser" \
      "set POSTGRES_PASSWORD, or POSTGRES_PASSWORD_FILE, to a value that is not empty"
  fi
  if [[ $POSTGRES_PASSWORD == *[$'\n\r']* ]]; then
    fail "POSTGRES_PASSWORD has a line break; only what stands before it would become the password" "use one line"
  fi
  # PostgreSQL refuses these in its superuser's name, but only halfway, and by showing a statement with the password in it.
  if [[ $POSTGRES_USER == *[$'"\'$\\\n\r']* ]]; then
    fail "POSTGRES_USER has a quote, a backslash, a dollar sign or a line break in it" "use another name"
  fi
  create_cluster
  create_database "$@"
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

# only_asks ARGUMENT...: nothing but help or version is wanted.
only_asks() {
  local argument
  for argument; do
    case $argument in -\? | --help | --describe-config | -V | --version) return 0 ;; esac
  done
  return 1
}

[[ ${1:-} != -* ]] || set -- postgres "$@"
if [[ ${1:-} != postgres ]] || only_asks "$@"; then exec "$@"; fi

if ((EUID == 0)); then
  own_folders
  exec gosu postgres "${BASH_SOURCE[0]}" "$@"
fi
mkdir -p "$PGDATA"
chmod 700 "$PGDATA" || true
if [[ -s $PGDATA/PG_VERSION ]]; then
  printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
else
  initialize "$@"
fi
exec "$@"
