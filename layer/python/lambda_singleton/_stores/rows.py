"""A lease's row as DynamoDB sends it, and the values of its expressions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from .._clock import LATEST, milliseconds
from .._protocol.coalesce import LONGEST_WORK, Success
from .._protocol.loan import Loan
from .._protocol.operation import Operation, Value
from .._protocol.order import HIGHEST_ORDER
from .._protocol.record import (
    HOLDER_FACTS,
    LONGEST_FACT,
    LONGEST_OWNER,
    LONGEST_PROGRESS,
    RUN_FACTS,
    LeaseRecord,
    Progress,
)

# What a row may say. DynamoDB's numbers go on after that token, but 64 bits elsewhere do not.
_LAST_MOMENT = milliseconds(LATEST) + 999
_LAST_TOKEN = 2**63 - 1

#: The attributes of a row that the protocol names itself.
ATTRIBUTES = frozenset(
    {
        "attempt_until_ms",
        "baton",
        "baton_token",
        "begun",
        "done",
        "duration_ms",
        "expires_at_ms",
        "holder",
        "last_run",
        "owner",
        "progress",
        "progress_seq",
        "progress_token",
        "served",
        "succeeded",
        "succeeded_by",
        "taken_from",
        "tickets",
        "token",
    }
)


class Rows(NamedTuple):
    """How leases are written in one table: the names of its key and of its TTL attribute."""

    key_attr: str
    ttl_attr: str

    def key(self, name: str) -> dict[str, Any]:
        """Return the key of the lease called `name`."""
        return {self.key_attr: {"S": name}}

    def request(self, operation: Operation, expiration: int) -> dict[str, Any]:
        """Return the operation as UpdateItem's arguments, without the table."""
        values: dict[str, Value] = {**operation.values, ":expiration": expiration}
        condition, update = operation.condition, operation.update
        names, used = _placeholders(condition, update, self.key_attr, self.ttl_attr)
        return {
            "Key": self.key(operation.name),
            "ConditionExpression": condition,
            "UpdateExpression": update,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {name: _encode(values[name]) for name in used},
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def is_result(self, operation: Operation, item: Mapping[str, Any]) -> bool:
        """Say whether the row can be what the operation left, or answers another request."""
        name, owner = item.get(self.key_attr, {}).get("S"), item.get("owner", {}).get("S")
        return operation.leaves(name, owner)

    def decode(self, item: Mapping[str, Any] | None) -> LeaseRecord | None:
        """Return the row as a record; None if there is none. `ValueError` says what is wrong."""
        if not item:
            return None
        name = item.get(self.key_attr, {}).get("S")
        if name is None:
            raise ValueError(f"it has no string {self.key_attr} (see key_attr)")
        expires_at = _number(item, "expires_at_ms", _LAST_MOMENT)
        duration = _number(item, "duration_ms", _LAST_MOMENT)
        if "owner" in item and expires_at is None:
            raise ValueError("it has an owner but no expires_at_ms")
        return LeaseRecord(
            name=name,
            token=_number(item, "token", _LAST_TOKEN) or 0,
            owner=_owner(item, "owner"),
            expires_at=None if expires_at is None else expires_at / 1000,
            holder=_texts(item, "holder", HOLDER_FACTS),
            last_run=_texts(item, "last_run", RUN_FACTS),
            duration=None if duration is None else duration / 1000,
            tickets=_number(item, "tickets", _LAST_TOKEN) or 0,
            served=_number(item, "served", _LAST_TOKEN) or 0,
            taken_from=_owner(item, "taken_from"),
            done=_order(item, "done"),
            begun=_order(item, "begun"),
            progress=_progress(item),
            success=_success(item),
            loan=_loan(item),
        )


@cache
def _placeholders(
    condition: str, update: str, key_attr: str, ttl_attr: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the attributes' names by placeholder, and the placeholders of values."""
    own = {"#id": key_attr, "#expiration": ttl_attr}
    expressions = f"{condition} {update}"
    names = {name: own.get(name, name[1:]) for name in re.findall(r"#\w+", expressions)}
    return names, tuple(sorted(set(re.findall(r":\w+", expressions))))


def _encode(value: Value) -> Any:
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": value}
    return {"M": {key: {"S": text} for key, text in value.items()}}


def _number(item: Mapping[str, Any], attribute: str, most: int) -> int | None:
    if attribute not in item:
        return None
    # Up to 38 digits, with a fraction, a sign or an exponent: whatever its writer wanted.
    digits = str(item[attribute].get("N"))
    if not digits.isdecimal() or int(digits) > most:
        raise ValueError(f"its {attribute} is not a whole number from 0 to {most}")
    return int(digits)


def _progress(item: Mapping[str, Any]) -> Progress | None:
    if "progress_token" not in item:
        return None
    text = item.get("progress", {}).get("S")
    token = _number(item, "progress_token", _LAST_TOKEN)
    seq = _number(item, "progress_seq", _LAST_TOKEN)
    # It is given to the handler, and so cannot be cut.
    if not isinstance(text, str) or len(text) > LONGEST_PROGRESS or token is None or seq is None:
        raise ValueError("its progress is not a text with a token and a number")
    return Progress(text, token, seq)


def _success(item: Mapping[str, Any]) -> Success | None:
    if "succeeded" not in item:
        return None
    token = _number(item, "succeeded", _LAST_TOKEN)
    work = item.get("succeeded_by", {}).get("S")
    if token is None or not isinstance(work, str) or len(work) > LONGEST_WORK:
        raise ValueError("its success is not a token with a text of whose it is")
    return Success(token, work)


def _loan(item: Mapping[str, Any]) -> Loan | None:
    execution = _owner(item, "baton")
    if execution is None:
        return None
    token = _number(item, "baton_token", _LAST_TOKEN)
    until = _number(item, "attempt_until_ms", _LAST_MOMENT)
    if token is None:
        raise ValueError("its baton has no baton_token")
    return Loan(execution, token, None if until is None else until / 1000)


def _order(item: Mapping[str, Any], attribute: str) -> int | str | None:
    if "S" not in item.get(attribute, {}):
        return _number(item, attribute, HIGHEST_ORDER)
    time = item[attribute]["S"]
    if not isinstance(time, str) or len(time) > LONGEST_OWNER:
        raise ValueError(f"its {attribute} is neither a whole number nor a time")
    return time


def _owner(item: Mapping[str, Any], attribute: str) -> str | None:
    if attribute not in item:
        return None
    owner = item[attribute].get("S")
    # It is sent back in conditions, and so cannot be cut.
    if not isinstance(owner, str) or len(owner) > LONGEST_OWNER:
        raise ValueError(f"its {attribute} is not a string of up to {LONGEST_OWNER} characters")
    return owner


def _texts(
    item: Mapping[str, Any], attribute: str, known: tuple[str, ...]
) -> dict[str, str] | None:
    # Nothing is decided on these: what cannot be read is left out.
    described = item.get(attribute, {}).get("M")
    if described is None:
        return None
    facts = {key: described[key].get("S") for key in known if key in described}
    return {key: text[:LONGEST_FACT] for key, text in facts.items() if isinstance(text, str)}
