"""The changes that `make mutants` makes, and how it chooses."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from proof.alive import KNOWN
from proof.catalogue import ROOT
from proof.covering import MEASURED
from proof.mutants import all_mutations, sample, why_known
from proof.mutation import MISSED_MOST, Mutation, mutations

MODULE = '''"""A module with 1 docstring."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import os
LIMIT = 3


class Store(Protocol):
    def get(self) -> int: return 7


def far(way: int, *, half: float = 0.5) -> str:
    """Return 2 words."""
    if way <= LIMIT and not way:
        raise ValueError(f"{way + 1} of 9")
    list.append(
        [], way * 2)
    return "é" if way else "b"
'''


@pytest.fixture
def found(tmp_path: Path) -> list[Mutation]:
    (tmp_path / "far.py").write_text(MODULE)
    return mutations(tmp_path, "far.py")


def test_each_kind_is_found_once_and_what_is_for_people_is_left_alone(
    found: list[Mutation],
) -> None:
    changes = Counter((one.line, one.kind, one.old, one.new) for one in found)
    deleted = "list.append(\n        [], way * 2)"
    assert changes == Counter(
        [
            *((7, "number", "3", "4"), (7, "number", "3", "2")),
            *((14, "number", "0.5", "1.0"), (14, "number", "0.5", "0.25")),
            *((16, "bound", "<=", "<"), (16, "comparison", "<=", ">")),
            *((16, "operator", "and", "or"), (16, "condition", "not way", "way")),
            (16, "condition", "way <= LIMIT and not way", "not (way <= LIMIT and not way)"),
            (17, "deletion", 'raise ValueError(f"{way + 1} of 9")', "pass"),
            (18, "deletion", deleted, "pass\n"),
            *((19, "number", "2", "3"), (19, "number", "2", "1"), (19, "operator", "*", "/")),
            (20, "deletion", 'return "é" if way else "b"', "pass"),
            (20, "condition", "way", "not (way)"),
        ]
    )


def test_every_change_is_python_and_moves_no_line() -> None:
    sources: dict[str, bytes] = {}
    for one in all_mutations():
        source = sources.setdefault(one.file, (ROOT / one.file).read_bytes())
        changed = one.apply(source)
        assert changed != source
        assert changed.count(b"\n") == source.count(b"\n")
        ast.parse(changed)
    assert {name for name in MEASURED if any(file.startswith(name) for file in sources)} == set(
        MEASURED
    )


def test_a_seed_always_chooses_the_same_half_of_it_of_what_is_missed_most() -> None:
    every = all_mutations()
    chosen = sample(every, 40, 7)
    assert chosen == sample(every, 40, 7) != sample(every, 40, 8)
    assert len(set(chosen)) == 40
    assert sum(one.kind in MISSED_MOST for one in chosen) == 20


def test_what_is_known_to_be_harmless_is_still_in_the_code() -> None:
    reasons = Counter(filter(None, map(why_known, all_mutations())))
    assert set(reasons) == set(KNOWN.values())
