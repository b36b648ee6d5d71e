# shellcheck shell=bash
# Makes .venv from requirements.lock, with hashes; sourced by up, test and check. Needs ROOT.

# install_python_environment: a no-op while neither the lock nor the distributions' metadata have changed.
install_python_environment() {
  local venv="$ROOT/.venv" python=python3 wanted
  wanted=$(cat "$ROOT/requirements.lock" "$ROOT/pyproject.toml" "$ROOT/host/pyproject.toml" | sha256sum)
  if [[ -x "$venv/bin/launcher" && -f "$venv/installed" && "$(<"$venv/installed")" == "$wanted" ]]; then
    return 0
  fi
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    install_packages python3 python3-venv
  fi
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    printf 'Error: python3 is older than Python 3.11\nTry:   put a newer python3 first on PATH\n' >&2
    return 1
  fi
  printf 'Installing the Python environment in %s\n' "$venv" >&2
  [[ -x "$venv/bin/pip" ]] || "$python" -m venv "$venv"
  [[ -x "$venv/bin/uv" ]] || "$venv/bin/python" -m pip install --quiet "$(grep -o '^uv==[0-9.]*' "$ROOT/requirements.lock")"
  # Compiled now: the first `launcher status` should not pay for it, and a read-only tree never could.
  local uv=("$venv/bin/uv" pip)
  "${uv[@]}" sync --quiet --python "$venv/bin/python" --require-hashes --compile-bytecode "$ROOT/requirements.lock"
  "${uv[@]}" install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --compile-bytecode \
    --editable "$ROOT/host" --editable "$ROOT"
  "$venv/bin/python" -m compileall -q "$ROOT/host/service_launcher" "$ROOT/launcher_kestra"
  printf '%s' "$wanted" >"$venv/installed"
}

# install_packages NAME...: from the distribution; with CONSENT=yes at once, on a terminal after a question.
install_packages() {
  local answer=${CONSENT:-}
  if [[ "$answer" != yes && -t 0 ]]; then
    read -r -p "Install the packages $*? [y/N] " answer
  fi
  if [[ "$answer" != yes && "$answer" != [yY]* ]]; then
    printf 'Error: these packages are missing: %s\nTry:   apt-get install %s, or the same command with --yes\n' "$*" "$*" >&2
    return 2
  fi
  local sudo=()
  [[ $EUID -eq 0 ]] || sudo=(sudo)
  printf 'Installing packages: %s\n' "$*" >&2
  if ! "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null 2>&1; then
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
  fi
}
