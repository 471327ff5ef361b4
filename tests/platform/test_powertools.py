"""Powertools side by side: docs/powertools.md, line by line."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    AsyncBatchProcessor,
    EventType,
    SqsFifoPartialProcessor,
    async_process_partial_response,
    process_partial_response,
)
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent,
)
from aws_lambda_powertools.utilities.parser import event_parser
from pydantic import BaseModel

from lambda_singleton import (
    Lease,
    LeaseConfigError,
    LeaseHeldError,
    LeaseStore,
    Lock,
    current_lease,
    singleton,
)
from lambda_singleton.testing import FakeContext, hold, lose, use_store

RECIPES = Path(__file__).parents[2] / "examples" / "recipes" / "src"


@pytest.fixture(autouse=True)
def store() -> Iterator[LeaseStore]:
    with use_store() as store:
        yield store


@pytest.fixture
def persistence(name: str) -> DynamoDBPersistenceLayer:
    boto3.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return DynamoDBPersistenceLayer(table_name=name)


class TestIdempotency:
    """Inside a singleton: two at once are one, and a duplicate gets the first one's result."""

    def test_inside_a_duplicate_gets_the_first_ones_result(
        self, persistence: DynamoDBPersistenceLayer
    ) -> None:
        ran: list[int] = []

        @singleton("report", 60, on_held="skip")
        @idempotent(
            persistence_store=persistence, config=IdempotencyConfig(event_key_jmespath="id")
        )
        def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
            ran.append(current_lease().token)
            return {"status": "written"}

        with hold("report"):
            assert handler({"id": "1"}, FakeContext())["status"] == "skipped"
        # The skip was not kept: the next delivery does the work.
        assert handler({"id": "1"}, FakeContext()) == {"status": "written"}
        assert handler({"id": "1"}, FakeContext()) == {"status": "written"}
        assert len(ran) == 1

    def test_outside_a_skipping_singleton_is_refused(
        self, persistence: DynamoDBPersistenceLayer
    ) -> None:
        logger = Logger(service="refused")

        @idempotent(
            persistence_store=persistence, config=IdempotencyConfig(event_key_jmespath="id")
        )
        @logger.inject_lambda_context
        @singleton("report", 60, on_held="skip")
        def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
            pytest.fail("it must not run: the next one could be skipped, and that be kept")

        for _ in range(2):
            with pytest.raises(LeaseConfigError, match="write @singleton above @idempotent"):
                handler({"id": "1"}, FakeContext())

    def test_a_function_below_an_idempotent_handler_may_be_skipped(
        self, persistence: DynamoDBPersistenceLayer
    ) -> None:
        @singleton("report", 60, on_held="skip")
        def report(event: dict[str, Any], context: Any) -> dict[str, Any]:
            return {"status": "written"}

        @idempotent(
            persistence_store=persistence, config=IdempotencyConfig(event_key_jmespath="id")
        )
        def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
            return {"report": report(event, context)["status"]}

        with hold("report"):
            assert handler({"id": "1"}, FakeContext()) == {"report": "skipped"}

    def test_outside_what_a_callable_returns_is_kept_and_the_work_is_never_done(
        self, persistence: DynamoDBPersistenceLayer
    ) -> None:
        @idempotent(
            persistence_store=persistence, config=IdempotencyConfig(event_key_jmespath="id")
        )
        @singleton("report", 60, on_held=lambda event, context, error: {"status": "busy"})
        def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
            pytest.fail("would be right, but does not happen")

        with hold("report"):
            assert handler({"id": "1"}, FakeContext())["status"] == "busy"
        # Nobody holds it any more, and yet:
        assert handler({"id": "1"}, FakeContext())["status"] == "busy"

    def test_outside_one_that_raises_nothing_is_kept(
        self, persistence: DynamoDBPersistenceLayer
    ) -> None:
        @idempotent(
            persistence_store=persistence, config=IdempotencyConfig(event_key_jmespath="id")
        )
        @singleton("report", 60)
        def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
            return {"status": "written"}

        with hold("report"), pytest.raises(LeaseHeldError):
            handler({"id": "1"}, FakeContext())
        assert handler({"id": "1"}, FakeContext()) == {"status": "written"}


class TestLoggerTracerMetrics:
    """Outside a singleton: what it decides has their context, and a skip is flushed as well."""

    def test_outside(self, capsys: pytest.CaptureFixture[str]) -> None:
        logger, tracer = Logger(service="job"), Tracer(service="job", disabled=True)
        metrics = Metrics(namespace="Job", service="job")

        @logger.inject_lambda_context(clear_state=True)
        @tracer.capture_lambda_handler
        @metrics.log_metrics
        @singleton("report", 60, on_held="skip")
        def handler(event: dict[str, Any], context: Any, lease: Lease) -> dict[str, Any]:
            logger.info("writing", token=lease.token)
            metrics.add_metric(name="Written", unit=MetricUnit.Count, value=1)
            return {"status": "written"}

        assert handler({}, FakeContext(request_id="r-1"))["status"] == "written"
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        (said,) = (line for line in lines if line.get("message") == "writing")
        assert said["function_request_id"] == "r-1"
        assert [line["Written"] for line in lines if "Written" in line] == [[1.0]]
        # Powertools warns of a run without metrics of its own, such as a skip.
        with hold("report"), pytest.warns(UserWarning, match="No application metrics"):
            assert handler({}, FakeContext())["status"] == "skipped"


