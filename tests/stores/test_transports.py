"""Which environment leads to which transport: each row of the table in docs/transports.md."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import boto3
import pytest

from lambda_singleton import DynamoDBStore, LeaseConfigError
from lambda_singleton._stores.route import NotPlainError, plain_route

from .scripted_server import Peer, ScriptedServer, reply

PAGE = Path(__file__).parents[2] / "docs" / "transports.md"
HERE = str(Path(__file__))
BASIC = {
    "AWS_ACCESS_KEY_ID": "AKID",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_CONFIG_FILE": "/nowhere/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
}
AT_AWS = "dynamodb.eu-central-1.amazonaws.com"


class Row(NamedTuple):
    """Variables that are added to the basic ones (None: taken away), and the host they lead to."""

    environment: str
    variables: Mapping[str, str | None]
    host: str | None


ROWS = [
    Row("access key and secret key in the environment, a Region of the partition aws", {}, AT_AWS),
    *(
        Row(
            "access key and secret key in the environment, a Region of the partition aws",
            {"AWS_DEFAULT_REGION": region},
            f"dynamodb.{region}.amazonaws.com",
        )
        for region in ("us-east-1", "ap-southeast-5", "mx-central-1", "il-central-1", "af-south-1")
    ),
    Row("a session token as well, as in Lambda", {"AWS_SESSION_TOKEN": "token"}, AT_AWS),
    Row(
        "AWS_REGION alone, without AWS_DEFAULT_REGION",
        {"AWS_DEFAULT_REGION": None, "AWS_REGION": "sa-east-1"},
        "dynamodb.sa-east-1.amazonaws.com",
    ),
    *(
        Row(
            "AWS_ENDPOINT_URL or AWS_ENDPOINT_URL_DYNAMODB, for any Region",
            {**endpoints, "AWS_DEFAULT_REGION": region},
            host,
        )
        for endpoints, host in (
            ({"AWS_ENDPOINT_URL": "http://localhost:8000"}, "localhost:8000"),
            ({"AWS_ENDPOINT_URL": "https://[::1]:8000/"}, "[::1]:8000"),
            ({"AWS_ENDPOINT_URL_DYNAMODB": "https://a.b:443"}, "a.b"),
            ({"AWS_ENDPOINT_URL_DYNAMODB": "http://a", "AWS_ENDPOINT_URL": "http://b"}, "a"),
        )
        for region in ("eu-central-1", "cn-north-1", "local")
    ),
    Row(
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        {
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
            "AWS_ENDPOINT_URL": "http://a",
            "AWS_ENDPOINT_URL_DYNAMODB": "http://a",
        },
        AT_AWS,
    ),
    *(
        Row("an endpoint with a path, a query or a user", {"AWS_ENDPOINT_URL": url}, None)
        for url in (
            "http://a/b",
            "http://a/?b",
            "http://user:secret@a/",
            "http://evil.example\\@127.0.0.1/",
            "http://a\r\nb",
            "http://a:b",
            "ftp://a",
            "//a",
        )
    ),
    *(
        Row(
            "no credentials in the environment: a role, SSO, a container, an instance",
            {**dict.fromkeys(missing), **others},
            None,
        )
        for missing in (
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            ("AWS_ACCESS_KEY_ID",),
            ("AWS_SECRET_ACCESS_KEY",),
        )
        for others in (
            {},
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.2/"},
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/a"},
        )
    ),
    *(
        Row("no Region, or one of another partition", {"AWS_DEFAULT_REGION": region}, None)
        for region in (
            None,
            "",
            "cn-north-1",
            "us-gov-west-1",
            "us-iso-east-1",
            "us-isob-east-1",
            "eu-isoe-west-1",
            "eusc-de-east-1",
            "local",
            "aws-global",
            "eu-central-1\r\nx: y",
            "eu-central-1.evil.example/",
        )
    ),
    Row("a profile", {"AWS_PROFILE": "work"}, None),
    Row("a profile", {"AWS_DEFAULT_PROFILE": "work"}, None),
    *(
        Row("a configuration file, or a file of credentials", {name: HERE}, None)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
    ),
    *(
        Row("AWS_USE_FIPS_ENDPOINT or AWS_USE_DUALSTACK_ENDPOINT", {name: value}, host)
        for name in ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")
        for value, host in (("true", None), ("True", None), ("false", AT_AWS))
    ),
    *(
        Row(
            "AWS_ACCOUNT_ID_ENDPOINT_MODE, unless disabled",
            {"AWS_ACCOUNT_ID_ENDPOINT_MODE": value},
            host,
        )
        for value, host in (("required", None), ("preferred", None), ("disabled", AT_AWS))
    ),
    *(
        Row("AWS_AUTH_SCHEME_PREFERENCE, AWS_SECURITY_TOKEN or AWS_DATA_PATH", {name: "a"}, None)
        for name in ("AWS_AUTH_SCHEME_PREFERENCE", "AWS_SECURITY_TOKEN", "AWS_DATA_PATH")
    ),
    Row("a proxy on the way", {"HTTPS_PROXY": "http://proxy:3128"}, None),
    Row("a proxy on the way", {"https_proxy": "http://proxy:3128", "NO_PROXY": "b"}, None),
    Row(
        "a proxy that NO_PROXY excepts",
        {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "amazonaws.com"},
        AT_AWS,
    ),
    Row("a proxy that NO_PROXY excepts", {"HTTP_PROXY": "http://proxy:3128"}, AT_AWS),
    Row("AWS_CA_BUNDLE or REQUESTS_CA_BUNDLE, a file", {"AWS_CA_BUNDLE": HERE}, AT_AWS),
    Row("AWS_CA_BUNDLE or REQUESTS_CA_BUNDLE, a file", {"REQUESTS_CA_BUNDLE": HERE}, AT_AWS),
    *(
        Row("AWS_CA_BUNDLE or REQUESTS_CA_BUNDLE that is not a file", {name: value}, None)
        for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
        for value in ("", "/nowhere", "/")
    ),
]


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with the basic variables, and nothing else that counts."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith(("_proxy", "_ca_bundle")):
            monkeypatch.delenv(name)
    for name, value in BASIC.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SINGLETON_TRANSPORT", raising=False)
    return monkeypatch


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.environment}: {row.variables}")
def test_row(surroundings: pytest.MonkeyPatch, row: Row) -> None:
    for name, value in row.variables.items():
        if value is None:
            surroundings.delenv(name)
        else:
            surroundings.setenv(name, value)
    if row.host is None:
        with pytest.raises(NotPlainError) as reason:
            plain_route(os.environ)
        assert "secret" not in str(reason.value)
    else:
        assert plain_route(os.environ).address.authority == row.host
        bundle = row.variables.get("AWS_CA_BUNDLE") or row.variables.get("REQUESTS_CA_BUNDLE")
        assert bundle in (None, plain_route(os.environ).authorities)


def test_the_page_has_these_rows() -> None:
    table = PAGE.read_text().partition("| environment | transport |")[2].partition("\n\n")[0]
    told = dict(re.findall(r"^\| (?!-)(.+?) \| (direct|boto3).*\|$", table, re.MULTILINE))
    # These two are not of the environment, and have tests of their own below.
    for other in ("a client that was given", "moto or vcr, while they answer"):
        assert told.pop(other) == "boto3"
    assert told == {
        row.environment: "direct" if row.host else "boto3"
        for row in ROWS
        # A value that turns it off is the first row again.
        if not {"false", "disabled"} & set(row.variables.values())
    }


@pytest.fixture
def server(surroundings: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    def script(peer: Peer, number: int) -> None:
        while True:
            peer.read()
            peer.send(reply(b"{}"))

    with ScriptedServer(script) as server:
        surroundings.setenv("AWS_ENDPOINT_URL", server.endpoint)
        surroundings.setattr(boto3, "DEFAULT_SESSION", None)
        yield server


def agents(server: ScriptedServer) -> list[str]:
    """Who sent each request."""
    found = [re.search(rb"(?i)\r\nuser-agent: lambda-singleton (\w+)", r) for r in server.requests]
    return [match[1].decode() for match in found if match]


class TestChoice:
    def test_by_argument(self, server: ScriptedServer) -> None:
        for transport in (None, "boto3", "direct"):
            DynamoDBStore("leases", transport=transport).get("a")
        assert agents(server) == ["Botocore", "Botocore", "direct"]

    def test_by_variable_which_an_argument_beats(
        self, server: ScriptedServer, surroundings: pytest.MonkeyPatch
    ) -> None:
        store = DynamoDBStore("leases")
        surroundings.setenv("SINGLETON_TRANSPORT", "direct")
        store.get("a")
        DynamoDBStore("leases", transport="boto3").get("a")
        assert agents(server) == ["direct", "Botocore"]

    @pytest.mark.parametrize("transport", ["", "Direct", "http", 1])
    def test_another_one_is_refused(
        self, server: ScriptedServer, surroundings: pytest.MonkeyPatch, transport: str
    ) -> None:
        with pytest.raises(LeaseConfigError, match="transport must be"):
            DynamoDBStore("leases", transport=transport)
        surroundings.setenv("SINGLETON_TRANSPORT", "http")
        with pytest.raises(LeaseConfigError, match="SINGLETON_TRANSPORT must be"):
            DynamoDBStore("leases").get("a")
        assert server.requests == []

    def test_stepping_aside_is_told_once(
        self,
        server: ScriptedServer,
        surroundings: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        surroundings.setenv("AWS_SECURITY_TOKEN", "secret")
        store = DynamoDBStore("leases", transport="direct")
        with caplog.at_level(logging.DEBUG, "lambda_singleton"):
            store.get("a")
            store.get("a")
        assert [record.getMessage() for record in caplog.records] == [
            "transport: boto3 in place of direct, since AWS_SECURITY_TOKEN is set"
        ]
        assert agents(server) == ["Botocore"] * 2

    def test_for_a_client_that_was_given(
        self, server: ScriptedServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = boto3.client("dynamodb", endpoint_url=server.endpoint)
        with caplog.at_level(logging.DEBUG, "lambda_singleton"):
            DynamoDBStore("leases", client=client, transport="direct").get("a")
        assert "since a client was given" in caplog.text
        assert len(server.requests) == 1
        assert agents(server) == []

    def test_while_moto_answers(
        self, server: ScriptedServer, surroundings: pytest.MonkeyPatch
    ) -> None:
        moto = pytest.importorskip("moto")
        store = DynamoDBStore("leases", transport="direct")
        store.get("a")
        with moto.mock_aws():
            surroundings.delenv("AWS_ENDPOINT_URL")
            store.create_table()
            store.get("a")
        store.get("a")
        assert agents(server) == ["direct"] * 2

    def test_while_vcr_records(
        self, server: ScriptedServer, surroundings: pytest.MonkeyPatch
    ) -> None:
        surroundings.setitem(sys.modules, "vcr", pytest)
        DynamoDBStore("leases", transport="direct").get("a")
        assert agents(server) == ["Botocore"]

    def test_credentials_are_read_at_each_request(
        self, server: ScriptedServer, surroundings: pytest.MonkeyPatch
    ) -> None:
        store = DynamoDBStore("leases", transport="direct")
        for key in ("FIRST", "SECOND"):
            surroundings.setenv("AWS_ACCESS_KEY_ID", key)
            surroundings.setenv("AWS_SESSION_TOKEN", f"token-of-{key}")
            store.get("a")
        for key, request in zip(("FIRST", "SECOND"), server.requests, strict=True):
            assert f"Credential={key}/".encode() in request
            assert f"x-amz-security-token: token-of-{key}".encode() in request

    def test_a_route_is_not_kept_for_a_child_of_fork(
        self, server: ScriptedServer, surroundings: pytest.MonkeyPatch
    ) -> None:
        store = DynamoDBStore("leases", transport="direct")
        store.get("a")
        if not os.fork():
            os.environ["AWS_PROFILE"] = "work"
            # With a profile only boto3 knows the way, and there is none of that name.
            try:
                store.get("a")
            except LeaseConfigError:
                os._exit(0)
            os._exit(1)
        assert os.wait()[1] == 0
        assert agents(server) == ["direct"]
