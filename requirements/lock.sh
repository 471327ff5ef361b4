#!/usr/bin/env bash
# Resolve requirements/*.in for every supported interpreter, with hashes and without addresses.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .venv-lock
.venv-lock/bin/python -m pip install --quiet uv==0.13.9
for name in dev engine sam examples; do
    .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        "requirements/$name.in" --output-file "requirements/$name.txt"
done
rm -rf .venv-lock
