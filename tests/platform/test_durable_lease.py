"""One lease over a durable function's waits: `park=`, with AWS's own SDK and its test runner."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aws_durable_execution_sdk_python import (
    DurableContext,
    InvocationError,
    ParallelBranch,
    durable_execution,
)
from aws_durable_execution_sdk_python.config import CompletionConfig, Duration, MapConfig
from aws_durable_execution_sdk_python.lambda_service import InvocationStatus

from lambda_singleton import (
    Lease,
    LeaseConfigError,
    LeaseEvent,
    LeaseHeldError,
    LeaseInterrupt,
    LeaseStoreError,
    Lock,
    MemoryStore,
    current_lease,
    observe,
    singleton,
)
from lambda_singleton.stores import Operation, Reply
from lambda_singleton_cli.commands.show import facts
from lambda_singleton_cli.status import Status

from ..fakes import Context
from .test_durable import run

SECOND = Duration.from_seconds(1)
FIRST_OF_TWO: MapConfig[int] = MapConfig(completion_config=CompletionConfig(min_successful=1))


class Journal(MemoryStore):
    """Remembers each operation, and loses or refuses what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []
        self.fail: Callable[[Operation], bool] = lambda operation: False

    def execute(self, operation: Operation, *, timeout: float) -> Reply:
        self.sent.append(type(operation).__name__)
        if self.fail(operation):
            raise LeaseStoreError("no answer")
        return super().execute(operation, timeout=timeout)

    @property
    def row(self) -> Any:
        return self.get("report")


def is_refused(store: MemoryStore) -> bool:
    """Whether a stranger is refused just now."""
    try:
        with Lock("report", 60, store=store):
            return False
    except LeaseHeldError:
        return True


