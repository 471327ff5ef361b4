"""A lost lease stops the handler, whatever it is doing, and leaves no trace behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from types import FunctionType
from typing import Any

import pytest

from lambda_singleton import (
    Lease,
    LeaseHeldError,
    LeaseInterrupt,
    LeaseLostError,
    LeaseStoreError,
    Lock,
    MemoryStore,
    singleton,
)
from lambda_singleton._clock import Clock
from lambda_singleton._holding.hold import Hold
from lambda_singleton._holding.interrupt import MainThreadInterruption, ThreadInterruption
from lambda_singleton._holding.renewal import Renewal
from lambda_singleton._holding.tenure import Tenure
from lambda_singleton._holding.watch import RESEND, Watch
from lambda_singleton._protocol.operation import Operation
from lambda_singleton._protocol.operations import Renew
from lambda_singleton._protocol.store import Reply
from lambda_singleton._protocol.term import Term
from lambda_singleton.testing import FakeClock

from ..fakes import FaultyStore

DURATION = 0.6
FOREVER = 30


class LosingStore(FaultyStore):
    """Every renewal finds the lease in other hands ("stolen") or nobody there ("expired")."""

    def __init__(self, reason: str, clock: Clock = time) -> None:
        super().__init__(MemoryStore(clock=clock))
        self.reason = reason
        # A renewal finds it stolen after a third of it: a busy machine must not let it expire.
        self.duration = DURATION if reason == "expired" else 3 * DURATION

    def execute(self, operation: Operation, *, timeout: float) -> Reply:
        if isinstance(operation, Renew):
            if self.reason == "expired":
                raise LeaseStoreError("unreachable")
            self.inner.force_release(operation.name)
        return super().execute(operation, timeout=timeout)


@pytest.fixture(params=["stolen", "expired"])
def store(request: pytest.FixtureRequest) -> LosingStore:
    return LosingStore(request.param)


def sleeps() -> None:
    time.sleep(FOREVER)


def waits_on_a_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


def waits_for_a_lock() -> None:
    event = threading.Event()
    event.wait(FOREVER)


def loops() -> None:
    stop_at = time.monotonic() + FOREVER
    while time.monotonic() < stop_at:
        pass


def catches_exception_and_goes_on() -> None:
    stop_at = time.monotonic() + FOREVER
    while time.monotonic() < stop_at:
        try:
            time.sleep(0.01)
            raise ValueError("a bad record")
        except Exception:  # noqa: S110
            pass


HANDLERS = [sleeps, waits_on_a_socket, waits_for_a_lock, loops, catches_exception_and_goes_on]


@pytest.mark.parametrize("work", HANDLERS)
def test_a_handler_is_interrupted(store: LosingStore, work: Callable[[], None]) -> None:
    seen: list[type[BaseException]] = []

    @singleton("x", store.duration, store=store)
    def handler(event: object, context: object) -> None:
        try:
            work()
        except BaseException as error:
            seen.append(type(error))
            raise

    previous = signal.getsignal(signal.SIGURG)
    with pytest.raises(LeaseLostError) as lost:
        handler({}, None)
    assert lost.value.reason == store.reason
    assert isinstance(lost.value.__cause__, LeaseInterrupt)
    assert seen == [LeaseInterrupt]
    assert signal.getsignal(signal.SIGURG) is previous


def test_a_handler_is_not_interrupted_before_it_runs(
    store: LosingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def start_slowly(thread: threading.Thread) -> None:
        # As on a machine that has more to do: the lease is lost before start() returns.
        start(thread)
        while not lease.lost:
            time.sleep(0.01)
        time.sleep(0.1)

    monkeypatch.setattr(threading.Thread, "start", start_slowly)
    hold = Hold(Tenure(store, "x", Term(DURATION)), wait=0)
    lease = hold.take()
    with pytest.raises(LeaseLostError), hold:
        time.sleep(FOREVER)


@pytest.mark.parametrize("work", HANDLERS)
def test_a_with_block_is_interrupted(store: LosingStore, work: Callable[[], None]) -> None:
    with pytest.raises(LeaseLostError), Lock("x", DURATION, store=store):
        work()


def test_a_handler_that_swallows_an_interrupt_is_interrupted_again(store: LosingStore) -> None:
    interrupts = 0

    @singleton("x", DURATION, store=store)
    def handler(event: object, context: object) -> None:
        nonlocal interrupts
        while interrupts < 2:
            try:
                time.sleep(FOREVER)
            except LeaseInterrupt:
                interrupts += 1

    with pytest.raises(LeaseLostError):
        handler({}, None)
    assert interrupts == 2


def test_an_interrupted_handler_has_time_to_clean_up(store: LosingStore) -> None:
    cleaned_up = False

    @singleton("x", DURATION, store=store)
    def handler(event: object, context: object) -> None:
        nonlocal cleaned_up
        try:
            time.sleep(FOREVER)
        finally:
            time.sleep(0.3)
            cleaned_up = True

    with pytest.raises(LeaseLostError):
        handler({}, None)
    assert cleaned_up


@pytest.mark.parametrize(("left", "is_stopped"), [(0.31, False), (0.29, True)])
def test_one_that_ends_is_stopped_before_others_may_start(left: float, is_stopped: bool) -> None:
    # The clock stands: however long the interrupt takes here, it was sent while this much was left.
    clock = FakeClock()
    store = LosingStore("expired", clock)
    interrupts = 0

    @singleton("x", 3, store=store)
    def handler(event: object, context: object, lease: Lease) -> None:
        nonlocal interrupts
        clock.advance(3 - left)
        try:
            time.sleep(FOREVER if is_stopped else 0.1)
        except LeaseInterrupt:
            interrupts += 1
            raise

    with pytest.raises(LeaseLostError) if is_stopped else nullcontext():
        handler({}, None)
    assert interrupts == is_stopped


def test_a_signal_handler_of_ones_own_is_kept_and_still_called(store: LosingStore) -> None:
    calls: list[int] = []

    def mine(number: int, frame: Any) -> None:
        calls.append(number)

    previous = signal.signal(signal.SIGURG, mine)
    try:
        with Lock("y", 30, store=MemoryStore()):
            signal.raise_signal(signal.SIGURG)
        assert calls == [signal.SIGURG]
        with pytest.raises(LeaseLostError), Lock("x", DURATION, store=store):
            time.sleep(FOREVER)
        assert calls == [signal.SIGURG]
        assert signal.getsignal(signal.SIGURG) is mine
    finally:
        signal.signal(signal.SIGURG, previous)


def test_a_signal_handler_that_was_set_inside_the_block_stays() -> None:
    previous = signal.getsignal(signal.SIGURG)
    try:
        with Lock("x", 30, store=MemoryStore()):
            signal.signal(signal.SIGURG, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGURG) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGURG, previous)


def test_an_interrupt_is_never_raised_in_the_packages_own_code() -> None:
    interruption = MainThreadInterruption("x", "owner")

    def elsewhere() -> None:
        signal.raise_signal(signal.SIGURG)

    inside = FunctionType(
        elsewhere.__code__, {"__name__": "lambda_singleton._any", "signal": signal}
    )
    interruption.arm()
    interruption.is_sent = True
    try:
        inside()
        assert not interruption.was_delivered()
        with pytest.raises(LeaseInterrupt) as interrupt:
            elsewhere()
        assert interrupt.value.owner == "owner"
        assert interruption.was_delivered()
    finally:
        interruption.disarm()


@pytest.mark.parametrize(
    ("module", "is_raised"), [("lambda_singleton._any", False), ("handler", True)]
)
def test_an_interrupt_of_a_thread_is_never_raised_in_the_packages_own_code(
    module: str, is_raised: bool
) -> None:
    armed, sent, raised = threading.Event(), [False], [False]
    made: list[ThreadInterruption] = []

    def spin(sent: list[bool]) -> None:
        while not sent[0]:
            pass
        # The exception arrives between any two of these.
        for _ in range(1000):
            pass

    busy = FunctionType(spin.__code__, {"__name__": module, "range": range})

    def run() -> None:
        interruption = ThreadInterruption("x", "owner", None)
        made.append(interruption)
        interruption.arm()
        armed.set()
        try:
            busy(sent)
        except LeaseInterrupt:
            raised[0] = True
        interruption.disarm()

    thread = threading.Thread(target=run)
    thread.start()
    armed.wait(10)
    while sys._current_frames()[thread.ident or 0].f_code is not spin.__code__:
        time.sleep(0.001)
    made[0].send()
    sent[0] = True
    thread.join(10)
    assert raised == [is_raised]


TWO_INTERRUPTS = """
import sys, threading, time
from lambda_singleton import LeaseInterrupt
from lambda_singleton._holding.interrupt import ThreadInterruption

