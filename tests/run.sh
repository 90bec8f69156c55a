#!/usr/bin/env bash
# Makes or reuses .venv, installs what the tests need, and runs linters and tests, two at a time: those in a browser
# mostly wait. With --quick it runs those that need neither a browser, nor a process that trains, nor more than some
# tenths of a second: for use while one works. All other arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

chosen=()
if [ "${1:-}" = --quick ]; then
  shift
  chosen=(tests/unit tests/pages -m "not slow")
fi

[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt \
  -r cnnlab/requirements-ray.txt -r cnnlab/requirements-onnx.txt

if [ ${#chosen[@]} = 0 ] && ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qq -y chromium >/dev/null
fi

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
# A thread that waits makes room for the other process's, as in a worker. Modules are compiled once, not by each of the
# hundreds of processes, also where Python is told elsewhere to keep nothing.
PYTHONDONTWRITEBYTECODE= GOMP_SPINCOUNT=2000 .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder ${chosen[@]+"${chosen[@]}"} "$@"
