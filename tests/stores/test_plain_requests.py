"""Who uses nothing new sends what was always sent, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "scripts" / "plain_requests.py"
PLAIN: list[dict[str, Any]] = [
    {
        "TableName": "leases",
        "Key": {"id": {"S": "job"}},
        "ConditionExpression": "attribute_not_exists(#id) OR (attribute_not_exists(#owner) AND"
        " (attribute_not_exists(#expires_at_ms) OR #expires_at_ms <= :now)) OR"
        " #expires_at_ms <= :dead OR (#owner = :owner AND #expires_at_ms <= :expires_at)",
        "UpdateExpression": "SET #token = if_not_exists(#token, :now) + :one, #owner = :owner,"
        " #holder = :holder, #expires_at_ms = :expires_at, #duration_ms = :duration,"
        " #expiration = :expiration, #taken_from = if_not_exists(#owner, :owner)",
        "ExpressionAttributeNames": {
            "#id": "id",
            "#owner": "owner",
            "#expires_at_ms": "expires_at_ms",
            "#token": "token",
            "#holder": "holder",
            "#duration_ms": "duration_ms",
            "#expiration": "expiration",
            "#taken_from": "taken_from",
        },
        "ExpressionAttributeValues": {
            ":dead": {"N": "1799999999000"},
            ":duration": {"N": "30000"},
            ":expiration": {"N": "1800604830"},
            ":expires_at": {"N": "1800000030000"},
            ":holder": {
                "M": {
                    "function": {"S": "work"},
                    "version": {"S": "7"},
                    "request_id": {"S": "8f2c6d1e-0000-4000-8000-000000000000"},
                    "region": {"S": "eu-west-1"},
                    "acquired_at": {"S": "2027-01-15T08:00:00.000Z"},
                }
            },
            ":now": {"N": "1800000000000"},
            ":one": {"N": "1"},
            ":owner": {"S": "000102030405060708090a0b0c0d0e0f"},
        },
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    },
    {
        "TableName": "leases",
        "Key": {"id": {"S": "job"}},
        "ConditionExpression": "#owner = :owner AND #expires_at_ms <= :expires_at",
        "UpdateExpression": "SET #expires_at_ms = :expires_at, #expiration = :expiration",
        "ExpressionAttributeNames": {
            "#owner": "owner",
            "#expires_at_ms": "expires_at_ms",
            "#expiration": "expiration",
        },
        "ExpressionAttributeValues": {
            ":expiration": {"N": "1800604830"},
            ":expires_at": {"N": "1800000030000"},
            ":owner": {"S": "000102030405060708090a0b0c0d0e0f"},
        },
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    },
    {
        "TableName": "leases",
        "Key": {"id": {"S": "job"}},
        "ConditionExpression": "#owner = :owner",
        "UpdateExpression": "SET #last_run = :last_run, #expiration = :expiration"
        " REMOVE #owner, #expires_at_ms",
        "ExpressionAttributeNames": {
            "#owner": "owner",
            "#last_run": "last_run",
            "#expiration": "expiration",
            "#expires_at_ms": "expires_at_ms",
        },
        "ExpressionAttributeValues": {
            ":expiration": {"N": "1800604800"},
            ":last_run": {
                "M": {
                    "started": {"S": "2027-01-15T08:00:00.000Z"},
                    "ended": {"S": "2027-01-15T08:00:00.000Z"},
                    "outcome": {"S": "succeeded"},
                }
            },
            ":owner": {"S": "000102030405060708090a0b0c0d0e0f"},
        },
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    },
]


def requests_of(package: Path) -> str:
    done = subprocess.run(
        [sys.executable, SCRIPT],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(package),
            "HOME": "/nowhere",
            "AWS_LAMBDA_FUNCTION_NAME": "work",
            "AWS_LAMBDA_FUNCTION_VERSION": "7",
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            # Nobody listens there: nothing is sent.
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        },
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()[-1]


@pytest.fixture
def package(request: pytest.FixtureRequest) -> Path:
    if request.param == "this":
        return ROOT / "layer" / "python"
    before: Path = request.getfixturevalue("released")
    return before


@pytest.mark.parametrize("package", ["this", "the one before"], indirect=True)
def test_a_plain_lease_sends_these_bytes(package: Path) -> None:
    assert requests_of(package) == json.dumps(PLAIN)
