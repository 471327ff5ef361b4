"""Giving a lease back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from .._errors import LeaseError
from .background import in_background
from .request import Answer, request
from .steps import Steps, run
from .tenure import Tenure

#: When what was cut off is tried to be given back, in seconds: its own request may still arrive.
PAUSES = (0.0, 0.1, 1.0)

#: The handler's result has to get out before the deadline: seconds for that.
_TIME_TO_RETURN = 0.01


def release(tenure: Tenure, outcome: str) -> Steps[None]:
    """Give the lease back, unless it is somebody else's by now. Tells how it went.

    Raises `LeaseStoreError` if the store did not answer: the lease then ends by itself.
    """
    began = tenure.store.clock.monotonic()
    was_taken = tenure.token > 0
    try:
        if not tenure.begin_release():
            return
        outcome = "lost" if tenure.loss else outcome
        answer = yield from request(
            tenure.store,
            partial(tenure.release_at, outcome=outcome),
            term=tenure.term,
            timeout=tenure.timeout,
            spare=_TIME_TO_RETURN,
            unanswered=tenure.may_have_been_released,
        )
        if outcome == "succeeded" and not _is_recorded(answer, tenure):
            tenure.tell("unrecorded")
        if _was_mine(answer, tenure):
            tenure.released()
        elif was_taken:
            tenure.steal()
            return
    except Exception as error:
        tenure.tell("release_failed", error=error)
        if outcome == "succeeded" and tenure.aim.is_recorded:
            tenure.tell("unrecorded")
        raise
    finally:
        tenure.tell_loss()
    if was_taken:
        held, took = began - tenure.started.monotonic, tenure.store.clock.monotonic() - began
        tenure.tell("released", outcome=outcome, held=held, took=took)


def release_now(tenure: Tenure, outcome: str) -> None:
    """Give the lease back in this thread.

    Whatever but the store's refusal cuts that off, it is given back in the background.
    """
    try:
        run(release(tenure, outcome), tenure.store.clock)
    except LeaseError:
        raise
    except BaseException:
        abandon(tenure, outcome)
        raise


def _was_mine(answer: Answer, tenure: Tenure) -> bool:
    # After a lost reply the condition fails against the first try, or whoever came after it.
    record = answer.reply.record
    by_me = record is not None and (record.owner, record.token) == (None, tenure.token)
    return answer.reply.applied or tenure.is_perhaps_released or by_me


def _is_recorded(answer: Answer, tenure: Tenure) -> bool:
    return answer.reply.applied or tenure.aim.is_done_in(answer.reply.record, tenure.token)


def give_back(tenure: Tenure, outcome: str, *, pauses: Sequence[float] = PAUSES) -> None:
    """Give back what may have been taken, as well as can be: nobody is there to hear of failure."""
    for pause in pauses:
        if not tenure.may_be_in_row:
            return
        with suppress(Exception):
            tenure.store.clock.sleep(pause)
            run(release(tenure, outcome), tenure.store.clock)


def abandon(tenure: Tenure, outcome: str) -> None:
    """Give it back in the background: whatever cut its holder off must not cut this off as well."""
    if tenure.may_be_in_row and tenure.is_here:
        call = partial(give_back, tenure, outcome)
        # Nobody else will: what cuts it off in its turn is not the end of it.
        in_background(call, tenure.name, failed=lambda error: call())
