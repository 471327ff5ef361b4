from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lambda_singleton import (
    LeaseDeadlineError,
    LeaseEvent,
    LeaseHeldError,
    LeaseLostError,
    LeaseStoreError,
    Lock,
    MemoryStore,
    observe,
    singleton,
)
from lambda_singleton._events import metrics
from lambda_singleton._events.observers import prepare, tell

from .. import emf
from ..fakes import FakeClock, FaultyStore


@pytest.fixture
def events() -> Iterator[list[LeaseEvent]]:
    seen: list[LeaseEvent] = []
    end = observe(seen.append)
    yield seen
    end()


def kinds(events: list[LeaseEvent]) -> list[str]:
    return [event.kind for event in events]


class Context:
    aws_request_id = "request"

    def __init__(self, left: float = 60.0) -> None:
        self._left = left

    def get_remaining_time_in_millis(self) -> int:
        return round(self._left * 1000)


class TestEvents:
    def test_of_a_run(
        self, events: list[LeaseEvent], memory: MemoryStore, clock: FakeClock
    ) -> None:
        @singleton("a", store=memory)
        def handler(event: Any, context: Any) -> None:
            clock.now += 7

        handler({}, Context())
        acquired, released = events
        assert (acquired.kind, acquired.lease, acquired.waited) == ("acquired", "a", 0.0)
        assert acquired.until == clock.time() - 7 + 60 + memory.kill_grace
        assert (released.kind, released.held, released.outcome) == ("released", 7, "succeeded")
        assert (acquired.owner, acquired.token) == (released.owner, released.token)

    def test_of_a_run_that_fails(self, events: list[LeaseEvent], memory: MemoryStore) -> None:
        with pytest.raises(LookupError), Lock("a", 60, store=memory):
            raise LookupError
        assert events[-1].outcome == "failed"

    def test_of_one_that_is_held(self, events: list[LeaseEvent], memory: MemoryStore) -> None:
        Lock("a", 60, store=memory).acquire()
        with pytest.raises(LeaseHeldError) as refused:
            Lock("a", 60, store=memory).acquire()
        assert kinds(events) == ["acquired", "skipped"]
        assert events[1].holder == refused.value.holder
        assert events[1].held_until == refused.value.held_until

    def test_of_one_that_rests(self, events: list[LeaseEvent], memory: MemoryStore) -> None:
        @singleton("a", duration=60, min_hold=30, store=memory)
        def handler(event: Any, context: Any) -> None: ...

        handler({}, Context())
        with pytest.raises(LeaseHeldError, match=r"rests until .*, last held"):
            handler({}, Context())
        assert (events[-1].kind, events[-1].reason) == ("skipped", "resting")
        Lock("b", 60, store=memory).acquire()
        with pytest.raises(LeaseHeldError):
            Lock("b", 60, store=memory).acquire()
        assert (events[-1].kind, events[-1].reason) == ("skipped", None)

    def test_of_a_wait(
        self,
        events: list[LeaseEvent],
        memory: MemoryStore,
        clock: FakeClock,
        without_jitter: None,
    ) -> None:
        Lock("a", 10, store=memory).acquire()
        began = clock.now
        lease = Lock("a", 10, wait=60, store=memory).acquire()
        assert kinds(events) == ["acquired", "waiting", "acquired"]
        assert events[2].waited == events[2].took == pytest.approx(clock.now - began)
        assert events[2].taken_from == lease.taken_from == events[0].owner

    def test_of_a_lease_that_nobody_had(self, memory: MemoryStore) -> None:
        lock = Lock("a", 10, store=memory)
        with lock as lease:
            assert lease.taken_from is None
        with lock as lease:
            assert lease.taken_from is None

    def test_a_lost_reply_makes_nobody_dead(self, memory: MemoryStore) -> None:
        store = FaultyStore(memory)
        store.faults = ["reply lost"]
        assert Lock("a", 10, store=store).acquire().taken_from is None

    def test_of_a_loss_once(
        self, events: list[LeaseEvent], memory: MemoryStore, clock: FakeClock
    ) -> None:
        lease = Lock("a", 10, store=memory).acquire()
        memory.force_release("a")
        for _ in range(2):
            with pytest.raises(LeaseLostError):
                lease.renew()
        lease.release()
        assert kinds(events) == ["acquired", "forced", "lost"]
        assert events[2].reason == "stolen"

    def test_of_a_lease_that_ran_out_unnoticed(
        self, events: list[LeaseEvent], memory: MemoryStore, clock: FakeClock
    ) -> None:
        lease = Lock("a", 10, store=memory).acquire()
        clock.now += 11
        lease.release()
        assert kinds(events) == ["acquired", "lost", "released"]
        assert (events[1].reason, events[2].outcome) == ("expired", "lost")

    def test_of_one_that_somebody_took_over(
        self, events: list[LeaseEvent], memory: MemoryStore, clock: FakeClock
    ) -> None:
        lease = Lock("a", 10, store=memory).acquire()
        clock.now += 12
        Lock("a", 10, store=memory).acquire()
        lease.release()
        assert kinds(events) == ["acquired", "acquired", "lost"]

    def test_of_a_store_that_does_not_answer(
        self, events: list[LeaseEvent], memory: MemoryStore
    ) -> None:
        store = FaultyStore(memory)
        lease = Lock("a", 10, store=store).acquire()
        store.faults = ["unreachable", None]
        lease.renew()
        store.faults = ["unreachable"] * 3
        with pytest.raises(LeaseStoreError):
            lease.release()
        store.faults = ["unreachable"] * 3
        with pytest.raises(LeaseStoreError) as failure:
            Lock("b", 10, store=store).acquire()
        assert kinds(events) == [
            "acquired",
            "renewal_failed",
            "renewed",
            "release_failed",
            "failed",
        ]
        assert events[-1].error is failure.value

    def test_of_a_start_that_comes_too_late(
        self, events: list[LeaseEvent], memory: MemoryStore
    ) -> None:
        handler = singleton("a", store=memory)(lambda event, context: None)
        with pytest.raises(LeaseDeadlineError):
            handler({}, Context(left=0))
        assert kinds(events) == ["failed"]