made, is_sent = [], threading.Event()

def traced(): return "began"

def run():
    made.extend(ThreadInterruption(name, name, None) for name in ("inner", "outer"))
    for interruption in made:
        interruption.arm()
    try:
        while not is_sent.is_set():
            time.sleep(0.2)
        for _ in range(1000):
            pass
    except LeaseInterrupt as interrupt:
        print(interrupt.owner, flush=True)
    for interruption in made:
        interruption.disarm()
    sys.settrace(lambda *_: None)
    print(traced(), flush=True)

thread = threading.Thread(target=run, daemon=True)
thread.start()
while len(made) < 2 or "sleep" not in sys._current_frames()[thread.ident].f_code.co_names:
    time.sleep(0.001)
made[0].send()
made[1].send()
is_sent.set()
thread.join(20)
"""


def test_an_interrupt_that_another_one_replaced_leaves_nothing_behind_for_a_tracer() -> None:
    # A thread has room for one exception. In Python 3.11 withdrawing it twice hung every call.
    done = subprocess.run(
        [sys.executable, "-c", TWO_INTERRUPTS],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split()[-1:] == ["began"], done.stdout + done.stderr
    assert set(done.stdout.split()[:-1]) <= {"inner", "outer"}


class Deaf:
    """An interruption that cannot be delivered, until `arrived` is set."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.arrived = threading.Event()

    def arm(self) -> None: ...

    def send(self) -> None:
        self.sent.append(time.monotonic())

    def was_delivered(self) -> bool:
        arrived = self.arrived.is_set()
        self.arrived.clear()
        return arrived

    def is_over(self) -> bool:
        return False

    def disarm(self) -> None: ...


