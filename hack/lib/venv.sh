# Sourced by the hack scripts: puts a virtual environment with requirements/dev.txt first on PATH.
# The environment lies under the user's cache, named by the lock's digest, so that every checkout shares it.
SHIMMY_CACHE=${SHIMMY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/shimmy-operator}
export SHIMMY_CACHE PYTHONPATH="$PWD/operator:$PWD/hack"

shimmy_venv() {
  local python=${PYTHON:-python3} digest venv
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    { echo "hack: Python 3.11 or newer is needed (found: $("$python" --version 2>&1)); set PYTHON=/path/to/python3" >&2; return 1; }
  digest=$({ "$python" --version; cat requirements/dev.txt; } | sha256sum | cut -c1-12)
  venv=$SHIMMY_CACHE/venv-$digest
  if [[ ! -e $venv/.complete ]]; then
    echo "hack: installing requirements/dev.txt into $venv" >&2
    mkdir -p "$SHIMMY_CACHE"
    (
      flock 9
      [[ -e $venv/.complete ]] && exit
      # One chain: "set -e" does not hold in here, because of the "||" below.
      rm -rf "$venv" &&
        "$python" -m venv "$venv" &&
        "$venv/bin/pip" install --quiet --require-hashes --no-deps --requirement requirements/dev.txt &&
        touch "$venv/.complete"
    ) 9>"$venv.lock" || return 1
  fi
  export VIRTUAL_ENV=$venv PATH="$venv/bin:$PATH"
}

shimmy_venv