class TestObservers:
    def test_what_one_raises_is_logged_and_goes_nowhere(
        self, events: list[LeaseEvent], memory: MemoryStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fails(event: LeaseEvent) -> None:
            raise ZeroDivisionError(event.kind)

        end = observe(fails)
        late: list[LeaseEvent] = []
        end_late = observe(late.append)
        with Lock("a", 10, store=memory):
            pass
        end()
        end_late()
        assert kinds(events) == kinds(late) == ["acquired", "released"]
        assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == [
            "acquired",
            "released",
        ]

    def test_one_that_has_ended_is_told_nothing(self, memory: MemoryStore) -> None:
        seen: list[LeaseEvent] = []
        end = observe(seen.append)
        end()
        end()
        Lock("a", 10, store=memory).acquire()
        assert seen == []


class TestLogs:
    def test_contention_never_warns(
        self, memory: MemoryStore, caplog: pytest.LogCaptureFixture, without_jitter: None
    ) -> None:
        caplog.set_level(logging.DEBUG, "lambda_singleton")
        with Lock("a", 10, store=memory):
            for wait in (0, 2):
                with pytest.raises(LeaseHeldError):
                    Lock("a", 10, wait=wait, store=memory).acquire()
        assert {record.levelno for record in caplog.records} <= {logging.DEBUG, logging.INFO}
        told = [getattr(record, "decision", None) for record in caplog.records]
        assert told == ["acquired", "skipped", "waiting", "skipped", "released"]

    def test_every_decision_has_a_sentence(self, caplog: pytest.LogCaptureFixture) -> None:
        from lambda_singleton._events.logs import _LEVELS

        caplog.set_level(logging.DEBUG, "lambda_singleton")
        for kind in _LEVELS:
            tell(LeaseEvent(kind, "a", 0.0))  # type: ignore[arg-type]
        assert len(caplog.records) == len(_LEVELS)
        assert all("lease 'a'" in record.getMessage() for record in caplog.records)
        assert not any(record.exc_info for record in caplog.records)

    def test_lines_can_be_encoded(self, caplog: pytest.LogCaptureFixture) -> None:
        tell(LeaseEvent("failed", "a", 0.0, error=LeaseStoreError("in region \udcff")))
        (record,) = caplog.records
        assert r"\udcff" in record.getMessage()
        assert record.__dict__["error"] == r"LeaseStoreError: in region \udcff"


class TestMetrics:
    @pytest.fixture(autouse=True)
    def somewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
        monkeypatch.delenv("SINGLETON_METRICS_NAMESPACE", raising=False)

    def test_there_are_none_outside_of_lambda(self, capsys: pytest.CaptureFixture[str]) -> None:
        tell(LeaseEvent("lost", "a", 0.0))
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize(
        ("variable", "namespace"),
        [("AWS_LAMBDA_FUNCTION_NAME", "LambdaSingleton"), ("SINGLETON_METRICS_NAMESPACE", "Mine")],
    )
    def test_there_are_some_in_lambda_and_for_a_namespace(
        self,
        variable: str,
        namespace: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv(variable, "Mine")
        tell(LeaseEvent("lost", "näme #key", 0.0))
        (metric,) = emf.parse(capsys.readouterr().out)
        assert (metric.namespace, metric.name) == (namespace, "Lost")
        assert metric.dimensions["lease"] == r"n\xe4me "

    def test_lengths_of_time_are_in_milliseconds(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("SINGLETON_METRICS_NAMESPACE", "Mine")
        tell(LeaseEvent("acquired", "a", 9.0, took=2.5, waited=2.0))
        tell(LeaseEvent("released", "a", 9.0, held=7.0))
        seen = [each for line in capsys.readouterr().out.splitlines() for each in emf.parse(line)]
        lengths = {one.name: one.values for one in seen if one.unit == "Milliseconds"}
        assert lengths == {"WaitTime": [2000], "AcquireLatency": [500], "HeldTime": [7000]}

    def test_who_shares_a_run_has_not_acquired(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("SINGLETON_METRICS_NAMESPACE", "Mine")
        tell(LeaseEvent("coalesced", "a", 0.0, token=8, took=4.0))
        measured = emf.parse(capsys.readouterr().out)
        assert {metric.name: metric.values for metric in measured} == {
            "Coalesced": [1],
            "Acquired": [0],
        }

    def test_a_late_start_is_no_error_of_the_store(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("SINGLETON_METRICS_NAMESPACE", "Mine")
        tell(LeaseEvent("failed", "a", 0.0, error=LeaseDeadlineError()))
        tell(LeaseEvent("waiting", "a", 0.0))
        assert capsys.readouterr().out == ""

    def test_they_are_loaded_before_a_lease_counts(
        self, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SINGLETON_METRICS_NAMESPACE", "Mine")
        prepare.cache_clear()
        metrics._ephemeral_metrics.cache_clear()
        execute = memory.execute
        loaded: list[int] = []

        def watched(operation: Any, *, timeout: float) -> Any:
            loaded.append(metrics._ephemeral_metrics.cache_info().currsize)
            return execute(operation, timeout=timeout)

        monkeypatch.setattr(memory, "execute", watched)
        Lock("a", 10, store=memory).acquire()
        assert loaded == [1]

    def test_a_switch_that_is_neither_on_nor_off_is_told_and_harmless(
        self,
        memory: MemoryStore,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setenv("SINGLETON_METRICS_NAMESPACE", "Mine")
        monkeypatch.setenv("SINGLETON_METRICS_DISABLED", "perhaps")
        with Lock("a", 10, store=memory):
            pass
        told = [str(record.exc_info) for record in caplog.records if record.exc_info]
        assert len(told) == 2
        assert "SINGLETON_METRICS_DISABLED must be true or false" in told[0]


class Segments:
    """Stands for Powertools' Tracer and for its provider, and keeps the subsegments."""

    def __init__(self) -> None:
        self.written: list[SimpleNamespace] = []

    def Tracer(self, *, auto_patch: bool) -> SimpleNamespace:  # noqa: N802
        assert not auto_patch
        return SimpleNamespace(provider=self)

    @contextmanager
    def in_subsegment(self, *, name: str) -> Iterator[SimpleNamespace]:
        annotations: dict[str, Any] = {}
        segment = SimpleNamespace(name=name, annotations=annotations)
        segment.put_annotation = annotations.__setitem__
        self.written.append(segment)
        yield segment


class TestTraces:
    @pytest.fixture
    def segments(self, monkeypatch: pytest.MonkeyPatch) -> Segments:
        segments = Segments()
        monkeypatch.setitem(sys.modules, "aws_lambda_powertools.tracing", cast(Any, segments))
        monkeypatch.setitem(sys.modules, "aws_xray_sdk.core", cast(Any, segments))
        return segments

    def test_are_of_what_takes_and_gives_back_a_lease(
        self, segments: Segments, memory: MemoryStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        lease = Lock("a", 10, store=memory).acquire()
        lease.renew()
        with pytest.raises(LeaseHeldError):
            Lock("a", 10, store=memory).acquire()
        lease.release()
        shown = [(one.name, one.annotations["decision"]) for one in segments.written]
        assert shown == [
            ("acquire lease a", "acquired"),
            ("acquire lease a", "skipped"),
            ("release lease a", "released"),
        ], "a renewal is no part of the handler's work"
        assert not any(record.exc_info for record in caplog.records)

    def test_begin_when_the_request_did(self, segments: Segments) -> None:
        tell(LeaseEvent("acquired", "a", 9.0, token=4, took=2.5))
        (segment,) = segments.written
        assert segment.start_time == 6.5
        assert segment.annotations == {"lease": "a", "decision": "acquired", "token": 4}