def test_an_interrupt_that_could_not_be_raised_is_soon_sent_again() -> None:
    tenure = Tenure(MemoryStore(), "x", Term(30))
    hold = Hold(tenure, wait=0)
    hold.take()
    deaf = Deaf()
    watch = Watch(tenure, Renewal(tenure), deaf, lambda: None, interrupts=True)
    tenure.expire()
    watch.start()
    while len(deaf.sent) < 3:
        time.sleep(0.001)
    deaf.arrived.set()
    while deaf.arrived.is_set():
        time.sleep(0.001)
    before = len(deaf.sent)
    time.sleep(10 * RESEND)
    assert len(deaf.sent) <= before + 1, "then there is time to clean up"
    watch.stop()
    hold.lease.release()


def test_an_outer_lease_interrupts_through_an_inner_one(store: LosingStore) -> None:
    inner = MemoryStore()
    with pytest.raises(LeaseLostError) as lost, Lock("outer", DURATION, store=store):  # noqa: SIM117
        with Lock("inner", 30, store=inner):
            time.sleep(FOREVER)
    assert lost.value.name == "outer"
    record = inner.get("inner")
    assert record is not None
    assert record.owner is None, "the inner lease was released on the way"


def test_a_handler_outside_the_main_thread_is_interrupted(store: LosingStore) -> None:
    outcome: list[BaseException] = []

    def run() -> None:
        try:
            with Lock("x", DURATION, store=store):
                stop_at = time.monotonic() + FOREVER
                while time.monotonic() < stop_at:
                    time.sleep(0.01)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(FOREVER)
    assert [type(error) for error in outcome] == [LeaseLostError]


