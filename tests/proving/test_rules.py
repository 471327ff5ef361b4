"""The catalogue of rules is true to the code: what it names exists, once."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from proof.catalogue import PACKAGE, ROOT, RULES, Removal
from proof.rules import markdown
from proof.switches import SWITCHES

MODELS = {rule.model.module for rule in RULES if rule.model}
REMOVALS = [
    pytest.param(removal, id=f"{rule.sentence} {number}")
    for rule in RULES
    for number, removal in enumerate(rule.removals, 1)
]


@pytest.mark.parametrize("removal", REMOVALS)
def test_a_rule_can_be_taken_away_and_names_its_test(removal: Removal, tmp_path: Path) -> None:
    shutil.copytree(ROOT / PACKAGE, tmp_path / PACKAGE)
    removal.remove_from(tmp_path)
    file, *names = removal.test.partition("[")[0].split("::")
    text = (ROOT / file).read_text()
    if "StoreContract" in text:
        from lambda_singleton_testkit import StoreContract

        assert f"class {names[0]}(StoreContract)" in text
        assert hasattr(StoreContract, names[1])
    else:
        assert all(f"def {name}(" in text or f"class {name}" in text for name in names)


def test_every_removal_says_what_its_test_fails_with() -> None:
    assert all(len(removal.fails) > 3 for rule in RULES for removal in rule.removals)


def test_every_rule_is_a_sentence_of_its_own_and_can_be_taken_away() -> None:
    assert len({rule.sentence for rule in RULES}) == len(RULES)
    assert all(rule.removals and rule.sentence.endswith(".") for rule in RULES)


def test_every_rule_of_an_operation_is_taken_away_in_both_halves() -> None:
    for rule in RULES:
        of_operations = [
            removal for removal in rule.removals if removal.edits[0][0].endswith("operations.py")
        ]
        tests = Counter(removal.test.split("::")[1] for removal in of_operations)
        assert tests["TestEngine"] == tests["TestMemory"], rule.sentence
        assert tests.total() == 2 * tests["TestEngine"], rule.sentence


def test_every_constant_of_the_model_is_named_once() -> None:
    assert {path.stem for path in ROOT.glob("proof/model/*.tla")} == set(MODELS)
    for module in MODELS:
        of_module = [rule.model for rule in RULES if rule.model and rule.model.module == module]
        named = Counter(constant.name for constant in of_module)
        text = (ROOT / f"proof/model/{module}.tla").read_text()
        declared = re.search(r"The rules\..*?CONSTANTS(.*?)\n\n", text, re.DOTALL)
        assert declared
        assert named == Counter(re.findall(r"\w+", declared[1]))
        config = (ROOT / f"proof/model/{module}.cfg").read_text()
        assert set(named) == set(re.findall(r"(\w+) = TRUE", config))
        promises = " ".join(re.findall(r"(?m)^(?:INVARIANTS|PROPERTIES) (.*)", config)).split()
        assert {constant.breaks for constant in of_module} <= set(promises)


def test_every_switch_of_the_simulation_is_named_once() -> None:
    named = Counter(rule.simulation.name for rule in RULES if rule.simulation)
    assert named == dict.fromkeys(SWITCHES, 1)


def states() -> Iterator[tuple[str, Any]]:
    """Every state of every state machine that the application has."""

    def of(tree: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(tree, dict):
            if isinstance(tree.get("States"), dict):
                yield from tree["States"].items()
            for branch in tree.values():
                yield from of(branch)

    class Loader(yaml.SafeLoader):
        """Reads a template's short forms as what they are applied to."""

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    for file in [ROOT / "template.yaml", *ROOT.glob("statemachine/*.yaml")]:
        yield from of(yaml.load(file.read_text(), Loader))  # noqa: S506


def test_the_state_machine_has_the_rules_that_are_said_to_be_in_it() -> None:
    all_states = dict(states())
    named = [rule.state_machine for rule in RULES if rule.state_machine]
    assert {state.name for state in named} == {"TakeLease", "ReturnLease"}
    for state in named:
        arguments = all_states[state.name]["Arguments"]
        expressions = arguments["ConditionExpression"] + " " + arguments["UpdateExpression"]
        assert state.text in expressions


def test_the_list_is_in_the_documentation() -> None:
    assert markdown() in (ROOT / "docs" / "evidence.md").read_text()
