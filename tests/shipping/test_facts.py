"""What pages state about the package is so: parameters, variables, lengths, and who shows it."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any, get_args

import lambda_singleton
from lambda_singleton import DynamoDBStore, Lease, Lock, Skipped, singleton
from lambda_singleton._protocol.term import Term

ROOT = Path(__file__).parents[2]


def first_column(page: str, title: str) -> set[str]:
    """The names in the first column of a section's table."""
    text = (ROOT / "docs" / page).read_text()
    section = re.split(r"^## ", text.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)", cell)}


def parameters(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self"}


def test_every_parameter_is_explained() -> None:
    explained = first_column("parameters.md", "singleton")
    assert explained == parameters(singleton)
    own = first_column("parameters.md", "Lock")
    assert own <= parameters(Lock) <= own | explained
    assert first_column("parameters.md", "DynamoDBStore") == parameters(DynamoDBStore)
    public = {name for name in vars(Lease) if not name.startswith("_")}
    assert public - first_column("parameters.md", "Lease") == {"name", "owner"}


def test_every_variable_is_explained() -> None:
    read = {
        found
        for path in (ROOT / "layer").rglob("*.py")
        for found in re.findall(r"\bSINGLETON_[A-Z_]+", path.read_text())
    }
    assert first_column("parameters.md", "The environment") == read


def test_every_reason_of_a_skip_is_explained() -> None:
    pages = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    reasons = get_args(inspect.get_annotations(Skipped, eval_str=True)["reason"])
    assert reasons
    assert [reason for reason in reasons if f"`{reason}`" not in pages] == []


def test_the_reference_has_every_public_name() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    first = text.partition("::: lambda_singleton\n")[2].partition(":::")[0]
    assert sorted(re.findall(r"- (\w+)$", first, re.MULTILINE)) == lambda_singleton.__all__
    for module in ("testing", "stores"):
        names = re.search(rf"::: lambda_singleton\.{module}\n.*?\[(.*?)\]", text, re.DOTALL)
        assert names
        known = vars(importlib.import_module(f"lambda_singleton.{module}"))
        assert set(names[1].split(", ")) <= known.keys()


def test_blocked_for_as_long_as_the_table_says() -> None:
    store = DynamoDBStore("leases")
    text = (ROOT / "docs" / "blocked.md").read_text()
    rows = re.findall(r"^\| ([a-z \d]+) \|" + r" (\d+) \|" * 3 + r" (.+?) \|$", text, re.MULTILINE)
    assert len(rows) == 5
    for length, *blocked, renewals in rows:
        duration = None if length == "left out" else float(length)
        for said, (deadline, killed) in zip(blocked, [(60, 5), (900, 5), (900, 600)], strict=True):
            # Its last renewal came just before.
            end = Term(duration, deadline, store.kill_grace).expiry(killed) / 1000
            assert float(said) == end + store.clock_skew - killed
        # Renewals come after 80 to 100 % of a third.
        expected = f"{int(1800 / duration)} to {int(2250 / duration)}" if duration else "0"
        assert renewals == expected


def test_every_problem_and_piece_has_a_page_and_a_test() -> None:
    text = (ROOT / "docs" / "questions.md").read_text()
    problems, _, pieces = text.partition("\n## Pages that people look for\n")
    for part, how_many in ((problems, 26), (pieces, 17)):
        rows = re.findall(r"^\| (\d+) \| (.*) \|$", part, re.MULTILINE)
        assert [int(number) for number, _ in rows] == list(range(1, how_many + 1))
        for _, row in rows:
            *_, pages, shown = row.split(" | ")
            assert "](" in pages
            assert "](../tests/" in shown or shown.endswith(": no test")
    named = re.findall(r"\[([\w ]+)\]\(\.\./(tests/[\w/]+\.py)\)", text)
    assert len(named) > 50
    gone = [
        words
        for words, path in named
        if f"def test_{words.replace(' ', '_')}(" not in (ROOT / path).read_text()
    ]
    assert gone == []
