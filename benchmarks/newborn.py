"""What a fresh process does first, for `cold_start`: prints its seconds of CPU and of time.

Usage: newborn.py STATE ACT TABLE, as a script: what it imports before it measures would be had for
nothing by what is measured.
"""

from __future__ import annotations

import gc
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

state, act, table = sys.argv[1:]
sys.path[0] = sys.path[0].rpartition("/")[0]

client: Any = None
if "boto3" in state:
    import boto3
    from botocore.config import Config

    # As the library asks for, of a client that it is given.
    config = Config(connect_timeout=1, read_timeout=1.5, retries={"total_max_attempts": 1})
    client = boto3.client("dynamodb", config=config)
    client.get_item(TableName=table, Key={"id": {"S": "anything"}})
if state == "has boto3":
    gc.collect()

started = time.process_time(), time.perf_counter()
if act == "import":
    import lambda_singleton  # noqa: F401
elif act == "two calls":
    for name in ("a", "b"):
        client.update_item(
            TableName=table,
            Key={"id": {"S": name}},
            ConditionExpression="attribute_not_exists(#owner)",
            UpdateExpression="SET #owner = :owner",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": {"S": table}},
            ReturnValues="ALL_NEW",
        )
elif act == "given the client":
    from lambda_singleton import DynamoDBStore, Lock

    Lock("cold", 60, store=DynamoDBStore(table, client=client)).acquire().release()
else:
    from benchmarks.contenders import load

    load(act)(table, 60.0).guard("cold", lambda: None)
print(time.process_time() - started[0], time.perf_counter() - started[1])
