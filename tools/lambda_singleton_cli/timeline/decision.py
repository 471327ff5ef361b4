"""One log line of this package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambda_singleton._clock import LATEST, LONGEST, epoch, utc

Facts = dict[str, str]


@dataclass(frozen=True, slots=True)
class Decision:
    """One log line of this package."""

    what: str
    at: float
    lease: str
    facts: Mapping[str, Any]

    @classmethod
    def read(cls, line: str) -> Decision | None:
        """Read a line, also behind a prefix or in the "message" of another; None if it is none."""
        facts = _object(line)
        if "decision" not in facts:
            facts = _object(facts.get("message"))
        lease = facts.get("lease")
        at = _moment(facts.get("at")) or _moment(facts.get("timestamp"))
        if "decision" not in facts or not isinstance(lease, str) or at is None:
            return None
        return cls(str(facts["decision"]), at, lease, facts)

    def text(self, *keys: str) -> str:
        """Return the first of these facts that is there, in words."""
        return next((str(self.facts[key]) for key in keys if self.facts.get(key)), "")

    def moment(self, key: str) -> float | None:
        """Return a time."""
        return _moment(self.facts.get(key))

    def length(self, key: str) -> float:
        """Return a length of time; 0 if it is not there."""
        return min(_moment(self.facts.get(key)) or 0.0, LONGEST, self.at)

    @property
    def request(self) -> str:
        """The request id of the invocation that says it."""
        return self.text("request_id", "requestId", "function_request_id")

    @property
    def ids(self) -> list[str]:
        """What may tie it to other lines."""
        return [id_ for id_ in (self.text("owner"), self.request) if id_]

    @property
    def other(self) -> Facts:
        """The holder who was in the way."""
        holder = self.facts.get("holder")
        return {k: str(v) for k, v in holder.items()} if isinstance(holder, dict) else {}

    @property
    def caller(self) -> Facts:
        """Who says it, for people."""
        facts = {
            "Function": self.text("function_name", "function", "service"),
            "Request": self.request,
            "Log stream": self.text("log_stream", "logStream"),
        }
        return {label: fact for label, fact in facts.items() if fact}


def when(at: float) -> str:
    """Write a time for people."""
    return utc(at).replace("T", " ").removesuffix("Z")


def _object(text: object) -> dict[str, Any]:
    # What is before the first brace is a prefix, as of `aws logs tail`.
    if not isinstance(text, str):
        return text if isinstance(text, dict) else {}
    try:
        found = json.JSONDecoder().raw_decode(text, text.index("{"))[0]
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _moment(value: object) -> float | None:
    if isinstance(value, str):
        return epoch(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= LATEST else None
