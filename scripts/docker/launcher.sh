# shellcheck shell=bash
# Finds this installation and its `launcher`; sourced by the scripts that delegate to it.

LAUNCHER_ROOT="$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.." && pwd)"
export LAUNCHER_ROOT

# The installation's own launcher comes first, so that another one on PATH cannot act on it by accident.
exec_launcher() {
  if [[ -x "$LAUNCHER_ROOT/.venv/bin/launcher" ]]; then
    exec "$LAUNCHER_ROOT/.venv/bin/launcher" "$@"
  elif command -v launcher >/dev/null 2>&1; then
    exec launcher "$@"
  fi
  printf 'Error: the launcher is not installed: %s/.venv is missing and there is no launcher on PATH\n' "$LAUNCHER_ROOT" >&2
  printf 'Try:   %s/scripts/up, or: pip install ./host .\n' "$LAUNCHER_ROOT" >&2
  exit 2
}
