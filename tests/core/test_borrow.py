"""One lease over a state machine: its tasks borrow what its execution has."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from typing import Any

import pytest

from lambda_singleton import (
    Lease,
    LeaseConfigError,
    LeaseDeadlineError,
    LeaseEvent,
    LeaseHeldError,
    LeaseLostError,
    LeaseStoreError,
    Lock,
    MemoryStore,
    current_lease,
    observe,
    singleton,
)
from lambda_singleton._events import metrics
from lambda_singleton._protocol.loan import Loan
from lambda_singleton._protocol.waiting import Waiting

from ..execution import ARN, Execution
from ..fakes import START, Context, FakeClock, FaultyStore

EVENT = {"execution": ARN}


@pytest.fixture
def store(memory: MemoryStore) -> FaultyStore:
    return FaultyStore(memory)


@pytest.fixture
def execution(memory: MemoryStore) -> Execution:
    execution = Execution(memory, "reindex")
    assert execution.take()
    return execution


@pytest.fixture
def told() -> Any:
    events: list[LeaseEvent] = []
    end = observe(events.append)
    yield events
    end()


def reindex(store: Any, **options: Any) -> Any:
    """A task that does what its event says while it has the lease."""

    guard: Any = singleton("reindex", 30, borrow="execution", park=120, store=store, **options)

    def handler(event: dict[str, Any], context: object, lease: Lease) -> int:
        event.get("do", lambda lease: None)(lease)
        return lease.token

    return guard(handler)


def row(store: Any) -> Any:
    return store.get("reindex")


def left_behind(store: Any, event: dict[str, Any] = EVENT) -> None:
    """Let an attempt borrow the lease and die."""
    # It sends no release.
    with pytest.raises(LeaseLostError):
        reindex(store)({**event, "do": lambda lease: lease._tenure.steal()}, None)


class TestATask:
    def test_borrows_and_gives_back_with_two_requests(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        before = row(store)
        seen = []
        token = reindex(store)({**EVENT, "do": lambda lease: seen.append(row(store))}, None)
        assert store.sent == ["Borrow", "GiveBack"]
        assert token == before.token + 1
        (during,) = seen
        assert during.owner not in (ARN, None)
        assert during.loan == Loan(ARN, token, START + 30)
        assert (during.expires_at, during.duration) == (START + 120, 120)
        after = row(store)
        assert (after.owner, after.expires_at, after.loan) == (ARN, START + 120, Loan(ARN, token))
        assert after.holder["execution"] == ARN
        assert after.token == token

    def test_raises_the_token_over_every_loan(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        tokens = [row(store).token]
        for _ in range(3):
            tokens.append(reindex(store)(EVENT, None))
            clock.now += 1
        assert tokens == list(range(tokens[0], tokens[0] + 4))

    def test_gives_back_when_it_fails(self, store: FaultyStore, execution: Execution) -> None:
        def fails(lease: Lease) -> None:
            raise ValueError("fails")

        with pytest.raises(ValueError, match="fails"):
            reindex(store)({**EVENT, "do": fails}, None)
        assert row(store).owner == ARN

    def test_without_an_execution_takes_the_lease_as_usual(self, store: FaultyStore) -> None:
        reindex(store)({}, None)
        assert store.sent == ["Acquire", "Release"]
        assert (row(store).owner, row(store).loan) == (None, None)

    def test_keeps_the_longer_end_that_its_execution_has(
        self, store: FaultyStore, memory: MemoryStore, clock: FakeClock
    ) -> None:
        assert Execution(memory, "reindex", lasts=900).take()
        ends = []

        def work(lease: Lease) -> None:
            clock.now += 10
            lease.renew()
            ends.append((row(store).expires_at, row(store).loan.until))

        reindex(store)({**EVENT, "do": work}, None)
        assert store.sent == ["Borrow", "Borrow", "RenewLoan", "GiveBack"]
        assert ends == [(START + 900, START + 40)]
        assert row(store).expires_at == START + 900
        assert clock.sleeps == []

    def test_believes_in_its_own_end_only(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        left = []
        reindex(store)({**EVENT, "do": lambda lease: left.append(lease.remaining())}, Context())
        assert left == [30.0]

    def test_renews_both_ends(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        seen = []

        def work(lease: Lease) -> None:
            for _ in range(3):
                clock.now += 20
                lease.renew()
            seen.append(row(store))

        reindex(store)({**EVENT, "do": work}, None)
        assert store.sent == ["Borrow", *["RenewLoan"] * 3, "GiveBack"]
        assert (seen[0].expires_at, seen[0].loan.until) == (START + 180, START + 90)

    def test_writes_checkpoints_that_extend_both_ends(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        seen = []

        def work(lease: Lease) -> None:
            clock.now += 5
            lease.checkpoint({"state": "pages", "page": 1})
            seen.append(row(store))

        reindex(store)({**EVENT, "do": work}, None)
        assert store.sent == ["Borrow", "CheckpointLoan", "GiveBack"]
        assert (seen[0].expires_at, seen[0].loan.until) == (START + 125, START + 35)
        assert row(store).progress is None, "a task that has succeeded leaves none"

    def test_that_runs_out_of_time_leaves_its_progress_to_the_next_attempt(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        with pytest.raises(LeaseDeadlineError):
            reindex(store)({**EVENT, "do": lambda lease: lease.checkpoint(7)}, Context(5_000))
        found = []
        clock.now += 1
        reindex(store)({**EVENT, "do": lambda lease: found.append(lease.progress)}, None)
        assert found == [7]

    def test_is_found_by_current_lease(self, store: FaultyStore, execution: Execution) -> None:
        names = []
        reindex(store)({**EVENT, "do": lambda lease: names.append(current_lease().name)}, None)
        assert names == ["reindex"]

    async def _async(self, store: FaultyStore) -> int:
        @singleton("reindex", 30, borrow="execution", park=120, store=store)
        async def handler(event: dict[str, Any], context: object, lease: Lease) -> int:
            return lease.token

        token: int = await handler(EVENT, None)
        return token

    def test_may_be_async(self, store: FaultyStore, execution: Execution) -> None:
        import asyncio

        first = row(store).token
        assert asyncio.run(self._async(store)) == first + 1
        assert store.sent == ["Borrow", "GiveBack"]


class TestAnotherAttempt:
    def test_is_refused_while_the_first_may_be_alive(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        left_behind(store)
        clock.now = 30.999
        with pytest.raises(LeaseHeldError, match="another attempt") as caught:
            reindex(store)(EVENT, None)
        assert caught.value.reason == "held"
        assert caught.value.held_until == START + 30
        assert caught.value.retry_after == pytest.approx(0.001)
        clock.now = 31
        reindex(store)(EVENT, None)

    def test_takes_over_from_a_dead_one_and_says_so(
        self, store: FaultyStore, execution: Execution, clock: FakeClock, told: list[LeaseEvent]
    ) -> None:
        left_behind(store)
        dead = row(store).owner
        clock.now = 31
        reindex(store)(EVENT, None)
        acquired = [event for event in told if event.kind == "acquired"]
        assert [event.taken_from for event in acquired] == [None, dead]

    def test_waits_if_it_is_told_to(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        left_behind(store)
        reindex(store, wait=40)(EVENT, None)
        assert clock.now == pytest.approx(31)
        assert max(clock.sleeps) <= 1

    def test_gives_up_when_its_patience_is_over(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        left_behind(store)
        with pytest.raises(LeaseHeldError):
            reindex(store, wait=5)(EVENT, None)
        assert clock.now == pytest.approx(5)

    def test_is_told_its_own_lost_reply(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        store.faults = ["reply lost"]
        first = row(store).token
        assert reindex(store)(EVENT, None) == first + 2
        assert store.sent == ["Borrow", "Borrow", "GiveBack"]

    def test_that_comes_late_cuts_no_park(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        store.faults = ["applied late", None]
        reindex(store)(EVENT, None)
        parked = row(store)
        store.apply_late()
        assert row(store) == parked

    def test_gives_back_what_nobody_has_confirmed(
        self, store: FaultyStore, execution: Execution
    ) -> None:
        store.faults = ["reply lost", "reply lost", "reply lost"]
        with pytest.raises(LeaseStoreError):
            reindex(store)(EVENT, None)
        assert row(store).owner != ARN, "until it is abandoned, the row may name it"

    def test_is_not_lost_by_a_reply_to_its_return_that_is_lost(
        self, store: FaultyStore, execution: Execution
    ) -> None:
        store.faults = [None, "reply lost"]
        reindex(store)(EVENT, None)
        assert store.sent == ["Borrow", "GiveBack", "GiveBack"]
        assert row(store).owner == ARN


class TestDistributedMap:
    """Its children are executions with ids of their own: the parent's is passed to them."""

    def test_children_have_nothing_by_their_own_ids(
        self, store: FaultyStore, execution: Execution
    ) -> None:
        child = ARN.replace(":execution:reindex:", ":execution:reindex/Map:")
        with pytest.raises(LeaseLostError):
            reindex(store)({"execution": child}, None)
        assert row(store).owner == ARN

    def test_branches_that_are_given_the_parents_id_exclude_each_other(self) -> None:
        memory = MemoryStore()
        assert Execution(memory, "reindex").take()
        at_work, most, done = 0, 0, []
        lock = threading.Lock()

        def work(lease: Lease) -> None:
            nonlocal at_work, most
            with lock:
                at_work += 1
                most = max(most, at_work)
            done.append(lease.token)
            with lock:
                at_work -= 1

        handler = reindex(memory, wait=20)
        branches = [
            threading.Thread(target=handler, args=({**EVENT, "do": work}, None)) for _ in range(5)
        ]
        for branch in branches:
            branch.start()
        for branch in branches:
            branch.join()
        assert (len(done), most) == (5, 1)
        assert done == sorted(set(done))

    def test_one_at_a_time_for_each_key_needs_no_loan(self, store: FaultyStore) -> None:
        guard: Any = singleton("reindex", 30, key="item", store=store)
        handler = guard(lambda event, context: event["item"])
        assert [handler({"item": item}, None) for item in "ab"] == ["a", "b"]


