"""The decorator: one handler at a time."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from .._clock import seconds
from .._environment import store_or_default
from .._errors import LeaseConfigError, LeaseHeldError
from .._holding.hold import OnLost, check_on_lost
from .._lock import SHORTEST
from .._name import Key, naming
from .._protocol.order import ONCE, Order
from .._protocol.store import LeaseStore
from .._stores.ready import prepare_in_init
from .durable import refuse_durable_handler
from .handler import Handler
from .options import Coalesced, Options, Skipped

if TYPE_CHECKING:
    from datetime import timedelta

    from .guarded import Guard, GuardOr

X = TypeVar("X")

OnHeld = Callable[[Any, Any, LeaseHeldError], X]


@overload
def singleton(
    name: str,
    duration: float | timedelta | None = None,
    *,
    key: Key | None = None,
    wait: float | timedelta = 0,
    on_held: Literal["raise"] = "raise",
    on_lost: OnLost = "interrupt",
    min_hold: float | timedelta = 0,
    borrow: Key | None = None,
    park: float | timedelta | None = None,
    store: LeaseStore | None = None,
) -> Guard: ...
@overload
def singleton(
    name: str,
    duration: float | timedelta | None = None,
    *,
    key: Key,
    once: Literal[True],
    wait: float | timedelta = 0,
    on_held: Literal["raise"] = "raise",
    on_lost: OnLost = "interrupt",
    store: LeaseStore | None = None,
) -> GuardOr[Skipped]: ...
@overload
def singleton(
    name: str,
    duration: float | timedelta | None = None,
    *,
    key: Key,
    once: Literal[True],
    wait: float | timedelta = 0,
    on_held: OnHeld[X],
    on_lost: OnLost = "interrupt",
    store: LeaseStore | None = None,
) -> GuardOr[Skipped | X]: ...
@overload
def singleton(
    name: str,
    duration: float | timedelta | None = None,
    *,
    order: Key,
    key: Key | None = None,
    wait: float | timedelta = 0,
    on_held: Literal["raise"] = "raise",
    on_lost: OnLost = "interrupt",
    min_hold: float | timedelta = 0,
    store: LeaseStore | None = None,
) -> GuardOr[Skipped]: ...
@overload
def singleton(
    name: str,
    duration: float | timedelta | None = None,
    *,
    order: Key,
    key: Key | None = None,
    wait: float | timedelta = 0,
    on_held: OnHeld[X],
    on_lost: OnLost = "interrupt",
    min_hold: float | timedelta = 0,
    store: LeaseStore | None = None,
) -> GuardOr[Skipped | X]: ...
@overload
def singleton(
    name: str,
    duration: float | timedelta | None = None,
    *,
    key: Key | None = None,
    wait: float | timedelta = 0,
    on_held: Literal["skip"],
    on_lost: OnLost = "interrupt",
    min_hold: float | timedelta = 0,
    park: float | timedelta | None = None,
    store: LeaseStore | None = None,
) -> GuardOr[Skipped]: ...
@overload
def singleton(
    name: str,
    duration: float | timedelta | None = None,
    *,
    key: Key | None = None,
    wait: float | timedelta,
    on_held: Literal["coalesce"],
    on_lost: OnLost = "interrupt",
    min_hold: float | timedelta = 0,
    store: LeaseStore | None = None,
) -> GuardOr[Coalesced]: ...
@overload
def singleton(
    name: str,
    duration: float | timedelta | None = None,
    *,
    key: Key | None = None,
    wait: float | timedelta = 0,
    on_held: OnHeld[X],
    on_lost: OnLost = "interrupt",
    min_hold: float | timedelta = 0,
    borrow: Key | None = None,
    park: float | timedelta | None = None,
    store: LeaseStore | None = None,
) -> GuardOr[X]: ...
def singleton(
    name: str,
    duration: float | timedelta | None = None,
    *,
    key: Key | None = None,
    once: bool = False,
    order: Key | None = None,
    wait: float | timedelta = 0,
    on_held: Literal["raise", "skip", "coalesce"] | OnHeld[Any] = "raise",
    on_lost: OnLost = "interrupt",
    min_hold: float | timedelta = 0,
    borrow: Key | None = None,
    park: float | timedelta | None = None,
    store: LeaseStore | None = None,
) -> Any:
    """Let at most one handler of this name run at a time.

    The handler, plain or async, is called as `(event, context, ...)`; a method's first parameter
    must be called `self` or `cls`. If it declares a parameter `lease` it is given the `Lease`;
    `current_lease()` returns it in everything that it calls, but not in threads that it starts.

    Args:
        name: The lease's name, without `#`.
        duration: Length of one lease in seconds or as a timedelta: the longest that a crashed
            holder blocks the name. Renewed at a third of it until the invocation's deadline. None:
            the whole remaining time of the invocation, with no renewals and no thread.
        key: One lease for each tenant, order, file...: a JMESPath expression over the event, or a
            callable `(event, context) -> str`. The full name is `name#key`.
        once: Whether each `key` is a slot that is done once: after a run of it has succeeded,
            others return a `Skipped` with the reason "done", whatever `on_held` says. One that
            failed, or died, leaves the slot to the next delivery.
        order: What rises with the events of one lease: a JMESPath expression over the event, or a
            callable `(event, context)`, that gives a whole number or a time with its offset. An
            event is skipped if one of the same order or a later one has succeeded ("done"), or a
            later one has begun ("superseded"). With `min_hold` it rests only after a success. Its
            runs have no checkpoints.
        wait: Seconds to wait for a held lease. 0 is one attempt. Never waits into the deadline.
        on_held: "raise": `LeaseHeldError`. "skip": the handler does not run, and the result is a
            `Skipped`. "coalesce": as soon as a run of this handler that began after this call has
            succeeded, the result is a `Coalesced`; until then it waits for its own turn, and raises
            `LeaseHeldError` after `wait`. For handlers that look at the state of things and not at
            their event. A callable `(event, context, error)`: its result.
        on_lost: "interrupt": `LeaseInterrupt` is raised inside the handler, `LeaseLostError` leaves
            it. "report": the handler runs on, `lease.lost` and `lease.check()` tell, and
            `LeaseLostError` is raised after it. A callable `(lease)`: called once from another
            thread, then as "report".
        min_hold: Seconds from the start during which nobody may run it again, even after it has
            ended: for duplicate deliveries of a schedule.
        borrow: Which execution of a state machine the lease is borrowed from: a JMESPath expression
            over the event, or a callable `(event, context)`, that gives the id by which the
            execution has taken it. Without one in the event, the lease is taken as usual.
        park: With `borrow`: seconds that the lease outlasts a task that says nothing, so that its
            execution can go on with it: at least `duration`, and the pause before a retry. An
            execution that was aborted keeps others out for as long.
            For a durable function, below `@durable_execution`: it keeps the lease over its waits,
            until it ends in whatever way. Seconds for which others find it held after the moment
            at which the execution was to go on, or has died: then it has lost it.
        store: Where leases live; by default one `DynamoDBStore()` for the process.

    Raises:
        LeaseConfigError: Here, for a bad argument; and from the handler for a missing table,
            denied access, an event without the key, a context without a deadline, a handler of
            the same lease inside this one, or a result whose work is still to be done.
        LeaseHeldError: From the handler: somebody else holds the lease.
        LeaseDeadlineError: From the handler: too little time is left to start it.
        LeaseStoreError: From the handler: DynamoDB did not answer. It has not run.
        LeaseLostError: From the handler: the lease was lost while it ran, or the execution that it
            is to be borrowed from has lost it before.
    """
    if on_held not in ("raise", "skip", "coalesce") and not callable(on_held):
        raise LeaseConfigError(
            f'on_held must be "raise", "skip", "coalesce" or a callable, not {on_held!r}'
        )
    _refuse_misuse(once=once, order=order, key=key, on_held=on_held, min_hold=min_hold)
    execution, loan_park = None, 0.0
    if borrow is not None:
        from .borrow import borrowing, park_of, refuse_combinations

        refuse_combinations(once=once, order=order, on_held=on_held, min_hold=min_hold)
        execution, loan_park = borrowing(name, borrow), park_of(park, duration)
        # A durable function's park is another one.
        park = None
    elif park is not None:
        from .parking import refuse_with_park

        refuse_with_park(once=once, order=order, on_held=on_held, min_hold=min_hold)
    options = Options(
        name=name,
        full_name=naming(name, key),
        duration=None if duration is None else seconds(duration, "duration", least=SHORTEST),
        wait=seconds(wait, "wait"),
        on_held=on_held,
        on_lost=check_on_lost(on_lost),
        min_hold=seconds(min_hold, "min_hold"),
        store=store_or_default(store),
        order=_order(name, once=once, order=order),
        rising=order is not None,
        park=None if park is None else seconds(park, "park", least=SHORTEST),
        execution=execution,
        loan_park=loan_park,
    )
    if on_held == "coalesce":
        from .coalesce import refuse_misuse

        refuse_misuse(once=once, order=order, wait=options.wait)
    return functools.partial(_decorate if park is None else _decorate_durable, options)


def _refuse_misuse(
    *, once: bool, order: object, key: object, on_held: object, min_hold: float | timedelta
) -> None:
    if not isinstance(once, bool):
        raise LeaseConfigError(f"once must be True or False, not {once!r}")
    if once and order is not None:
        raise LeaseConfigError("once and order exclude each other: an order is done once, too")
    if once and key is None:
        raise LeaseConfigError(
            "once needs a key that names the slot, such as key='time': without one, the first"
            " success would be the last"
        )
    parameter = "once" if once else "order"
    if (once or order is not None) and on_held == "skip":
        raise LeaseConfigError(
            f'{parameter} cannot have on_held="skip": a copy that is skipped counts'
            ' as delivered, and if the first one then fails nobody does the work: use "raise", and'
            " let the source deliver again"
        )
    if once and min_hold:
        raise LeaseConfigError("once cannot have a min_hold: a slot that is done stays done")


def _order(name: str, *, once: bool, order: Key | None) -> Callable[[Any, Any], Order] | None:
    if once:
        return lambda event, context: ONCE
    if order is None:
        return None
    from .order import ordering

    return ordering(name, order)


def _decorate_durable(options: Options, function: Callable[..., Any]) -> Callable[..., Any]:
    from .parking import guard

    refuse_durable_handler(function)
    prepare_in_init(options.store, options.duration)
    return guard(options.hold, Handler.of(function), function)


def _decorate(options: Options, function: Callable[..., Any]) -> Callable[..., Any]:
    refuse_durable_handler(function)
    options = options.of(function)
    handler = Handler.of(function)
    prepare_in_init(options.store, options.duration)

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        event, context = handler.arguments(args, kwargs)
        hold = options.hold(event, context)
        try:
            try:
                lease = hold.take()
            except LeaseHeldError as error:
                return options.held(event, context, error)
            arguments = handler.with_lease(kwargs, lease)
            return hold.run(
                lambda: hold.judge(handler.refuse_deferred(function(*args, **arguments)))
            )
        finally:
            hold.abandon()

    @functools.wraps(function)
    async def guarded_async(*args: Any, **kwargs: Any) -> Any:
        event, context = handler.arguments(args, kwargs)
        hold = options.hold(event, context)
        try:
            try:
                lease = await hold.take_async()
            except LeaseHeldError as error:
                result = options.held(event, context, error)
                return await result if isinstance(result, Awaitable) else result
            async with hold:
                arguments = handler.with_lease(kwargs, lease)
                return hold.judge(handler.refuse_deferred(await function(*args, **arguments)))
        finally:
            hold.abandon()

    return guarded_async if handler.is_async else guarded
