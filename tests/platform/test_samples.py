"""The samples of `src/` with their events of `events/`, under the real runtime client."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from lambda_singleton import DynamoDBStore, Lock
from local_lambda import Function

EVENTS = Path(__file__).parents[2] / "events"


def event(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text())


@pytest.fixture
def variables(lambda_variables: Mapping[str, str]) -> dict[str, str]:
    """The samples' leases have fixed names: each test gets a table of its own."""
    table = f"samples-{uuid.uuid4().hex[:8]}"
    DynamoDBStore(table).create_table()
    return {**lambda_variables, "SINGLETON_TABLE": table, "WORK_SECONDS": "0.2"}


@pytest.fixture
def store(variables: Mapping[str, str]) -> DynamoDBStore:
    return DynamoDBStore(variables["SINGLETON_TABLE"])


@pytest.fixture
def deployed(request: pytest.FixtureRequest, variables: dict[str, str]) -> Iterator[Function]:
    with Function(f"{request.param}.handler", variables=variables, timeout=60) as function:
        yield function


def sample(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("deployed", [name], indirect=True)


@sample("nightly_report")
def test_a_duplicate_delivery_of_the_schedule_is_skipped(
    deployed: Function, store: DynamoDBStore
) -> None:
    first = deployed.invoke(event("nightly_report")).result
    assert first["status"] == "written"
    assert first["day"] == "2026-11-22"
    second = deployed.invoke(event("nightly_report")).result
    assert second["status"] == "skipped", "it comes within min_hold, after the first has ended"
    record = store.get("nightly-report")
    assert record is not None
    assert record.owner is None
    assert record.last_run is not None
    assert record.last_run["outcome"] == "succeeded"


@sample("reindex_task")
def test_a_step_functions_task_fails_by_the_name_that_its_retry_waits_for(
    deployed: Function, store: DynamoDBStore
) -> None:
    lease = Lock("reindex", 30, store=store).acquire()
    outcome = deployed.invoke(event("reindex_task"))
    assert outcome.error_type == "LeaseHeldError"
    lease.release()
    result = deployed.invoke(event("reindex_task")).result
    assert result == {"index": "products", "token": lease.token + 1}


@sample("tenant_sync")
def test_tenants_do_not_block_each_other(deployed: Function, store: DynamoDBStore) -> None:
    Lock("tenant-sync#north", 30, store=store).acquire()
    north, south = event("tenant_sync"), event("tenant_sync")
    south["detail"]["tenant"] = "south"
    assert deployed.invoke(north).result["status"] == "skipped"
    assert deployed.invoke(south).result["status"] == "synchronised"
    del north["detail"]["tenant"]
    assert deployed.invoke(north).error_type == "LeaseConfigError"


@sample("hourly_rollup")
def test_a_slot_is_done_once_whatever_is_delivered_twice(
    deployed: Function, store: DynamoDBStore
) -> None:
    slot = event("hourly_rollup")
    # Somebody died on the slot, and freed it.
    lease = Lock(f"hourly-rollup#{slot['time']}", 30, store=store).acquire()
    assert deployed.invoke(slot).error_type == "LeaseHeldError", "Lambda delivers it again"
    lease.release()
    assert deployed.invoke(slot).result["status"] == "added up"
    again = [deployed.invoke(slot).result for _ in range(2)]
    assert [(result["status"], result["reason"]) for result in again] == [("skipped", "done")] * 2
    next_hour = {"time": "2026-11-22T03:00:00Z"}
    assert deployed.invoke(next_hour).result["status"] == "added up"


class TestManyPages:
    @pytest.fixture
    def variables(self, variables: dict[str, str]) -> dict[str, str]:
        pages = f"pages-{uuid.uuid4().hex[:8]}"
        DynamoDBStore(pages).create_table()
        # Some pages for each invocation: the platform kills two, and the margin ends one.
        more = {"WORK_SECONDS": "8", "LEASE_SECONDS": "2", "MARGIN_SECONDS": "1"}
        return {**variables, **more, "PAGES_TABLE": pages}

    def test_a_job_that_is_killed_finishes_all_the_same(self, variables: dict[str, str]) -> None:
        said = []
        store = DynamoDBStore(variables["SINGLETON_TABLE"])
        for margin, timeout in (("0", 2.5), ("0", 2.5), ("1", 4.0), ("1", 60.0)):
            told = {**variables, "MARGIN_SECONDS": margin}
            with Function("many_pages.handler", variables=told, timeout=timeout) as function:
                outcome = function.invoke(event("many_pages"))
                said.append(outcome.error_type)
                if outcome.error_type is None:
                    assert outcome.result["status"] == "read"
                    again = function.invoke(event("many_pages")).result
                    assert (again["status"], again["reason"]) == ("skipped", "done")
                else:
                    record = store.get("many-pages#2026-11-22")
                    assert record is not None
                    assert record.progress is not None
                    # The dead block for the rest of their lease.
                    time.sleep(max(0.0, (record.expires_at or 0) + 1.1 - time.time()))
        assert said == ["Sandbox.Timedout", "Sandbox.Timedout", "LeaseDeadlineError", None]
        table = boto3.resource("dynamodb").Table(variables["PAGES_TABLE"])
        assert table.get_item(Key={"id": "2026-11-22"})["Item"]["pages"] == 20


class TestSearchIndex:
    @pytest.fixture
    def variables(self, variables: dict[str, str]) -> dict[str, str]:
        documents = f"documents-{uuid.uuid4().hex[:8]}"
        DynamoDBStore(documents).create_table()
        more = {"DOCUMENTS_TABLE": documents, "WORK_SECONDS": "3", "LEASE_SECONDS": "3"}
        return {**variables, **more, "WAIT_SECONDS": "40"}

    @sample("search_index")
    def test_events_during_one_run_need_one_more(
        self, deployed: Function, variables: dict[str, str]
    ) -> None:
        table = boto3.resource("dynamodb").Table(variables["DOCUMENTS_TABLE"])
        deployed.prewarm(7)
        callers = []
        for number in range(7):
            table.update_item(
                Key={"id": "documents"},
                UpdateExpression="ADD titles :title",
                ExpressionAttributeValues={":title": {f"document-{number}"}},
            )
            callers.append(deployed.start(event("search_index")))
            while number == 0 and "started" not in "".join(deployed.logs):
                time.sleep(0.01)
        results = [caller.outcome().result for caller in callers]
        ran = [result for result in results if result["status"] == "rebuilt"]
        shared = [result for result in results if result["status"] == "coalesced"]
        assert (len(ran), len(shared)) == (2, 5)
        assert {result["lease"]["token"] for result in shared} == {ran[-1]["token"]}
        assert table.get_item(Key={"id": "index"})["Item"]["documents"] == 7


class TestLedger:
    @pytest.fixture
    def variables(self, variables: dict[str, str]) -> dict[str, str]:
        accounts = f"accounts-{uuid.uuid4().hex[:8]}"
        # Any table with the key `id` can be guarded.
        DynamoDBStore(accounts).create_table()
        return {**variables, "ACCOUNTS_TABLE": accounts}

    @sample("ledger")
    def test_writes_with_its_token(self, deployed: Function, variables: dict[str, str]) -> None:
        result = deployed.invoke(event("ledger")).result
        assert (result["balance"], result["saved"]) == (100, True)
        accounts = boto3.resource("dynamodb").Table(variables["ACCOUNTS_TABLE"])
        item = accounts.get_item(Key={"id": "4711"})["Item"]
        assert item == {"id": "4711", "balance": 100, "fence": result["token"]}
        # Somebody with a higher token has been there.
        accounts.put_item(Item={"id": "4711", "balance": 5, "fence": result["token"] + 50})
        assert deployed.invoke(event("ledger")).result["saved"] is False
        assert accounts.get_item(Key={"id": "4711"})["Item"]["balance"] == 5