class TestALostLease:
    def refused(self, store: Any) -> LeaseLostError:
        with pytest.raises(LeaseLostError) as caught:
            reindex(store)(EVENT, None)
        return caught.value

    def test_that_nobody_has_taken_is_told(self, store: FaultyStore) -> None:
        error = self.refused(store)
        assert error.reason == "expired"
        assert "nobody has it" in str(error)
        assert ARN in str(error)

    def test_that_was_returned_is_told(self, store: FaultyStore, execution: Execution) -> None:
        assert execution.give_up()
        assert self.refused(store).reason == "expired"

    def test_that_a_stranger_has_is_told(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        left_behind(store)
        clock.now = 121
        with Lock("reindex", 30, store=store.inner):
            assert self.refused(store).reason == "stolen"

    def test_that_a_stranger_has_had_is_told(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        left_behind(store)
        clock.now = 121
        with Lock("reindex", 30, store=store.inner):
            pass
        assert self.refused(store).reason == "expired"

    def test_that_was_freed_by_force_is_told(
        self, store: FaultyStore, execution: Execution
    ) -> None:
        store.force_release("reindex")
        assert self.refused(store).reason == "expired"

    def test_is_asked_for_where_a_store_shows_no_row(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        from lambda_singleton.stores import Reply

        left_behind(store)
        store.faults = [lambda operation: Reply(applied=False)]
        with pytest.raises(LeaseHeldError):
            reindex(store)(EVENT, None)
        assert store.looks == 1

    def test_while_the_task_runs_leaves_the_handler(
        self, store: FaultyStore, execution: Execution
    ) -> None:
        def loses(lease: Lease) -> None:
            store.force_release("reindex")
            with pytest.raises(LeaseLostError):
                lease.renew()

        with pytest.raises(LeaseLostError):
            reindex(store)({**EVENT, "do": loses}, None)
        assert row(store).owner is None, "it has nothing to give back"

    def test_is_counted_as_lost_and_not_as_an_error_of_the_store(self, store: FaultyStore) -> None:
        told: list[LeaseEvent] = []
        end = observe(told.append)
        self.refused(store)
        end()
        assert [event.kind for event in told] == ["failed"]
        assert [name for name, _, _ in metrics._measured(told[0])] == ["Lost"]


class TestStrangers:
    def test_are_kept_out_for_the_park(
        self, store: FaultyStore, execution: Execution, clock: FakeClock
    ) -> None:
        left_behind(store)
        clock.now = 120.999
        with pytest.raises(LeaseHeldError):
            Lock("reindex", 30, store=store.inner).acquire()
        clock.now = 121
        Lock("reindex", 30, store=store.inner).acquire()

    @pytest.mark.parametrize("ends", [True, False], ids=["parked", "dead"])
    def test_that_watch_a_silent_owner_wait_for_the_park(
        self, store: FaultyStore, execution: Execution, clock: FakeClock, ends: bool
    ) -> None:
        if ends:
            reindex(store)(EVENT, None)
        else:
            left_behind(store)
        # Its wall clock is far behind, so that only what it sees counts.
        behind = FakeClock(offset=-10_000)
        stranger = MemoryStore(clock=behind)
        stranger._records = store.inner._records  # type: ignore[attr-defined]
        Lock("reindex", 30, wait=1000, store=stranger).acquire()
        assert round(behind.now) == 121

    def test_see_a_loan_by_its_token(
        self, store: FaultyStore, memory: MemoryStore, clock: FakeClock
    ) -> None:
        assert Execution(memory, "reindex", lasts=300).take()
        waiting = Waiting(clock, patience=1000, clock_skew=1)
        waiting.note(row(store))
        clock.now = 100
        reindex(store)(EVENT, None)
        after = row(store)._replace(duration=60)
        assert (after.owner, after.expires_at) == (ARN, START + 300), "as it was before"
        waiting.note(after)
        assert waiting.silent_holder is None, "it has not been silent"


class TestWhatIsTold:
    def test_events_name_the_execution(
        self, store: FaultyStore, execution: Execution, clock: FakeClock, told: list[LeaseEvent]
    ) -> None:
        reindex(store)({**EVENT, "do": lambda lease: lease.renew()}, None)
        kinds = [(event.kind, event.execution) for event in told]
        assert kinds == [("acquired", ARN), ("renewed", ARN), ("released", ARN)]
        assert all(event.taken_from is None for event in told), "an execution is not dead"

    def test_log_lines_say_from_whom_and_to_whom(
        self, store: FaultyStore, execution: Execution, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "lambda_singleton"):
            reindex(store)(EVENT, None)
        first, last = (record.getMessage() for record in caplog.records)
        assert (
            first == f"lease 'reindex' borrowed from execution {ARN} with token {row(store).token}"
        )
        assert last.startswith(f"lease 'reindex' given back to execution {ARN} after")
        assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]
        assert caplog.records[0].execution == ARN  # type: ignore[attr-defined]

    def test_the_row_tells_the_execution_and_the_task(
        self,
        store: FaultyStore,
        execution: Execution,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "pages")
        seen = []
        reindex(store)({**EVENT, "do": lambda lease: seen.append(row(store).holder)}, Context())
        assert (seen[0]["function"], seen[0]["execution"]) == ("pages", ARN)
        assert seen[0]["request_id"] == "request-1"


class TestParameters:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"on_held": "skip"}, "borrow cannot have on_held='skip'"),
            ({"min_hold": 5}, "borrow cannot have a min_hold"),
            ({"once": True, "key": "k"}, "excludes once and order"),
            ({"order": "k"}, "excludes once and order"),
            ({"park": 29}, "park must be from 30"),
            ({"park": None}, "borrow needs park"),
            ({"duration": None}, "borrow needs a duration"),
            ({"borrow": 7}, "must be a JMESPath expression or a callable"),
            ({"borrow": "]"}, "no JMESPath expression"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, options: dict[str, Any], says: str) -> None:
        given: dict[str, Any] = {"duration": 30, "borrow": "execution", "park": 120, **options}
        with pytest.raises(LeaseConfigError, match=says):
            singleton("reindex", **given)

    @pytest.mark.parametrize("value", ["", 7, ["x"], "x" * 256, "paused-x", True])
    def test_what_is_no_execution_is_refused(self, store: FaultyStore, value: object) -> None:
        with pytest.raises(LeaseConfigError, match="must be a text"):
            reindex(store)({"execution": value}, None)
        assert store.sent == []

    def test_a_callable_may_find_it(self, store: FaultyStore, execution: Execution) -> None:
        @singleton("reindex", 30, borrow=lambda event, context: ARN, park=60, store=store)
        def handler(event: object, context: object) -> str:
            return "done"

        assert handler({}, None) == "done"
        assert store.sent == ["Borrow", "GiveBack"]

    def test_a_callable_that_fails_is_told_as_that(self, store: FaultyStore) -> None:
        @singleton("reindex", 30, borrow=lambda event, context: event["x"], park=30, store=store)
        def handler(event: object, context: object) -> None: ...

        with pytest.raises(LeaseConfigError, match="could not be computed"):
            handler({}, None)

    def test_each_key_is_lent_by_itself(self, store: FaultyStore, memory: MemoryStore) -> None:
        assert Execution(memory, "reindex#a").take()

        @singleton("reindex", 30, key="key", borrow="execution", park=30, store=store)
        def handler(event: object, context: object) -> None: ...

        handler({**EVENT, "key": "a"}, None)
        with pytest.raises(LeaseLostError):
            handler({**EVENT, "key": "b"}, None)


def test_who_does_not_borrow_loads_nothing_of_it() -> None:
    script = """
import sys
from lambda_singleton import MemoryStore, singleton
@singleton("x", 30, store=MemoryStore())
def handler(event, context): pass
handler({}, None)
print([name for name in sys.modules if "borrow" in name or "execution" in name])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_who_does_not_borrow_sends_no_byte_of_it(memory: MemoryStore) -> None:
    sent: list[str] = []

    class Reading(MemoryStore):
        def execute(self, operation: Any, *, timeout: float) -> Any:
            sent.append(f"{operation.condition} {operation.update} {sorted(operation.values)}")
            return super().execute(operation, timeout=timeout)

    store = Reading(clock=memory.clock)

    @singleton("x", 30, store=store)
    def handler(event: object, context: object, lease: Lease) -> None:
        lease.renew()
        lease.checkpoint(1)

    handler({}, None)
    assert len(sent) == 4
    assert not [text for text in sent if "baton" in text or "attempt" in text]
