#!/usr/bin/env bash
# Stops Kestra, however it was started; its database and data stay
set -euo pipefail

here="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)"
# shellcheck source=scripts/docker/launcher.sh
. "$here/../../../scripts/docker/launcher.sh"

exec_launcher stop kestra "$@"