class Order(BaseModel):
    order: str


class TestParser:
    """Outside or inside: a key is found in the model as in the event."""

    def test_outside(self, store: LeaseStore) -> None:
        @event_parser(model=Order)
        @singleton("ship", 60, key="order")
        def handler(event: Order, context: Any) -> str:
            return event.order

        assert handler({"order": "7"}, FakeContext()) == "7"  # type: ignore[arg-type]
        assert store.get("ship#7") is not None

    def test_inside(self, store: LeaseStore) -> None:
        @singleton("ship", 60, key="order")
        @event_parser(model=Order)
        def handler(event: Order, context: Any) -> str:
            return event.order

        assert handler({"order": "7"}, FakeContext()) == "7"  # type: ignore[arg-type]
        assert store.get("ship#7") is not None


class TestEventHandler:
    """A lock in the route, and an answer for whoever has to wait."""

    def test_a_route(self) -> None:
        app = APIGatewayRestResolver()

        @app.exception_handler(LeaseHeldError)  # type: ignore[untyped-decorator]
        def busy(error: LeaseHeldError) -> Response[str]:
            after = {"Retry-After": str(round(error.retry_after or 1))}
            return Response(409, "application/json", '{"status": "busy"}', headers=after)

        @app.post("/tenants/<tenant>/sync")
        def sync(tenant: str) -> dict[str, Any]:
            with Lock(f"tenant-sync#{tenant}", 30, context=app.lambda_context) as lease:
                return {"status": "synchronised", "token": lease.token}

        event = {
            "path": "/tenants/north/sync",
            "httpMethod": "POST",
            "requestContext": {"path": "/tenants/north/sync"},
            "headers": {},
        }
        assert app.resolve(event, FakeContext())["statusCode"] == 200  # type: ignore[arg-type]
        with hold("tenant-sync#north", 20):
            refused = app.resolve(event, FakeContext())  # type: ignore[arg-type]
        assert refused["statusCode"] == 409
        assert 20 <= int(refused["multiValueHeaders"]["Retry-After"][0]) <= 21


def batch(*orders: str) -> dict[str, Any]:
    record = {"eventSource": "aws:sqs", "attributes": {}, "messageAttributes": {}}
    return {
        "Records": [
            {**record, "messageId": f"m-{order}", "body": json.dumps({"order": order})}
            for order in orders
        ]
    }


def failed(response: Any) -> list[str]:
    return [item["itemIdentifier"] for item in response["batchItemFailures"]]


class TestBatch:
    """A lease for each record: what is held or lost fails alone."""

    @pytest.fixture
    def orders(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.syspath_prepend(str(RECIPES))
        module = importlib.import_module("orders")
        module.shipped.clear()
        return module

    def test_a_record_whose_lease_is_held_fails_alone(self, orders: Any, store: LeaseStore) -> None:
        with hold("order#2"):
            response = orders.handler(batch("1", "2", "3"), FakeContext())
        assert failed(response) == ["m-2"]
        assert [order for order, _ in orders.shipped] == ["1", "3"]
        assert {record.name for record in store.records() if record.owner} == set()
        assert failed(orders.handler(batch("2"), FakeContext())) == []

    def test_one_whose_lease_is_lost_fails_alone(
        self, orders: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def ship(order: str, lease: Lease) -> None:
            if order == "2":
                lose("order#2")
                while True:
                    os.getpid()

        monkeypatch.setattr(orders, "ship", ship)
        assert failed(orders.handler(batch("1", "2", "3"), FakeContext())) == ["m-2"]

    def test_if_all_are_held_that_is_no_error(self, orders: Any) -> None:
        with hold("order#1"), hold("order#2"):
            assert failed(orders.handler(batch("1", "2"), FakeContext())) == ["m-1", "m-2"]

    def test_the_same_order_twice_in_a_batch_is_two_leases_one_after_the_other(
        self, orders: Any
    ) -> None:
        assert failed(orders.handler(batch("1", "1"), FakeContext())) == []
        (_, first), (_, second) = orders.shipped
        assert second > first

    def test_in_a_fifo_queue_those_behind_it_come_again_too(self, orders: Any) -> None:
        processor = SqsFifoPartialProcessor()
        with hold("order#2"):
            response = process_partial_response(
                event=batch("1", "2", "3"),
                record_handler=orders.record_handler,
                processor=processor,
                context=FakeContext(),  # type: ignore[arg-type]
            )
        assert failed(response) == ["m-2", "m-3"]

    def test_side_by_side(self) -> None:
        at_once: list[str] = []
        both = asyncio.Event()

        async def record_handler(record: Any) -> None:
            order = record.json_body["order"]
            async with Lock(f"order#{order}", 30):
                at_once.append(order)
                if len(at_once) == 2:
                    both.set()
                await both.wait()

        processor = AsyncBatchProcessor(event_type=EventType.SQS)
        with hold("order#2"):
            response = async_process_partial_response(
                event=batch("1", "2", "3"),
                record_handler=record_handler,
                processor=processor,
                context=FakeContext(),  # type: ignore[arg-type]
            )
        assert failed(response) == ["m-2"]
        assert sorted(at_once) == ["1", "3"]
