"""What `park=` makes of a durable function's handler.

Loaded by those who use it only. Of the SDK nothing but what it documents for its users is used.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from .._clock import LONGEST
from .._errors import (
    LeaseConfigError,
    LeaseDeadlineError,
    LeaseError,
    LeaseHeldError,
    LeaseLostError,
    LeaseStoreError,
)
from .._holding.attempt import Attempt
from .._holding.hold import Hold
from .._protocol.store import LeaseStore
from .._protocol.term import Term
from .._text import quoted
from .branches import Branches
from .durable import is_durable_context
from .handler import Handler

if TYPE_CHECKING:
    from datetime import timedelta

_PARK_ELSEWHERE = (
    "park is for durable functions: write @singleton(..., park=...) below @durable_execution, so"
    " that it is given a DurableContext"
)


class Execution(NamedTuple):
    """What an attempt knows of its durable execution."""

    arn: str
    is_replay: bool
    context: Any

    @classmethod
    def of(cls, context: Any) -> Execution:
        """Read it from the context; raise `LeaseConfigError` if it is no durable function's."""
        if not is_durable_context(context):
            raise LeaseConfigError(_PARK_ELSEWHERE)
        try:
            arn = context.execution_context.durable_execution_arn
            is_replay = context.is_replaying()
        except AttributeError as error:
            raise LeaseConfigError(
                "park needs the durable execution SDK 3 or later, whose context tells its"
                f" execution and whether it replays: {error}"
            ) from error
        if not isinstance(arn, str) or not arn:
            raise LeaseConfigError("the durable context does not tell its execution's ARN")
        return cls(arn, bool(is_replay), context)

    def note_end(self, error: BaseException | None, attempt: Attempt) -> None:
        """Tell the attempt whether the execution is over, or when it goes on.

        Raises `LeaseConfigError` in place of a suspension that is too long for a lease.
        """
        from aws_durable_execution_sdk_python import exceptions as sdk

        if isinstance(error, sdk.TimedSuspendExecution):
            resumes_at = float(error.scheduled_timestamp)
            if resumes_at - attempt.store.clock.time() > LONGEST:
                attempt.is_over = True
                raise LeaseConfigError(
                    f"lease {quoted(attempt.name)} cannot be kept for a wait of more than 24 hours,"
                    " in which nobody else could have it: end this execution before it, and start"
                    " another one"
                ) from error
            attempt.resumes_at = resumes_at
        # After the service has withdrawn its token, this attempt's last word is not heard.
        state = getattr(self.context, "state", None)
        is_heard = not getattr(state, "is_checkpoint_token_revoked", False)
        attempt.is_over = is_heard and attempt.loss is None and _is_final(error, attempt)


def attempt_of(
    context: Any,
    store: LeaseStore,
    name: str,
    *,
    term: Term,
    holder: Mapping[str, str],
    park: float,
) -> Attempt:
    """Return the attempt at an execution that this invocation is; it has not taken the lease."""
    execution = Execution.of(context)
    if term.stop_at_deadline:
        raise LeaseConfigError(
            "park cannot be used on Lambda Managed Instances: they do not end an attempt at its"
            " deadline, and two of one execution would be at work together; use a lease inside a"
            " step there"
        )
    # What the ARN tells that the other facts of a holder do not: its name and number.
    told = execution.arn.partition("/durable-execution/")[2] or execution.arn
    holder = {**holder, "execution": told}
    return Attempt(
        store, name, term, holder, execution=execution.arn, is_replay=execution.is_replay, park=park
    )


def refuse_with_park(
    *, once: bool, order: object, on_held: object, min_hold: float | timedelta
) -> None:
    """Raise `LeaseConfigError` for what makes no sense, or no sound whole, over waits."""
    if once or order is not None:
        raise LeaseConfigError(
            "park excludes once and order: a durable execution has a name of its own that makes it"
            " run once"
        )
    if on_held != "raise":
        raise LeaseConfigError(
            'park needs on_held="raise": a replay would not come to the same refusal again, and'
            " end the execution as if its work were done; catch LeaseHeldError where you start it"
        )
    if min_hold:
        raise LeaseConfigError("park excludes min_hold: a replay would find its own rest")


def guard(
    hold: Callable[[Any, Any], Hold], handler: Handler, function: Callable[..., Any]
) -> Callable[..., Any]:
    """Return the handler of a durable function, which keeps its lease over the waits."""
    if handler.is_async:
        raise LeaseConfigError(f"{handler.name} is async, which no durable function can be")

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        event, context = handler.arguments(args, kwargs)
        execution, block = Execution.of(context), hold(event, context)
        attempt = block.tenure
        if not isinstance(attempt, Attempt):
            # Leases are disabled.
            block.take()
            return block.run(lambda: function(*args, **handler.with_lease(kwargs, block.lease)))
        branches = Branches(block)
        args, kwargs = handler.with_context(args, kwargs, branches.context(context))

        def work() -> Any:
            try:
                try:
                    result = handler.refuse_deferred(
                        function(*args, **handler.with_lease(kwargs, block.lease))
                    )
                finally:
                    branches.wait()
            except BaseException as error:
                execution.note_end(error, attempt)
                raise
            execution.note_end(None, attempt)
            return result

        try:
            with _as_the_sdk_knows_it(attempt):
                block.take()
                return block.run(work)
        finally:
            block.abandon()

    return guarded


@contextmanager
def _as_the_sdk_knows_it(attempt: Attempt) -> Iterator[None]:
    """Raise the SDK's `InvocationError` where another attempt of the execution may go on.

    Any other Exception ends the execution for good.
    """
    from aws_durable_execution_sdk_python.exceptions import InvocationError, SuspendExecution

    try:
        yield
    except LeaseError as error:
        if _may_be_tried_again(error, attempt):
            raise InvocationError(f"{type(error).__name__}: {error}") from error
        raise
    except SuspendExecution as suspension:
        if not attempt.is_settled:
            raise InvocationError(
                f"lease {attempt.name!r} could not be parked: its store did not answer"
            ) from suspension
        raise


def _may_be_tried_again(error: BaseException | None, attempt: Attempt) -> bool:
    if isinstance(error, LeaseLostError):
        return error.name == attempt.name and attempt.loss is not None and attempt.may_go_on
    if isinstance(error, LeaseHeldError):
        return error.name == attempt.name and attempt.is_lost_to_sibling
    return isinstance(error, LeaseStoreError | LeaseDeadlineError)


def _is_final(error: BaseException | None, attempt: Attempt) -> bool:
    """Say whether the SDK ends the execution with this, and does not try or go on again."""
    from aws_durable_execution_sdk_python import exceptions as sdk

    if isinstance(error, sdk.BackgroundThreadError):
        source = error.source_exception
        return isinstance(source, sdk.BotoClientError) and not source.is_retryable()
    if isinstance(error, sdk.InvocationError):
        return not error.is_retryable()
    if _may_be_tried_again(error, attempt):
        return False
    return error is None or isinstance(error, Exception)
