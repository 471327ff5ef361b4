#!/usr/bin/env bash
# Run the tests on each further interpreter of $PYTHONS that this machine has, and say which it has
# not. Each has a virtual environment of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {
    local found
    for found in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if "$found" -c 'import venv, ensurepip' >/dev/null 2>&1; then
            echo "$found"
            return
        fi
    done
}

own=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for version in ${PYTHONS:-}; do
    [ "$version" != "$own" ] || continue
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        echo "NOT TESTED on Python $version: this machine has none"
        continue
    fi
    venv=.venv-$version
    if [ ! "$venv/.ready" -nt requirements/dev.txt ] || [ ! "$venv/.ready" -nt pyproject.toml ]; then
        echo "Setting up $venv (once) ..."
        "$python" -m venv --clear "$venv"
        "$venv/bin/python" -m pip install -qq --no-deps --require-hashes -r requirements/dev.txt
        "$venv/bin/python" -m pip install -qq --no-build-isolation --no-deps --editable .
        touch "$venv/.ready"
    fi
    echo "Testing on Python $version (without the deployment and the 30 s lease, which $own has shown)"
    "$venv/bin/python" -m pytest --ignore tests/test_stack.py --deselect tests/test_local_lambda.py::TestTakeOver "$@"
done
