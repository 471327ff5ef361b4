"""The short form of `make fuzz`, and that it notices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambda_singleton._stores.rows import Rows
from lambda_singleton_cli.timeline import decision
from proof import fuzz
from proof.fuzz import Broken


@pytest.mark.parametrize("name", fuzz.INPUTS)
def test_everything_holds(name: str) -> None:
    result = fuzz.fuzz(name, 2000, seed=1)
    assert result.cases >= 2000


class TestItNotices:
    def test_somebody_elses_lease(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Rows, "is_result", lambda self, operation, item: True)
        with pytest.raises(Broken, match="lease"):
            fuzz.fuzz("replies", 3000, seed=1)

    def test_an_exception(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lambda_singleton._stores.dynamodb.reading", nothing)
        with pytest.raises((AttributeError, TypeError)):
            fuzz.fuzz("replies", 3000, seed=1)

    def test_a_forged_decision(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def anywhere(text: Any) -> Any:
            try:
                return json.JSONDecoder().raw_decode(text, text.index("{"))[0]
            except (ValueError, AttributeError):
                return {}

        monkeypatch.setattr(decision, "_whole_object", anywhere)
        with pytest.raises(Broken, match="forged"):
            fuzz.fuzz("lines", 3000, seed=1)

    def test_what_cannot_be_seen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            "lambda_singleton_cli.columns.terminal_text", lambda text: text, raising=True
        )
        with pytest.raises(Broken, match="cannot be seen"):
            fuzz.fuzz("rows", 3000, seed=1)


class nothing:  # noqa: N801
    """In place of what guards a reply."""

    def __init__(self, table: str) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *exc_info: object) -> None: ...
