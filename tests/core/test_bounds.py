"""The bounds that SECURITY.md states, each with the worst input that there is for it."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from awslambdaric.lambda_runtime_log_utils import JsonFormatter

from lambda_singleton import (
    DynamoDBStore,
    LeaseConfigError,
    LeaseHeldError,
    Lock,
    fenced,
    singleton,
)
from lambda_singleton._protocol.record import HOLDER_FACTS, LONGEST_FACT, LONGEST_OWNER, RUN_FACTS
from lambda_singleton_cli.timeline import MOST_BYTES
from lambda_singleton_cli.timeline.decision import LONGEST_LINE
from lambda_singleton_cli.timeline.history import MOST_OVERLAPS
from lambda_singleton_cli.timeline.log import MOST_DECISIONS
from proof.answers import Answer, Server

from ..fakes import Context

SECURITY = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")

ERROR, LOG_LINE, SKIP, ROW = 3_000, 100_000, 80_000, 25_000

#: Signs that take most room: as escapes, as JSON, and as UTF-8.
WORST = ("\x00", "\U000e0001", "\U0001f600", "'", "\\")


def refusal(sign: str) -> Answer:
    """The refusal by a row that somebody has filled up, for a lease of the longest name."""
    text, endless = {"S": sign * 40_000}, {"M": {f"k{n}": {"S": "x" * 900} for n in range(100)}}
    described = dict.fromkeys((*HOLDER_FACTS, *RUN_FACTS), text) | endless["M"]
    item: dict[str, Any] = {
        "id": {"S": name_of(sign)},
        "token": {"N": "1"},
        "owner": {"S": sign * LONGEST_OWNER},
        "expires_at_ms": {"N": "253402300799999"},
        "holder": {"M": described},
        "last_run": {"M": described},
        "else": text,
    }
    body = {"__type": "x#ConditionalCheckFailedException", "message": sign * 9999, "Item": item}
    return Answer(400, {}, json.dumps(body).encode())


def name_of(sign: str) -> str:
    return "job#" + sign * ((2048 - 4) // len(sign.encode()))


@pytest.fixture(params=WORST, ids=ascii)
def sign(request: pytest.FixtureRequest) -> str:
    text: str = request.param
    return text


@pytest.fixture
def store(sign: str) -> DynamoDBStore:
    return DynamoDBStore("leases", client=Server(refusal(sign)).client)


@pytest.fixture
def logged() -> Iterator[StringIO]:
    """What Lambda would write, in JSON."""
    logs = StringIO()
    handler = logging.StreamHandler(logs)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("lambda_singleton")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield logs
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_the_largest_error_and_log_line(store: DynamoDBStore, sign: str, logged: StringIO) -> None:
    with pytest.raises(LeaseHeldError) as held:
        Lock(name_of(sign), 30, store=store).acquire()
    assert 500 < len(str(held.value)) <= ERROR
    assert str(held.value).isprintable()
    lines = [line for line in logged.getvalue().splitlines() if line]
    assert lines
    assert max(map(len, lines)) <= LOG_LINE


def test_the_largest_skip_result(store: DynamoDBStore, sign: str) -> None:
    @singleton("job", 30, key=lambda event, context: event, on_held="skip", store=store)
    def handler(event: Any, context: Any) -> None: ...

    result = handler(name_of(sign).removeprefix("job#"), Context())
    assert result is not None
    assert result["status"] == "skipped"
    size = len(json.dumps(result))
    assert 2000 < size <= SKIP < 256_000, "what a Step Functions state may hand on"


def test_the_largest_row(sign: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = ("FUNCTION_NAME", "FUNCTION_VERSION", "LOG_GROUP_NAME", "LOG_STREAM_NAME")
    for variable in variables:
        monkeypatch.setenv(f"AWS_LAMBDA_{variable}", sign.replace("\0", "x") * 9_999)
    sent: list[bytes] = []
    server = Server(refusal(sign))
    server.client.meta.events.register_first(
        "before-send.dynamodb", lambda request, **_: sent.append(request.body)
    )
    context = Context()
    context.aws_request_id = sign * 9_999

    @singleton(
        "job", 30, key=lambda event, context: event, store=DynamoDBStore("x", client=server.client)
    )
    def handler(event: Any, context: Any) -> None: ...

    with pytest.raises(LeaseHeldError):
        handler(name_of(sign).removeprefix("job#"), context)
    (body,) = sent
    item = json.loads(body)["ExpressionAttributeValues"]
    assert len(json.dumps(item, ensure_ascii=False).encode()) <= ROW
    holder = item[":holder"]["M"]
    assert holder.keys() <= set(HOLDER_FACTS), "a fact that nobody would read"
    assert max(len(value["S"]) for value in holder.values()) <= LONGEST_FACT


def test_the_time_that_an_expression_takes() -> None:
    # DynamoDB takes 4 KB.
    for text in ("(" * 200_000, "a = :x AND " * 50_000 + "a = :x", " " * 500_000, "#" * 500_000):
        began = time.process_time()
        with suppress(LeaseConfigError):
            fenced(1, Item={"id": "x"}, ConditionExpression=text)
        assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "said",
    [
        f"{ERROR:,} signs",
        f"{LOG_LINE:,} bytes",
        f"{SKIP:,} bytes",
        f"{ROW:,} bytes",
        f"{MOST_BYTES:,} bytes",
        f"{MOST_DECISIONS:,} decisions",
        f"{MOST_OVERLAPS:,} overlaps",
        f"{LONGEST_LINE:,} signs",
        f"{LONGEST_FACT:,} signs",
        f"{LONGEST_OWNER:,} signs",
    ],
)
def test_the_page_says_so(said: str) -> None:
    (table,) = re.findall(r"\n## The bounds\n(.*?)(?:\n## |\Z)", SECURITY, re.DOTALL)
    assert said in table
