"""A job that guards its data with the fencing token, so that not even a paused holder can harm it.

A handler whose process was paused for longer than its lease believes in it when it wakes up. It is
interrupted, but a write may be on its way by then: the table refuses it, since the account has been
written with a higher token.
"""

import os
import time
from typing import Any

import boto3

import work
from lambda_singleton import Lease, fenced, singleton

accounts = boto3.resource("dynamodb").Table(os.environ["ACCOUNTS_TABLE"])


@work.tracer.capture_lambda_handler
@singleton("ledger", duration=float(os.environ.get("LEASE_SECONDS", "60")))
def handler(event: dict[str, Any], context: object, lease: Lease) -> dict[str, Any]:
    """Add up the entries of an account and write its balance."""
    balance = 0
    with work.logged(lease):
        try:
            for entry in event["entries"]:
                balance += entry
                time.sleep(work.seconds() / len(event["entries"]))
        finally:
            # What was added up is kept on every way out, also when the handler is interrupted.
            saved = save(event["account"], balance, lease)
    return {"balance": balance, "saved": saved, "token": lease.token}


def save(account: str, balance: int, lease: Lease) -> bool:
    """Write the balance, unless somebody with a higher token has written it since."""
    try:
        accounts.update_item(
            **fenced(
                lease,
                Key={"id": account},
                UpdateExpression="SET balance = :balance",
                ExpressionAttributeValues={":balance": balance},
            )
        )
    except accounts.meta.client.exceptions.ConditionalCheckFailedException:
        work.logger.warning("write refused", lease=lease.name, token=lease.token, at=time.time())
        return False
    work.logger.info("write accepted", lease=lease.name, token=lease.token, at=time.time())
    return True
