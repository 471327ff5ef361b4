#!/usr/bin/env bash
# Run the tests on each further interpreter of $PYTHONS that this machine has, side by side, and say
# which it has not. Each has a virtual environment of its own.
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

set_up() {
    local venv=.venv-$1
    if [ "$venv/.ready" -nt requirements/dev.txt ] && [ "$venv/.ready" -nt pyproject.toml ]; then
        return
    fi
    echo "Setting up $venv (once) ..."
    "$2" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install -qq --no-deps --require-hashes -r requirements/dev.txt
    "$venv/bin/python" -m pip install -qq --no-build-isolation --no-deps --editable .
    touch "$venv/.ready"
}

own=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
present=()
for version in ${PYTHONS:-}; do
    [ "$version" != "$own" ] || continue
    python=$(find_python "$version")
    if [ -n "$python" ]; then
        set_up "$version" "$python"
        present+=("$version")
    else
        echo "NOT TESTED on Python $version: this machine has none"
    fi
done

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
running=()
for version in "${present[@]}"; do
    echo "Testing on Python $version (without the deployment and the 30 s lease: shown on $own) ..."
    ".venv-$version/bin/python" -m pytest --ignore tests/test_stack.py \
        --deselect tests/test_local_lambda.py::TestTakeOver "$@" >"$logs/$version" 2>&1 &
    running+=($!)
done
failed=0
for number in "${!present[@]}"; do
    wait "${running[$number]}" || failed=1
    cat "$logs/${present[$number]}"
done
exit $failed
