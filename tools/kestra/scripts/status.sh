#!/usr/bin/env bash
# Tells what is true of Kestra and its database: status.sh [--json]
set -euo pipefail

here="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)"
# shellcheck source=scripts/docker/launcher.sh
. "$here/../../../scripts/docker/launcher.sh"

exec_launcher status kestra kestra-postgres "$@"