class TestAsync:
    def test_a_task_is_cancelled(self, store: LosingStore) -> None:
        seen: list[type[BaseException]] = []

        @singleton("x", DURATION, store=store)
        async def handler(event: object, context: object) -> None:
            try:
                await asyncio.sleep(FOREVER)
            except BaseException as error:
                seen.append(type(error))
                raise

        with pytest.raises(LeaseLostError) as lost:
            asyncio.run(handler({}, None))
        assert lost.value.reason == store.reason
        assert seen == [asyncio.CancelledError]

    def test_one_that_blocks_the_loop_is_interrupted(self, store: LosingStore) -> None:
        @singleton("x", DURATION, store=store)
        async def handler(event: object, context: object) -> None:
            time.sleep(FOREVER)  # noqa: ASYNC251

        with pytest.raises(LeaseLostError):
            asyncio.run(handler({}, None))
        assert signal.getsignal(signal.SIGURG) is signal.SIG_DFL

    def test_other_tasks_go_on(self, store: LosingStore) -> None:
        @singleton("x", DURATION, store=store)
        async def handler(event: object, context: object) -> None:
            await asyncio.sleep(FOREVER)

        async def both() -> tuple[Any, Any]:
            async def other() -> str:
                await asyncio.sleep(DURATION * 2)
                return "finished"

            results = await asyncio.gather(handler({}, None), other(), return_exceptions=True)
            return results[0], results[1]

        lost, finished = asyncio.run(both())
        assert isinstance(lost, LeaseLostError)
        assert finished == "finished"

    def test_a_block_is_stopped_and_the_task_lives_on(self, store: LosingStore) -> None:
        async def main() -> str:
            try:
                async with Lock("x", DURATION, store=store):
                    await asyncio.sleep(FOREVER)
            except LeaseLostError:
                await asyncio.sleep(0.01)
                return "went on"
            return "not interrupted"

        assert asyncio.run(main()) == "went on"


class TestReport:
    def test_the_handler_runs_on_and_can_look(self, store: LosingStore) -> None:
        seen: list[bool] = []

        @singleton("x", DURATION, on_lost="report", store=store)
        def handler(event: object, context: object, lease: Lease) -> str:
            while not lease.lost:
                time.sleep(0.01)
            with pytest.raises(LeaseLostError):
                lease.check()
            seen.append(lease.lost)
            return "a result that must not be believed"

        with pytest.raises(LeaseLostError):
            handler({}, None)
        assert seen == [True]

    def test_a_callable_is_called_once(self, store: LosingStore) -> None:
        told: list[Lease] = []

        @singleton("x", DURATION, on_lost=told.append, store=store)
        def handler(event: object, context: object, lease: Lease) -> None:
            while not told:
                time.sleep(0.01)
            time.sleep(0.1)
            assert told == [lease]

        with pytest.raises(LeaseLostError):
            handler({}, None)
        assert len(told) == 1

    def test_what_it_raises_goes_nowhere(
        self, store: LosingStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        called = threading.Event()
        calls = 0

        def broken(lease: Lease) -> None:
            nonlocal calls
            calls += 1
            called.set()
            raise ValueError("on_lost is broken")

        @singleton("x", DURATION, on_lost=broken, store=store)
        def handler(event: object, context: object) -> None:
            called.wait(FOREVER)
            time.sleep(0.2)

        with pytest.raises(LeaseLostError):
            handler({}, None)
        assert "on_lost is broken" in caplog.text
        assert calls == 1


def test_losing_one_lease_does_not_stop_the_wait_for_another() -> None:
    store = MemoryStore()
    holder = Lock("x", 30, store=store).acquire()
    with pytest.raises(LeaseHeldError):
        Lock("x", 30, store=store).acquire(wait=0.2)
    holder.check()