def durable(store: MemoryStore, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    options = {"duration": 30, "park": 60, "store": store, **options}

    def decorate(function: Callable[..., Any]) -> Any:
        return durable_execution(singleton("report", **options)(function))

    return decorate


class TestOverWaits:
    def test_one_lease_over_two_waits_and_a_crash(self) -> None:
        store, tokens, owners, outlasts = Journal(), list[int](), list[str](), list[bool]()
        competing, over = list[bool](), threading.Event()

        def compete() -> None:
            while not over.is_set():
                if store.row is not None and store.row.owner is not None:
                    competing.append(is_refused(store))
                time.sleep(0.02)

        @durable(store)
        def handler(event: Any, context: DurableContext, lease: Lease) -> str:
            tokens.append(lease.token)
            owners.append(lease.owner)
            # 30 s that it believes in, and 60 s more.
            outlasts.append(store.row.expires_at - time.time() > 80 > lease.remaining() + 40)
            context.step(lambda _: None)
            context.wait(SECOND)
            if len(tokens) == 2:
                raise InvocationError("crash")
            context.wait(SECOND)
            context.step(lambda _: over.set())
            return "all of it"

        competitor = threading.Thread(target=compete)
        competitor.start()
        try:
            result = run(handler)
        finally:
            over.set()
            competitor.join()
        assert result.status is InvocationStatus.SUCCEEDED
        assert len(tokens) == 4
        assert tokens == sorted(set(tokens))
        kinds = [kind for kind in store.sent if kind in ("Claim", "Park", "Release")]
        assert kinds == ["Claim", "Park"] * 3 + ["Claim", "Release"]
        assert outlasts == [True] * 4
        assert len(set(owners)) == 4
        assert len({owner.partition("/")[0] for owner in owners}) == 1
        assert len(competing) > 10
        assert all(competing)
        assert store.row.owner is None
        assert store.row.last_run["outcome"] == "succeeded"
        assert not is_refused(store)

    @pytest.mark.parametrize("error", [ValueError("no"), SystemError("no")])
    def test_a_failure_gives_it_back(self, error: Exception) -> None:
        store = Journal()

        @durable(store)
        def handler(event: Any, context: DurableContext) -> None:
            context.wait(SECOND)
            raise error

        assert run(handler).status is InvocationStatus.FAILED
        assert store.row.last_run["outcome"] == "failed"
        assert not is_refused(store)

    def test_a_retry_of_a_step_parks_until_it_is_due(self) -> None:
        store, parked = Journal(), list[Any]()

        @durable(store)
        def handler(event: Any, context: DurableContext) -> Any:
            def step(_: Any) -> str:
                if not parked:
                    parked.append(None)
                    raise ValueError("once")
                return "done"

            return context.step(step)

        assert run(handler).status is InvocationStatus.SUCCEEDED
        assert [each for each in store.sent if each != "Renew"] == [
            "Claim",
            "Park",
            "Claim",
            "Release",
        ]

    def test_it_is_parked_beyond_the_announced_resume(self) -> None:
        store, rows = Journal(), list[Any]()

        def look(operation: Operation) -> bool:
            if type(operation).__name__ == "Claim" and store.row is not None:
                rows.append(store.row)
            return False

        store.fail = look

        @durable(store)
        def handler(event: Any, context: DurableContext) -> None:
            context.wait(Duration.from_seconds(3))

        began = time.time()
        assert run(handler).status is InvocationStatus.SUCCEEDED
        (row,) = rows
        assert row.owner.endswith("/parked")
        assert row.expires_at >= began + 63
        assert row.duration == pytest.approx(row.expires_at - began, abs=5)

    def test_code_that_catches_every_exception_is_as_over_as_the_sdk_finds_it(self) -> None:
        store = Journal()

        @durable(store)
        def handler(event: Any, context: DurableContext) -> str:
            try:
                context.wait(SECOND)
            except BaseException:
                return "swallowed"
            return "waited"

        assert run(handler).status is InvocationStatus.SUCCEEDED
        assert store.row.owner is None

    def test_a_timer_of_more_than_a_day_is_refused(self) -> None:
        store = Journal()

        @durable(store)
        def handler(event: Any, context: DurableContext) -> None:
            context.wait(Duration.from_hours(25))

        result = run(handler)
        assert result.status is InvocationStatus.FAILED
        assert "more than 24 hours" in result.error.message
        assert not is_refused(store)


class TestSomebodyElse:
    def test_who_comes_while_another_has_it_is_refused(self) -> None:
        store, done = Journal(), list[str]()

        @durable(store)
        def handler(event: Any, context: DurableContext) -> None:
            done.append("work")

        with Lock("report", 60, store=store):
            result = run(handler)
        assert result.status is InvocationStatus.FAILED
        assert result.error.type.endswith("LeaseHeldError")
        assert done == []

    def test_a_stranger_in_between_ends_it(self) -> None:
        store, done = Journal(), list[str]()

        def intrude(operation: Operation) -> bool:
            if type(operation).__name__ == "Claim" and done:
                store.fail = lambda operation: False
                store.force_release("report")
                with Lock("report", 60, store=store):
                    done.append("stranger")
            return False

        store.fail = intrude

        @durable(store)
        def handler(event: Any, context: DurableContext) -> None:
            done.append("first")
            context.wait(SECOND)
            done.append("second")

        result = run(handler)
        assert result.status is InvocationStatus.FAILED
        assert result.error.type.endswith("LeaseLostError")
        assert "give a longer park" in result.error.message
        assert done == ["first", "stranger"]

    def test_a_last_answer_that_is_lost_is_given_again(self) -> None:
        """It was given back, and the service has not heard of it: nobody came in between."""
        store, tokens = Journal(), list[int]()

        def work(event: Any, context: DurableContext, lease: Lease) -> str:
            tokens.append(lease.token)
            context.step(lambda _: None)
            return "done"

        guarded = singleton("report", 30, park=60, store=store)(work)

        def answer_is_lost_once(event: Any, context: DurableContext) -> Any:
            result = guarded(event, context)
            if len(tokens) == 1:
                raise InvocationError("lost")
            return result

        assert run(durable_execution(answer_is_lost_once)).status is InvocationStatus.SUCCEEDED
        assert len(tokens) == 2
        assert tokens[0] < tokens[1]

    def test_an_execution_that_began_without_it_does_not_go_on(self) -> None:
        """The decorator is added while an execution is in flight: its first half had no lease."""
        store, done = Journal(), list[str]()

        def work(event: Any, context: DurableContext) -> None:
            done.append("work")
            context.wait(SECOND)
            done.append("second half")

        guarded = singleton("report", 30, park=60, store=store)(work)

        def of_two_versions(event: Any, context: DurableContext) -> None:
            (guarded if done else work)(event, context)

        result = run(durable_execution(of_two_versions))
        assert result.status is InvocationStatus.FAILED
        assert "had begun without it" in result.error.message
        assert done == ["work"]

    def test_a_loss_to_a_stranger_interrupts_it_on_its_thread(self) -> None:
        store, threads = Journal(), list[Any]()

        @durable(store, duration=1)
        def handler(event: Any, context: DurableContext) -> None:
            threads.append(threading.current_thread() is threading.main_thread())
            store.force_release("report")
            try:
                give_up = time.monotonic() + 10
                while time.monotonic() < give_up:
                    time.sleep(0.01)
            except LeaseInterrupt:
                threads.append("interrupted")
                raise

        result = run(handler)
        assert threads == [False, "interrupted"]
        assert result.status is InvocationStatus.FAILED
        assert result.error.type.endswith("LeaseLostError")

    def test_a_lease_that_could_not_be_renewed_is_gone_on_with(self) -> None:
        """Nobody has come in between: the execution is tried again, and finds its lease."""
        store, runs = Journal(), list[str]()

        @durable(store, duration=1)
        def handler(event: Any, context: DurableContext) -> str:
            runs.append("run")
            if len(runs) == 1:
                store.fail = lambda operation: type(operation).__name__ == "Renew"
                give_up = time.monotonic() + 10
                while time.monotonic() < give_up:
                    time.sleep(0.01)
            store.fail = lambda operation: False
            return "done"

        assert run(handler).status is InvocationStatus.SUCCEEDED
        assert runs == ["run", "run"]


class TestAStoreThatFails:
    def test_a_claim_without_an_answer_is_tried_again(self) -> None:
        store, runs, refusals = Journal(), list[str](), [True] * 3

        def fail(operation: Operation) -> bool:
            return bool(runs) and bool(refusals) and refusals.pop()

        store.fail = fail

        @durable(store)
        def handler(event: Any, context: DurableContext) -> str:
            runs.append("run")
            context.step(lambda _: None)
            if len(runs) == 1:
                raise InvocationError("crash")
            return "done"

        assert run(handler).status is InvocationStatus.SUCCEEDED
        assert runs == ["run", "run"]

    def test_a_suspension_that_was_not_parked_is_tried_again(self) -> None:
        store, failed = Journal(), list[str]()

        def fail(operation: Operation) -> bool:
            if type(operation).__name__ == "Park" and len(failed) < 3:
                failed.append("park")
                return True
            return False

        store.fail = fail

        @durable(store)
        def handler(event: Any, context: DurableContext) -> None:
            context.wait(SECOND)

        assert run(handler).status is InvocationStatus.SUCCEEDED
        assert store.sent.count("Claim") == 3
        assert not is_refused(store)


class TestBranches:
    @pytest.mark.parametrize("kind", ["map", "parallel", "nested"])
    def test_it_is_kept_until_the_last_branch_has_ended(self, kind: str) -> None:
        store, late, has_begun = Journal(), list[Any](), threading.Event()

        def slow() -> None:
            has_begun.set()
            for _ in range(50):
                time.sleep(0.01)
            late.append(is_refused(store))

        def item(context: DurableContext, number: int, index: int, numbers: Any) -> None:
            if number == 2:
                slow()
            else:
                has_begun.wait(10)

        @durable(store)
        def handler(event: Any, context: DurableContext) -> None:
            if kind == "map":
                context.map([1, 2], item, config=FIRST_OF_TWO)
            elif kind == "nested":
                context.run_in_child_context(lambda child: _nested(child, item))
            else:
                branches: Any = [
                    lambda child: has_begun.wait(10),
                    ParallelBranch(lambda child: slow(), name="slow"),
                ]
                context.parallel(branches, config=_first_of_two())
            assert late == []

        assert run(handler).status is InvocationStatus.SUCCEEDED
        assert late == [True]
        assert not is_refused(store)

    def test_a_branch_knows_its_lease(self) -> None:
        store, tokens = Journal(), list[int]()

        @durable(store)
        def handler(event: Any, context: DurableContext, lease: Lease) -> None:
            def item(child: DurableContext, number: int, index: int, numbers: Any) -> None:
                tokens.append(current_lease().token - lease.token)

            context.map([1, 2], item)

        assert run(handler).status is InvocationStatus.SUCCEEDED
        assert tokens == [0, 0]

    def test_branches_are_interrupted_as_their_handler_is(self) -> None:
        store, interrupted = Journal(), list[int]()

        @durable(store, duration=1)
        def handler(event: Any, context: DurableContext) -> None:
            def item(child: DurableContext, number: int, index: int, numbers: Any) -> None:
                try:
                    give_up = time.monotonic() + 10
                    while time.monotonic() < give_up:
                        time.sleep(0.01)
                except LeaseInterrupt:
                    interrupted.append(number)
                    raise

            store.force_release("report")
            context.map([1, 2], item)

        result = run(handler)
        assert sorted(interrupted) == [1, 2]
        assert result.status is InvocationStatus.FAILED
        assert result.error.type.endswith("LeaseLostError")


def _nested(child: DurableContext, item: Any) -> None:
    child.map([1, 2], item, config=FIRST_OF_TWO)


def _first_of_two() -> Any:
    from aws_durable_execution_sdk_python.config import ParallelConfig

    return ParallelConfig(completion_config=CompletionConfig(min_successful=1))


class TestRefusals:
    @pytest.mark.parametrize(
        "options",
        [
            {"on_held": "skip"},
            {"on_held": lambda event, context, error: None},
            {"min_hold": 5},
            {"once": True, "key": "id"},
            {"order": "version"},
            {"park": 0},
            {"park": 86_401},
        ],
    )
    def test_what_makes_no_sense_over_waits(self, options: dict[str, Any]) -> None:
        with pytest.raises(LeaseConfigError):
            singleton("report", 60, **{"park": 60, "store": MemoryStore(), **options})

    def test_above_durable_execution(self) -> None:
        with pytest.raises(LeaseConfigError, match="below @durable_execution"):
            singleton("report", 60, park=60)(durable_execution(lambda event, context: None))

    def test_a_function_that_is_not_durable(self) -> None:
        store = MemoryStore()
        handler = singleton("report", 60, park=60, store=store)(lambda event, context: "ran")
        with pytest.raises(LeaseConfigError, match="below @durable_execution"):
            handler({}, Context())
        assert store.get("report") is None

    def test_an_async_handler(self) -> None:
        async def handler(event: Any, context: Any) -> None: ...

        with pytest.raises(LeaseConfigError, match="async"):
            singleton("report", 60, park=60)(handler)

    def test_managed_instances(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "lambda-managed-instances")
        store = Journal()

        @durable(store)
        def handler(event: Any, context: DurableContext) -> None: ...

        result = run(handler)
        assert result.status is InvocationStatus.FAILED
        assert "Managed Instances" in result.error.message
        assert store.sent == []


def test_without_leases_it_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SINGLETON_DISABLED", "true")
    store, runs = Journal(), list[str]()

    @durable(store)
    def handler(event: Any, context: DurableContext) -> None:
        runs.append("run")
        context.wait(SECOND)

    with pytest.warns():
        assert run(handler).status is InvocationStatus.SUCCEEDED
    assert runs == ["run", "run"]
    assert store.sent == []


def test_the_command_line_and_the_events_tell_a_parked_lease_and_its_execution() -> None:
    store, rows = Journal(), list[Any]()

    def look(operation: Operation) -> bool:
        if type(operation).__name__ == "Claim" and store.row is not None:
            rows.append(store.row)
        return False

    store.fail = look

    @durable(store)
    def handler(event: Any, context: DurableContext) -> None:
        context.wait(SECOND)

    with observed() as events:
        assert run(handler).status is InvocationStatus.SUCCEEDED
    told = [event for event in events if event.lease == "report"]
    assert [event.outcome for event in told if event.kind == "released"] == ["parked", "succeeded"]
    # Who goes on after a wait has taken it from nobody who died.
    assert [event.taken_from for event in told if event.kind == "acquired"] == [None, None]
    (row,) = rows
    shown = {fact.label: fact.text for fact in facts(Status(row, time.time(), 1.0))}
    assert row.holder["execution"] in shown["parked"]
    assert "parked" not in {fact.label for fact in facts(Status(store.row, time.time(), 1.0))}


@contextmanager
def observed() -> Iterator[list[LeaseEvent]]:
    events = list[LeaseEvent]()
    stop = observe(events.append)
    try:
        yield events
    finally:
        stop()
