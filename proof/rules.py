"""`make rules`: take each rule away, and see the test fail that shows it to be needed.

The package's other tests may fail as well; the one that the removal names must, and for the reason
that it names.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from .catalogue import ROOT, RULES, Removal

#: What the tests need of the checkout.
COPIED = (
    "layer",
    "tools",
    "proof",
    "local_lambda",
    "demo",
    "src",
    "events",
    "tests",
    "pyproject.toml",
)


class Outcome(NamedTuple):
    """Whether the rule was missed, and for its own reason; what pytest said."""

    missed: bool
    explained: bool
    output: str

    @property
    def reasons(self) -> str:
        """What pytest marks as the failure's explanation, in one line."""
        lines = [line[1:] for line in self.output.splitlines() if line.startswith("E ")]
        return " ".join(" ".join(lines).split())


def run_without(removal: Removal) -> Outcome:
    """Run the removal's test on a copy of the package that lacks the rule."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, root / name, ignore=ignored)
            else:
                shutil.copy(source, root)
        (root / ".venv-engine").symlink_to(ROOT / ".venv-engine")
        removal.remove_from(root)
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-xq",
                "--timeout=20",
                "-p",
                "no:cacheprovider",
                removal.test,
            ],
            cwd=root,
            env={**os.environ, "PYTHONPATH": f"{root / 'layer/python'}:{root / 'tools'}:{root}"},
            capture_output=True,
            text=True,
            check=False,
        )
    # 1: tests failed. Anything else means that the test could not be run.
    outcome = Outcome(done.returncode == 1, False, done.stdout + done.stderr[-500:])
    return outcome._replace(explained=removal.fails in outcome.reasons)


def markdown() -> str:
    """Return the list of the rules for the documentation."""
    lines = ["| rule | the tests that fail without it | in the model | in the simulation |"]
    lines.append("| --- | --- | --- | --- |")
    for each in RULES:
        tests = dict.fromkeys(_link(removal.test) for removal in each.removals)
        model = f"`{each.model.name}`" if each.model else ""
        switch = f"`{each.simulation.name}`" if each.simulation else ""
        lines.append(f"| {each.sentence} | {', '.join(tests)} | {model} | {switch} |")
    return "\n".join(lines)


def _link(test: str) -> str:
    file, _, name = test.partition("::")
    return f"[`{name.replace('::', '.')}`](../{file})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every test has failed for the reason that its removal names."""
    parser = argparse.ArgumentParser(prog="make rules", description=__doc__)
    parser.add_argument("--markdown", action="store_true", help="print the list, and run nothing")
    parser.add_argument("--reasons", action="store_true", help="print why each test failed")
    parser.add_argument("words", nargs="*", help="only rules with one of these words")
    options = parser.parse_args(arguments)
    if options.markdown:
        print(markdown())
        return 0
    removals = [
        (rule.sentence, removal)
        for rule in RULES
        if not options.words or any(word in rule.sentence for word in options.words)
        for removal in rule.removals
    ]
    started = time.monotonic()
    survived = 0
    with ThreadPoolExecutor(2) as pool:
        outcomes = pool.map(run_without, (removal for _, removal in removals))
        for (sentence, removal), outcome in zip(removals, outcomes, strict=True):
            survived += not outcome.explained
            print(f"{'  ' if outcome.explained else '! '} {sentence}", flush=True)
            if options.reasons:
                print(f"     {removal.test}\n     {outcome.reasons}")
            elif not outcome.missed:
                print(outcome.output[-2000:])
            elif not outcome.explained:
                print(f"   {removal.test}\n   was to fail with {removal.fails!r}, and failed with")
                print(f"   {outcome.reasons}")
    seconds = time.monotonic() - started
    needed = len(removals) - survived
    print(
        f"{needed} of {len(removals)} removals of {len(RULES)} rules are missed as expected", end=""
    )
    print(f", in {seconds:.0f} s")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
