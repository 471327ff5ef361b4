"""The list of rules is true to the code: each can be taken away, and has the test that it names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from proof.rules import PACKAGE, ROOT, RULES, Rule, markdown


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.sentence)
def test_a_rule_can_be_taken_away_and_names_its_test(rule: Rule, tmp_path: Path) -> None:
    shutil.copytree(ROOT / PACKAGE, tmp_path / PACKAGE)
    rule.remove_from(tmp_path)
    file, *names = rule.test.split("::")
    text = (ROOT / file).read_text()
    assert all(f"def {name}(" in text or f"class {name}" in text for name in names)


def test_the_list_is_in_the_documentation() -> None:
    assert markdown() in (ROOT / "docs" / "evidence.md").read_text()
