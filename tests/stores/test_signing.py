"""Signature Version 4: AWS's own examples, and botocore's signature byte for byte."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from unittest import mock

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from lambda_singleton._stores.signing import Credentials, Scope, authorization, signing_key

MOMENT = "20150830T123600Z"
EXAMPLE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SCOPE = Scope("us-east-1", "service")
BASIC = {"host": "example.amazonaws.com", "x-amz-date": MOMENT}


# The suite's requests that are POSTs to the root path, by their names there.
@pytest.mark.parametrize(
    ("headers", "body", "signature"),
    [
        pytest.param(
            {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            id="post-vanilla",
        ),
        pytest.param(
            {"my-header1": "value1"}, b"",
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
            id="post-header-key-sort",
        ),
        pytest.param(
            {"my-header1": "VALUE1"}, b"",
            "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
            id="post-header-value-case",
        ),
        pytest.param(
            {"content-type": "application/x-www-form-urlencoded"}, b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            id="post-x-www-form-urlencoded",
        ),
    ],
)  # fmt: skip
def test_the_examples_of_aws(headers: dict[str, str], body: bytes, signature: str) -> None:
    signed = authorization({**headers, **BASIC}, body, MOMENT, EXAMPLE, SCOPE)
    assert signed == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request,"
        f" SignedHeaders={';'.join(sorted({*headers, *BASIC}))}, Signature={signature}"
    )


def test_the_key_of_the_documentation() -> None:
    key = signing_key(EXAMPLE.secret_key, "20150830", Scope("us-east-1", "iam"))
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


def test_what_botocore_signs_to_the_byte() -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for number in range(3000):
        moment = datetime.fromtimestamp(chance.uniform(0, 4e9), UTC).replace(microsecond=0)
        signs = [chr(code) for code in range(0x21, 0x7F)]
        token = "".join(chance.choices(signs, k=chance.randrange(1, 900)))
        credentials = Credentials(
            "".join(chance.choices(signs, k=20)),
            "".join(chance.choices([*signs, " ", "\N{SNOWMAN}"], k=40)),
            chance.choice([None, token]),
        )
        scope = Scope(chance.choice(["us-east-1", "eu-central-1", "cn-north-1"]), "dynamodb")
        host = chance.choice(["dynamodb.us-east-1.amazonaws.com", "localhost:8000", "[::1]:80"])
        body = chance.randbytes(chance.randrange(2000))
        expected = by_botocore(host, body, moment, credentials, scope)
        stamp = f"{moment:%Y%m%dT%H%M%SZ}"
        headers = {
            "content-type": "application/x-amz-json-1.0",
            "host": host.removesuffix(":80"),
            "x-amz-date": stamp,
            "x-amz-target": "DynamoDB_20120810.UpdateItem",
        }
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        ours = authorization(headers, body, stamp, credentials, scope)
        assert ours == expected, f"seed {seed}, number {number}"


def by_botocore(
    host: str, body: bytes, moment: datetime, credentials: Credentials, scope: Scope
) -> str:
    request = AWSRequest(
        method="POST",
        url=f"http://{host}/",
        headers={
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "DynamoDB_20120810.UpdateItem",
        },
        data=body,
    )
    signer = SigV4Auth(BotocoreCredentials(*credentials), scope.service, scope.region)
    # Versions differ in how they ask for the time.
    with (
        mock.patch("botocore.auth.datetime") as clock,
        mock.patch("botocore.auth.get_current_datetime", return_value=moment, create=True),
    ):
        clock.datetime.utcnow.return_value = moment
        clock.datetime.now.return_value = moment
        signer.add_auth(request)
    return str(request.headers["Authorization"])
