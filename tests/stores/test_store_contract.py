"""The kit of store tests, run against each store of the package, and against wrong ones."""

from __future__ import annotations

import contextlib
import itertools
import threading
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_singleton import DynamoDBStore, LeaseRecord, LeaseStore, MemoryStore
from lambda_singleton.stores import (
    Acquire,
    Advance,
    Borrow,
    Checkpoint,
    CheckpointLoan,
    Claim,
    ForceRelease,
    GiveBack,
    Keep,
    LaterSuccess,
    Operation,
    Park,
    Redo,
    Release,
    Renew,
    RenewLoan,
    Reply,
    Return,
    Success,
    TakeTicket,
)
from lambda_singleton_testkit import CASES, StoreContract

from ..fakes import START, acquire


class TestMemory(StoreContract):
    def open_store(self) -> LeaseStore:
        return MemoryStore()


class TestEngine(StoreContract):
    @pytest.fixture(autouse=True)
    def _use(self, dynamodb: DynamoDBStore) -> None:
        self.store = dynamodb

    def open_store(self) -> LeaseStore:
        return self.store


class TestDirect(StoreContract):
    """The engine, without boto3."""

    @pytest.fixture(autouse=True)
    def _use(self, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
        # A file of the developer's would send it through boto3.
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.setenv(name, "/nowhere")
        self.table = table

    def open_store(self) -> LeaseStore:
        return DynamoDBStore(self.table, transport="direct")


class TestMoto(StoreContract):
    """With a single caller only: moto loses conditional writes under concurrency."""

    test_of_callers_at_once_one_gets_the_lease = None  # type: ignore[assignment]
    test_no_update_of_callers_at_once_is_lost = None  # type: ignore[assignment]
    # DynamoDB finds a number neither less nor greater than a text; moto fails.
    test_a_number_is_refused_where_times_are_done = None
    test_a_time_is_refused_where_numbers_are_done = None
    test_a_time_is_refused_where_numbers_have_begun = None

    @pytest.fixture(autouse=True)
    def _use(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        moto = pytest.importorskip("moto")
        # moto answers inside the process, and only for AWS's own addresses.
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        with moto.mock_aws():
            self.store = DynamoDBStore("moto-leases")
            self.store.create_table()
            yield

    def open_store(self) -> LeaseStore:
        return self.store


class TestTheKit:
    """The kit fails for a store that is wrong, and says what is."""

    def test_every_case_is_a_test_with_a_name_of_its_own(self) -> None:
        tests = [name for name in dir(StoreContract) if name.startswith("test_")]
        assert len({case.says for case in CASES}) == len(CASES)
        assert len(tests) == len(CASES) + 9
        assert {type(case.operation) for case in CASES} == {
            Acquire,
            Renew,
            Release,
            TakeTicket,
            ForceRelease,
            Redo,
            Checkpoint,
            Advance,
            Claim,
            Park,
            Borrow,
            RenewLoan,
            CheckpointLoan,
            GiveBack,
            Keep,
            Return,
        }

    def test_a_store_that_refuses_nothing_fails(self) -> None:
        class Lenient(MemoryStore):
            def execute(self, operation: Operation, *, timeout: float) -> Reply:
                if isinstance(operation, Renew) and self.get(operation.name) is not None:
                    operation = operation._replace(owner=str(self._records[operation.name].owner))
                return super().execute(operation, timeout=timeout)

        class Contract(StoreContract):
            def open_store(self) -> LeaseStore:
                return Lenient()

        with pytest.raises(AssertionError, match="nobody else renews: applied is True"):
            Contract().test_nobody_else_renews()  # type: ignore[attr-defined]
        Contract().test_the_owner_renews()  # type: ignore[attr-defined]

    def test_a_store_that_is_not_atomic_fails(self) -> None:
        class Torn(MemoryStore):
            """Reads, lets others go first, and writes."""

            def __init__(self) -> None:
                super().__init__()
                self.all_have_read = threading.Barrier(2, timeout=0.5)

            def execute(self, operation: Operation, *, timeout: float) -> Reply:
                record = self.get(operation.name)
                if not operation.allows(record):
                    return Reply(applied=False, record=record)
                with contextlib.suppress(threading.BrokenBarrierError):
                    self.all_have_read.wait()
                record = self._records[operation.name] = operation.apply(record)
                return Reply(applied=True, record=record)

        class Contract(StoreContract):
            def open_store(self) -> LeaseStore:
                return Torn()

        with pytest.raises(AssertionError):
            Contract().test_of_callers_at_once_one_gets_the_lease()

    def test_a_store_without_a_method_fails(self) -> None:
        class Contract(StoreContract):
            def open_store(self) -> LeaseStore:
                return object()  # type: ignore[return-value]

        with pytest.raises(AssertionError):
            Contract().test_it_has_all_that_a_store_needs()


def ms(seconds: float) -> int:
    return round((START + seconds) * 1000)


def renew(name: str, owner: str, until: float) -> Renew:
    return Renew(name=name, owner=owner, expires_at=ms(until))


def release(name: str, owner: str, at: float, free_at: float | None = None) -> Release:
    return Release(
        name=name,
        owner=owner,
        now=ms(at),
        free_at=None if free_at is None else ms(free_at),
        last_run={"outcome": "succeeded"},
    )


def test_a_rows_retention_counts_from_its_end(name: str) -> None:
    assert acquire(name, "a").in_use_until == ms(30)
    assert renew(name, "a", until=40).in_use_until == ms(40)
    assert release(name, "a", at=5).in_use_until == ms(5)
    assert release(name, "a", at=5, free_at=20).in_use_until == ms(20)
    assert TakeTicket(name, now=ms(5)).in_use_until == ms(5)
    assert ForceRelease(name, now=ms(5)).in_use_until == ms(5)


def test_a_row_without_an_end_is_not_renewed(name: str) -> None:
    assert not renew(name, "a", until=40).allows(LeaseRecord(name, 7, owner="a"))


def test_the_expression_and_the_python_share_the_same_successes(dynamodb: DynamoDBStore) -> None:
    works = ("/rebuild", "/other")
    successes = [None, *(Success(token, work) for token in range(3) for work in works)]
    waiters = [LaterSuccess(since, work) for since in range(3) for work in works]
    shared = 0
    for success, unless in itertools.product(successes, waiters):
        name = f"shared-{uuid.uuid4().hex}"
        memory = MemoryStore()
        operations = (
            acquire(name, "a"),
            release(name, "a", at=1)._replace(success=success),
            acquire(name, "b", now=2)._replace(unless=unless),
        )
        for operation in operations:
            expected = memory.execute(operation, timeout=2).applied
            assert dynamodb.execute(operation, timeout=2).applied is expected, (success, unless)
        assert dynamodb.get(name) == memory.get(name)
        shared += not expected
    # Of the same work, and later: 1 after 0, 2 after 0 and 1.
    assert shared == 2 * 3


moments = st.integers(0, 6).map(lambda step: step * 0.5)
owners = st.sampled_from(["a", "b"])
AnyOperation = Acquire | Renew | Release | TakeTicket | ForceRelease


@st.composite
def operations(draw: st.DrawFn) -> AnyOperation:
    kind = draw(st.sampled_from([Acquire, Acquire, Renew, Release, TakeTicket, ForceRelease]))
    owner, now = draw(owners), draw(moments)
    if kind is Acquire:
        bid = acquire("x", owner, now=now, duration=draw(moments), skew=draw(moments))
        return bid._replace(ticket=draw(st.none() | st.integers(1, 3)))
    if kind is Renew:
        return renew("x", owner, until=draw(moments))
    if kind is Release:
        return release("x", owner, at=now, free_at=draw(st.none() | moments))
    if kind is TakeTicket:
        return TakeTicket("x", now=ms(now))
    return ForceRelease(name="x", now=ms(now))


@settings(max_examples=60, deadline=None)
@given(script=st.lists(st.tuples(operations(), st.integers(0, 4)), min_size=1, max_size=8))
def test_the_expressions_and_the_python_say_the_same(
    dynamodb: DynamoDBStore,
    shows_refusals: bool,
    script: list[tuple[AnyOperation, int]],
) -> None:
    name = f"same-{uuid.uuid4().hex}"
    memory = MemoryStore()
    holders: list[LeaseRecord] = []
    for step, watched in script:
        operation = step._replace(name=name)
        if isinstance(operation, Acquire | ForceRelease) and watched < len(holders):
            operation = operation._replace(seen=holders[watched])
        expected = memory.execute(operation, timeout=2)
        reply = dynamodb.execute(operation, timeout=2)
        assert reply.applied == expected.applied
        if operation.wants_row if reply.applied else shows_refusals:
            assert reply.record == expected.record
        assert dynamodb.get(name) == memory.get(name)
        if expected.record is not None and expected.record.owner is not None:
            holders.append(expected.record)
