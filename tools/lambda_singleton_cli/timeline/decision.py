"""One log line of this package."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambda_singleton._clock import LATEST, LONGEST, epoch, utc
from lambda_singleton._protocol.name import MOST_BYTES
from lambda_singleton._protocol.record import HOLDER_FACTS

Facts = dict[str, str]

#: What is read of one line, and of one fact in it, in characters. CloudWatch Logs takes 1 MiB.
LONGEST_LINE, LONGEST_FACT = 1 << 20, 160

KINDS = frozenset(
    {
        *("acquired", "waiting", "skipped", "failed", "renewed", "renewal_failed", "lost"),
        *("released", "release_failed", "unrecorded", "forced", "coalesced"),
        # What the demo and histories tell besides.
        *("killed", "paused", "resumed", "write_refused", "write_accepted"),
    }
)

_TEXTS = (
    *("owner", "taken_from", "outcome", "reason", "error", "by", "until", "held_until"),
    *("request_id", "requestId", "function_request_id"),
    *("execution", "function_name", "function", "service", "log_stream", "logStream"),
)
_NUMBERS = ("token", "until", "held_until", "took", "waited")

#: What `aws logs tail` writes before a message: a time and, unless it is short, a log stream.
_PREFIX = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.+Z-]{5,24} (?:\d{4}/\d\d/\d\d/[^\s{]{1,512} )?(?=\{)", re.ASCII
)

#: The members of an exported event of CloudWatch Logs; no line of a function has only these.
_EXPORTED = frozenset(
    {"timestamp", "message", "ingestionTime", "eventId", "logStreamName", "logGroupName", "id"}
)


@dataclass(frozen=True, slots=True)
class Decision:
    """One log line of this package."""

    what: str
    at: float
    lease: str
    facts: Mapping[str, Any]

    @classmethod
    def read(cls, line: str) -> Decision | None:
        """Return what a line says; None if this package did not write it.

        A line is one whole object: by itself, behind a time and a log stream, or as the message of
        an exported event. An object further inside is somebody's text: a key, or a message that a
        handler has logged.
        """
        if len(line) > LONGEST_LINE:
            return None
        prefix = _PREFIX.match(line)
        facts = _whole_object(line[prefix.end() :] if prefix else line)
        if facts.keys() <= _EXPORTED and "message" in facts:
            facts = _exported(facts["message"])
        what, lease = facts.get("decision"), facts.get("lease")
        at = _moment(facts.get("at")) or _moment(facts.get("timestamp"))
        if not isinstance(what, str) or what not in KINDS or at is None:
            return None
        if not isinstance(lease, str) or not lease or len(lease) > MOST_BYTES:
            return None
        if facts.get("logger", "lambda_singleton") != "lambda_singleton":
            return None
        return cls(what, at, lease, _known(facts))

    def text(self, *keys: str) -> str:
        """Return the first of these facts that is there, in words."""
        return next((str(self.facts[key]) for key in keys if self.facts.get(key)), "")

    @property
    def token(self) -> int | None:
        """Return the token."""
        token = self.facts.get("token")
        return token if isinstance(token, int) and 0 <= token < 2**63 else None

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
        holder: Facts = self.facts.get("holder", {})
        return holder

    @property
    def caller(self) -> Facts:
        """Who says it, for people."""
        facts = {
            "Function": self.text("function_name", "function", "service"),
            "Request": self.request,
            "Execution": self.text("execution"),
            "Log stream": self.text("log_stream", "logStream"),
        }
        return {label: fact for label, fact in facts.items() if fact}


def when(at: float) -> str:
    """Write a time for people."""
    return utc(at).replace("T", " ").removesuffix("Z")


def _exported(message: object) -> dict[str, Any]:
    return message if isinstance(message, dict) else _whole_object(message)


def _whole_object(text: object) -> dict[str, Any]:
    if not isinstance(text, str) or not text.strip().startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _known(facts: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for key in _TEXTS:
        if isinstance(facts.get(key), str):
            known[key] = facts[key][:LONGEST_FACT]
    for key in _NUMBERS:
        if isinstance(facts.get(key), (int, float)) and not isinstance(facts[key], bool):
            known[key] = facts[key]
    holder = facts.get("holder")
    if isinstance(holder, dict):
        texts = {key: holder[key] for key in HOLDER_FACTS if isinstance(holder.get(key), str)}
        known["holder"] = {key: text[:LONGEST_FACT] for key, text in texts.items()}
    return known


def _moment(value: object) -> float | None:
    if isinstance(value, str):
        return epoch(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= LATEST else None
