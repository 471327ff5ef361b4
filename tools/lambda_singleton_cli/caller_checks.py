"""Checks of whoever runs the command: what they may do with the table, and their clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lambda_singleton._clock import Clock
from lambda_singleton._stores.refusals import date_of

from .answer import Answer, ask
from .finding import Finding, ok, problem, unknown, warning
from .table_checks import KEY

# Nobody's lease: a name that @singleton refuses.
_NOBODY = "#lambda-singleton doctor"

_NEEDED_FOR = {
    "GetItem": "show and release",
    "Scan": "list and watch",
    "UpdateItem": "release, and for taking leases",
}


def caller_checks(dynamodb: Any, table: str, clock: Clock, clock_skew: float) -> Iterator[Finding]:
    """Try each request that commands send, in a form that finds and changes nothing."""
    key = {KEY: {"S": _NOBODY}}
    before = clock.time()
    answer = ask(dynamodb.get_item, TableName=table, Key=key, ConsistentRead=True)
    after = clock.time()
    yield _permission("GetItem", answer)
    yield _permission("Scan", ask(dynamodb.scan, TableName=table, Limit=1))
    update = ask(
        dynamodb.update_item,
        TableName=table,
        Key=key,
        UpdateExpression="REMOVE nothing",
        # Never true: it is refused, unless the caller is.
        ConditionExpression="attribute_exists(#id) AND attribute_not_exists(#id)",
        ExpressionAttributeNames={"#id": KEY},
    )
    yield _permission("UpdateItem", update)
    yield _clock(date_of(answer.response), before, after, clock_skew)


def _permission(action: str, answer: Answer) -> Finding:
    check = f"may {action}"
    if answer.code in ("", "ConditionalCheckFailedException"):
        return ok(check, f"yes: for {_NEEDED_FOR[action]}")
    if "kms" in answer.message.lower():
        return problem(
            check,
            f"no, for the table's KMS key: {answer.message}",
            "allow yourself kms:Decrypt with that key, and see that its policy lets IAM decide",
        )
    if answer.is_denied:
        return warning(
            check,
            f"no: {answer.message}",
            f"allow yourself dynamodb:{action} for {_NEEDED_FOR[action]}",
        )
    return unknown(check, f"{answer.code}: {answer.message}")


def _clock(date: float | None, before: float, after: float, clock_skew: float) -> Finding:
    if date is None:
        return unknown("clock", "DynamoDB did not say what time it is")
    # DynamoDB tells the second that it is in: its time was between date and date + 1.
    ahead, behind = before - (date + 1), date - after
    off = max(ahead, behind)
    if off > clock_skew:
        which = "ahead of" if ahead > behind else "behind"
        return problem(
            "clock",
            f"this machine's clock is at least {off:.1f} s {which} DynamoDB's",
            "synchronise it (NTP): leases are refused to whoever is off by more than"
            f" {clock_skew:g} s",
        )
    return ok("clock", "this machine's agrees with DynamoDB's to a second")
