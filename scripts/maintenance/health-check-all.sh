#!/usr/bin/env bash
# The health of all services: health-check-all.sh [--format text|json|prometheus] [--services A,B]
# [--containers-only | --services-only] [--help]. Exit code 0 healthy, 1 degraded, 2 critical, 64 usage error.
set -euo pipefail

here="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)"
# shellcheck source=scripts/docker/launcher.sh
. "$here/../docker/launcher.sh"

exec_launcher health "$@"
