"""The guarded resource's side of a fencing token, for DynamoDB items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._errors import LeaseConfigError
from .._holding.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME, VALUE = "#lease_fence", ":lease_fence"

#: Parameters from before there were expressions, which cannot be combined with them.
_LEGACY = ("AttributeUpdates", "Expected", "ConditionalOperator")

_TYPES = frozenset({"S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"})

#: What a row's token can be at most.
_HIGHEST = 2**63 - 1


def fenced(lease: Lease | int, /, *, attribute: str = "fence", **request: Any) -> dict[str, Any]:
    """Add the fencing token to a DynamoDB request, so that a former holder's write is refused.

    The item remembers the highest token that wrote it, in `attribute`, and a request with a lower
    one fails with `ConditionalCheckFailedException`. Works for the arguments of put_item,
    update_item and delete_item, and for a `Put`, `Update`, `Delete` or `ConditionCheck` of a
    transaction:

        table.put_item(**fenced(lease, Item={"id": "report", "total": 7}))
        client.transact_write_items(TransactItems=[
            {"ConditionCheck": fenced(lease, TableName="reports", Key={"id": {"S": "report"}})},
            ...
        ])

    The token is written in the form of the values beside it: as a number beside `{"id": "report"}`,
    which a boto3 `Table` and its `meta.client` take, and as `{"N": "7"}` beside
    `{"id": {"S": "report"}}`, which a low-level client takes.

    Conditions and expressions of your own are kept. Delete and ConditionCheck check the token but
    leave nothing that remembers it, and neither does an update without an UpdateExpression.

    Args:
        lease: The lease, or its token where only that was handed on.
        attribute: The item's attribute that holds the highest token; never a part of its key.
        request: The request's arguments as boto3 takes them.

    Raises:
        LeaseConfigError: For a request that could not be guarded: one with `AttributeUpdates` or
            `Expected`, with an expression whose parentheses do not match, or with an `attribute`
            that it uses for something else.
    """
    token: object = lease.token if isinstance(lease, Lease) else lease
    if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token <= _HIGHEST:
        raise LeaseConfigError(f"fenced() takes a lease or its token, not {lease!r:.80}")
    _refuse_unsuited(request, attribute)
    beside = request["Item"] if "Item" in request else request["Key"]
    is_low_level = all(map(_has_type, beside.values()))
    value: object = {"N": str(token)} if is_low_level else token
    names = _without_own("ExpressionAttributeNames", NAME, request)
    values = _without_own("ExpressionAttributeValues", VALUE, request)
    guarded = dict(request)
    if "Item" in request:
        guarded["Item"] = {**request["Item"], attribute: value}
    if "UpdateExpression" in request:
        guarded["UpdateExpression"] = _also_set(request["UpdateExpression"], attribute, names)
    guarded["ConditionExpression"] = _also_require(request.get("ConditionExpression"))
    guarded["ExpressionAttributeNames"] = {**names, NAME: attribute}
    guarded["ExpressionAttributeValues"] = {**values, VALUE: value}
    return guarded


def _refuse_unsuited(request: Mapping[str, Any], attribute: object) -> None:
    if ("Item" in request) == ("Key" in request):
        raise LeaseConfigError("fenced() takes the arguments of a write: either Item or Key")
    what = "Item" if "Item" in request else "Key"
    if not hasattr(request[what], "keys") or not request[what]:
        raise LeaseConfigError(f"fenced() takes a {what} with the attributes of a key")
    if not isinstance(attribute, str) or not attribute or attribute in request.get("Key", {}):
        raise LeaseConfigError(
            f"fenced() keeps the token in an attribute that is no part of the key, not in"
            f" {attribute!r}"
        )
    if not _may_be_token(request.get("Item", {}).get(attribute, 0)):
        raise LeaseConfigError(
            f"fenced() would replace the item's own {attribute!r}: give another attribute"
        )
    for legacy in _LEGACY:
        if legacy in request:
            raise LeaseConfigError(f"fenced() cannot guard {legacy}: use an expression instead")
    # Only an update can return these: without an expression it would not record the token.
    returned = request.get("ReturnValues", "NONE")
    if "UpdateExpression" not in request and returned not in ("NONE", "ALL_OLD"):
        raise LeaseConfigError("fenced() cannot guard an update without UpdateExpression")


def _has_type(value: object) -> bool:
    return isinstance(value, dict) and len(value) == 1 and value.keys() <= _TYPES


def _may_be_token(value: Any) -> bool:
    # An item that was read before and is written back has the token of then.
    if isinstance(value, dict):
        return value.keys() == {"N"}
    return not isinstance(value, bool) and hasattr(value, "__int__")


def _without_own(parameter: str, placeholder: str, request: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(request.get(parameter) or {})
    if placeholder in given:
        raise LeaseConfigError(f"fenced() uses the placeholder {placeholder} itself")
    return given


def _also_set(update: object, attribute: str, names: Mapping[str, str]) -> str:
    from .expression import UnreadableError, Update

    try:
        own = Update(_text(update, "UpdateExpression"))
    except UnreadableError as error:
        raise LeaseConfigError(f"fenced() cannot read this UpdateExpression: {error}") from None
    _refuse_own_placeholders(own.tokens)
    if any(names.get(token, token) == attribute for token in own.names()):
        raise LeaseConfigError(f"fenced() sets {attribute!r} itself: leave it out of the update")
    return own.also_set(f"{NAME} = {VALUE}")


def _also_require(condition: object) -> str:
    from .expression import Condition, UnreadableError

    fence = "(attribute_not_exists(#lease_fence) OR #lease_fence <= :lease_fence)"
    if condition is None:
        return fence
    try:
        own = Condition(_text(condition, "ConditionExpression"))
    except UnreadableError as error:
        raise LeaseConfigError(f"fenced() cannot read this ConditionExpression: {error}") from None
    _refuse_own_placeholders(own.tokens)
    return own.also(fence)


def _text(expression: object, parameter: str) -> str:
    if not isinstance(expression, str):
        raise LeaseConfigError(
            f"fenced() takes {parameter} in the form of a str, not {type(expression).__name__}"
        )
    return expression


def _refuse_own_placeholders(tokens: Iterable[str]) -> None:
    if NAME in tokens or VALUE in tokens:
        raise LeaseConfigError(f"fenced() uses the placeholders {NAME} and {VALUE} itself")
