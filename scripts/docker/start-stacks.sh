#!/usr/bin/env bash
# Starts the stacks of this installation: start-stacks.sh [--phase NAME]... [--list] [--help]
set -euo pipefail

here="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)"
# shellcheck source=scripts/docker/launcher.sh
. "$here/launcher.sh"

exec_launcher stacks start "$@"
