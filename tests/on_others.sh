#!/usr/bin/env bash
# Run the tests on what else there is, one after the other: each further interpreter of $PYTHONS, the
# oldest boto3, and an engine that returns no row when a condition fails. Say what this machine has not.
set -euo pipefail
cd "$(dirname "$0")/.."

own=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
failed=()

test_on() {
    local name=$1
    shift
    echo "=== Testing on $name ..."
    "$@" || failed+=("$name")
}

# A further interpreter: all but what takes long and has been shown on the first one.

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

for version in ${PYTHONS:-}; do
    [ "$version" != "$own" ] || continue
    python=$(.venv/bin/python tools/not_run.py --find "$version")
    if [ -n "$python" ]; then
        set_up "$version" "$python"
        test_on "Python $version" ".venv-$version/bin/python" -m pytest -q \
            --numprocesses 2 --dist loadfile \
            tests/core tests/stores tests/process tests/command_line tests/page \
            tests/platform/test_local_lambda.py \
            --deselect tests/platform/test_local_lambda.py::TestTakeOver
    else
        echo "NOT TESTED on Python $version: this machine has none"
    fi
done

# The oldest boto3. Processes of their own would not know the engine's address.
test_on "the oldest boto3" env PYTHONPATH=layer/python:tools .venv-oldest/bin/python -m pytest -q \
    -p no:cacheprovider tests/stores/test_store_contract.py tests/stores/test_dynamodb.py tests/core/test_fencing.py \
    tests/stores/test_carrier.py tests/proving/test_proxy.py \
    --deselect tests/stores/test_dynamodb.py::TestTheClient::test_does_not_load_boto3_for_itself

# An engine that shows no refusals, and knows no TTL.
on_dynalite() {
    local port
    port=$(.venv/bin/python -c 'from local_lambda.engine import free_port; print(free_port())')
    .node-dynalite/node_modules/.bin/dynalite --host 127.0.0.1 --port "$port" >/dev/null 2>&1 &
    trap 'kill %1' EXIT
    AWS_ENDPOINT_URL=http://127.0.0.1:$port .venv/bin/python -m pytest -q \
        --deselect tests/stores/test_dynamodb.py::TestTable tests/stores/test_store_contract.py \
        tests/stores/test_dynamodb.py tests/stores/test_exclusion.py tests/stores/test_snapshot.py \
        tests/platform/test_local_lambda.py --deselect tests/platform/test_local_lambda.py::TestTakeOver
}

if command -v npm >/dev/null; then
    if [ ! .node-dynalite/.ready -nt requirements/dynalite/package-lock.json ]; then
        echo "Setting up .node-dynalite (once) ..."
        mkdir -p .node-dynalite
        cp requirements/dynalite/package*.json .node-dynalite/
        (cd .node-dynalite && npm ci --silent --no-audit --no-fund && touch .ready)
    fi
    test_on "dynalite" on_dynalite
else
    echo "NOT TESTED on dynalite: this machine has no npm"
fi

if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED on: ${failed[*]}"
    exit 1
fi
