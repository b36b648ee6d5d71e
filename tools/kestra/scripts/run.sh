#!/usr/bin/env bash
# Runs Kestra by hand: run.sh [--detach] [--port N] [--management-port N] [--dry-run]
set -euo pipefail

here="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)"
# shellcheck source=scripts/docker/launcher.sh
. "$here/../../../scripts/docker/launcher.sh"

exec_launcher kestra run "$@"
