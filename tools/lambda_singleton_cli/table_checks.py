"""Checks of the table of leases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .answer import Answer, ask
from .finding import Finding, ok, problem, unknown, warning

KEY, TTL = "id", "expiration"


def table_checks(dynamodb: Any, kms: Any, table: str) -> Iterator[Finding]:
    """Look at the table; nothing is written. What may not be asked is said to be unknown."""
    answer = ask(dynamodb.describe_table, TableName=table)
    if answer.code == "ResourceNotFoundException":
        yield problem(
            "table",
            f"there is no table '{table}' in this account and Region",
            f"deploy the template, or for a trial: lambda-singleton create-table --table {table}",
        )
        return
    if answer.code:
        yield refused("table", answer, "dynamodb:DescribeTable")
        return
    description = answer.response["Table"]
    is_strong = description.get("MultiRegionConsistency") == "STRONG"
    yield _key(description)
    yield _ttl(ask(dynamodb.describe_time_to_live, TableName=table), table, is_strong)
    yield _deletion_protection(description, table)
    yield _replicas(description, is_strong)
    yield _encryption(description, kms)


def refused(check: str, answer: Answer, action: str) -> Finding:
    """Return the finding for what AWS did not tell."""
    if answer.is_denied:
        return unknown(check, f"you may not ask: {answer.message}", f"allow yourself {action}")
    return unknown(check, f"AWS refused to say: {answer.code}: {answer.message}")


def _key(description: dict[str, Any]) -> Finding:
    keys = [(key["AttributeName"], key["KeyType"]) for key in description["KeySchema"]]
    types = {
        one["AttributeName"]: one["AttributeType"] for one in description["AttributeDefinitions"]
    }
    if keys == [(KEY, "HASH")] and types.get(KEY) == "S":
        return ok("key", f"the partition key is '{KEY}', a string")
    found = ", ".join(f"{name} ({kind}, {types.get(name)})" for name, kind in keys)
    return problem(
        "key",
        f"the key is {found}: leases need the single partition key '{KEY}', a string",
        "a key cannot be changed: make another table, or give DynamoDBStore its key_attr",
    )


def _ttl(answer: Answer, table: str, is_strong: bool) -> Finding:
    if answer.code:
        return refused("ttl", answer, "dynamodb:DescribeTimeToLive")
    said = answer.response["TimeToLiveDescription"]
    is_on = said.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
    command = (
        f"aws dynamodb update-time-to-live --table-name {table} --time-to-live-specification"
        f" Enabled=true,AttributeName={TTL}"
    )
    if is_on and said.get("AttributeName") == TTL:
        return ok("ttl", f"rows go by '{TTL}', days after their last use")
    if is_on:
        return problem(
            "ttl",
            f"TTL is on '{said.get('AttributeName')}': leases' rows go at the wrong time, or never",
            f"turn it off, wait for an hour, and: {command}",
        )
    if is_strong:
        return ok(
            "ttl", "none: tables with strong consistency have no TTL; delete old rows yourself"
        )
    return warning(
        "ttl", "TTL is off: rows of keys that nobody uses any more stay for good", command
    )


def _deletion_protection(description: dict[str, Any], table: str) -> Finding:
    if description.get("DeletionProtectionEnabled"):
        return ok("deletion protection", "on")
    return warning(
        "deletion protection",
        "off: deleted by accident, it takes the tokens along, which have to keep rising",
        f"aws dynamodb update-table --table-name {table} --deletion-protection-enabled",
    )


def _replicas(description: dict[str, Any], is_strong: bool) -> Finding:
    regions = [replica["RegionName"] for replica in description.get("Replicas", [])]
    if not regions:
        return ok("replicas", "none: this Region decides")
    if is_strong:
        return ok("replicas", f"strongly consistent, with {', '.join(regions)}")
    return problem(
        "replicas",
        f"eventually consistent, with {', '.join(regions)}: each Region decides alone, so that two"
        " handlers can run at once",
        "use a table of one Region, or one with MultiRegionConsistency: STRONG",
    )


def _encryption(description: dict[str, Any], kms: Any) -> Finding:
    said = description.get("SSEDescription", {})
    if description.get("TableStatus") == "INACCESSIBLE_ENCRYPTION_CREDENTIALS":
        return problem(
            "encryption",
            "DynamoDB cannot use the table's KMS key: no lease can be taken",
            "enable the key, or undo what was changed in its policy; after seven days DynamoDB"
            " archives the table",
        )
    key = said.get("KMSMasterKeyArn")
    if said.get("SSEType") != "KMS" or not key:
        return ok("encryption", "by AWS's own key: nobody needs a permission for it")
    answer = ask(kms.describe_key, KeyId=key)
    if answer.code:
        return refused("encryption", answer, "kms:DescribeKey")
    metadata = answer.response["KeyMetadata"]
    if metadata["KeyState"] != "Enabled":
        return problem(
            "encryption",
            f"the key {key} is {metadata['KeyState']}: no lease can be taken",
            f"aws kms enable-key --key-id {key}",
        )
    if metadata.get("KeyManager") == "AWS":
        return ok(
            "encryption", "by the account's key for DynamoDB: nobody needs a permission for it"
        )
    return ok(
        "encryption", f"by the key {key}: whoever takes a lease needs kms:Decrypt with it as well"
    )
