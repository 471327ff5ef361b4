"""The guarded resource's side of a fencing token, for DynamoDB items."""

from __future__ import annotations

import re
from typing import Any

from ._errors import LeaseConfigError
from ._holding.lease import Lease

_SET = r"(?i)(?<![#:\w])SET\b"


def fenced(lease: Lease | int, /, *, attribute: str = "fence", **request: Any) -> dict[str, Any]:
    """Add the fencing token to a DynamoDB request, so that a former holder's write is refused.

    The item remembers the highest token that wrote it, in `attribute`, and a request with a lower
    one fails with `ConditionalCheckFailedException`. Works for the arguments of put_item,
    update_item and delete_item, of a boto3 `Table` as of a low-level client (recognised by its
    `TableName`), and for a `Put`, `Update`, `Delete` or `ConditionCheck` of a transaction:

        table.put_item(**fenced(lease, Item={"id": "report", "total": 7}))
        client.transact_write_items(TransactItems=[
            {"ConditionCheck": fenced(lease, TableName="reports", Key={"id": {"S": "report"}})},
            ...
        ])

    Conditions and expressions of your own are kept. Delete and ConditionCheck check the token but
    leave nothing that remembers it.

    Args:
        lease: The lease, or its token where only that was handed on.
        attribute: The item's attribute that holds the highest token.
        request: The request's arguments as boto3 takes them.
    """
    token = lease.token if isinstance(lease, Lease) else lease
    if isinstance(token, bool) or not isinstance(token, int):
        raise LeaseConfigError(f"fenced() takes a lease or a token, not {lease!r}")
    if not ("Item" in request or "Key" in request):
        raise LeaseConfigError("fenced() takes the arguments of a write: Item or Key is missing")
    value = {"N": str(token)} if "TableName" in request else token
    guarded = dict(request)
    if "Item" in request:
        guarded["Item"] = {**request["Item"], attribute: value}
    if "UpdateExpression" in request:
        guarded["UpdateExpression"] = _also_set(request["UpdateExpression"])
    guarded["ConditionExpression"] = _also_require(request.get("ConditionExpression"))
    guarded["ExpressionAttributeNames"] = {
        **request.get("ExpressionAttributeNames", {}),
        "#lease_fence": attribute,
    }
    guarded["ExpressionAttributeValues"] = {
        **request.get("ExpressionAttributeValues", {}),
        ":lease_fence": value,
    }
    return guarded


def _also_set(update: str) -> str:
    fence = "SET #lease_fence = :lease_fence"
    if re.search(_SET, update):
        return re.sub(_SET, f"{fence},", update, count=1)
    return f"{fence} {update}"


def _also_require(condition: Any) -> Any:
    fence = "(attribute_not_exists(#lease_fence) OR #lease_fence <= :lease_fence)"
    if condition is None:
        return fence
    if not isinstance(condition, str):
        raise LeaseConfigError(
            "fenced() takes a ConditionExpression in the form of a str, not"
            f" {type(condition).__name__}"
        )
    return f"({condition}) AND {fence}"
