"""What docs/migration.md says of other locks, and what is different afterwards, side by side."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import boto3
import pytest

from lambda_singleton import DynamoDBStore, MemoryStore
from lambda_singleton.testing import FakeClock, FakeContext, hold, use_store

PAGE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()


def block(name: str) -> ModuleType:
    """Run the page's block that begins with the name of this file."""
    (text,) = re.findall(rf"^```python\n(# {name}\.py\n.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    module = ModuleType(name)
    exec(compile(text, f"{name}.py", "exec"), module.__dict__)  # noqa: S102
    return module


@pytest.fixture(scope="module")
def tables() -> None:
    # The Region of the page, and the environment's.
    for name, region in (("locks", "eu-central-1"), ("results", None)):
        boto3.client("dynamodb", region_name=region).create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )


def test_by_hand_a_killed_run_blocks_for_ever_and_here_it_does_not(tables: None) -> None:
    before, after = block("by_hand"), block("from_by_hand")
    assert [before.handler({}, None) for _ in range(2)] == ["written", "written"]
    before.table.put_item(Item={"id": "report"})  # a run that was killed
    assert before.handler({}, None) == "skipped"
    clock = FakeClock()
    with use_store(MemoryStore(clock=clock)):
        context = FakeContext(900, clock=clock)
        with hold("report", 60):
            assert after.handler({}, context)["reason"] == "held"
            clock.advance(61)
            assert after.handler({}, context) == "written"


def test_by_hand_and_a_lease_in_one_table_do_not_exclude_each_other(tables: None) -> None:
    before, after = block("by_hand"), block("from_by_hand")
    client = boto3.client("dynamodb", region_name="eu-central-1")
    store = DynamoDBStore("locks", client=client)
    before.table.delete_item(Key={"id": "report"})
    with use_store(store):
        before.table.put_item(Item={"id": "report"})  # the old code runs
        assert after.handler({}, FakeContext()) == "written"
        assert before.handler({}, None) == "skipped"  # though nobody runs


def test_idempotency_skips_the_second_run_and_here_it_runs(tables: None) -> None:
    before, after = block("idempotent_lock"), block("from_idempotent_lock")
    days = [{"job": "report", "day": day} for day in ("monday", "tuesday")]
    context = FakeContext()
    assert [before.handler(event, context)["day"] for event in days] == ["monday", "monday"]
    with use_store():
        assert [after.handler(event, context)["day"] for event in days] == ["monday", "tuesday"]
        with hold("report#report"):
            assert after.handler(days[0], context)["status"] == "skipped"


def test_a_block_in_place_of_python_dynamodb_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    module = block("from_python_dynamodb_lock")

    def fail() -> None:
        raise KeyError("its exception leaves")

    monkeypatch.setattr(module, "reindex", fail)
    with use_store(), pytest.raises(KeyError, match="its exception leaves"):
        module.run()
