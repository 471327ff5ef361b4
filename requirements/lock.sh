#!/usr/bin/env bash
# Resolve requirements/*.in for every supported interpreter, with hashes and without addresses.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .venv-lock
.venv-lock/bin/python -m pip install --quiet uv==0.13.9
for input in requirements/*.in; do
    .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        "$input" --output-file "${input%.in}.txt"
done
rm -rf .venv-lock
# Funding addresses are the only others in npm's lock files.
for folder in requirements/dynalite requirements/mermaid requirements/pyright benchmarks/node; do
    (cd "$folder" && npm install --package-lock-only --omit-lockfile-registry-resolved \
        --no-audit --no-fund >/dev/null)
    python3 - "$folder/package-lock.json" <<'PYTHON'
import json, pathlib, sys

path = pathlib.Path(sys.argv[1])
lock = json.loads(path.read_text())
for package in lock["packages"].values():
    package.pop("funding", None)
path.write_text(json.dumps(lock, indent=2) + "\n")
PYTHON
done
