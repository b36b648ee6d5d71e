#!/usr/bin/env bash
# Shows Kestra's output, secrets masked: logs.sh [--tail N] [--follow]
set -euo pipefail

here="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)"
# shellcheck source=scripts/docker/launcher.sh
. "$here/../../../scripts/docker/launcher.sh"

exec_launcher logs kestra "$@"
