"""The table itself: made for trials and tests, checked before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._errors import LeaseConfigError
from .._events.logger import logger
from .rows import Rows

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


#: The environment variable that names the table of leases.
TABLE = "SINGLETON_TABLE"


def create_table(client: DynamoDBClient, table: str, rows: Rows) -> None:
    """Create the table, with on-demand billing and TTL, unless it is there already.

    Raises `LeaseConfigError` if a table of that name has another key or another TTL attribute.
    """
    try:
        client.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": rows.key_attr, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": rows.key_attr, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    except client.exceptions.ResourceInUseException:
        logger().debug("table %r exists", table)
    waiter = client.get_waiter("table_exists")
    waiter.wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    _check_key(client.describe_table(TableName=table)["Table"]["KeySchema"], table, rows)
    ttl = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    if ttl.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
        _check_ttl(ttl.get("AttributeName"), table, rows)
    else:
        client.update_time_to_live(
            TableName=table,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": rows.ttl_attr},
        )


def _check_key(schema: Any, table: str, rows: Rows) -> None:
    keys = [key["AttributeName"] for key in schema]
    if keys != [rows.key_attr]:
        raise LeaseConfigError(
            f"table {table!r} has the key {keys}: leases need the single partition key"
            f" {rows.key_attr!r} (see key_attr)"
        )


def _check_ttl(attribute: str | None, table: str, rows: Rows) -> None:
    if attribute != rows.ttl_attr:
        raise LeaseConfigError(
            f"table {table!r} has its TTL on {attribute!r}, not on {rows.ttl_attr!r} (see ttl_attr)"
        )
