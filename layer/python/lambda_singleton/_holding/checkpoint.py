"""Writing down how far a run has come."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from .._clock import Instant, milliseconds
from .._errors import LeaseConfigError, LeaseDeadlineError, LeaseStoreError
from .._protocol.operation import Operation
from .._protocol.progress import Advance, Checkpoint
from .._protocol.record import LONGEST_PROGRESS, LeaseRecord, Progress
from .._text import quoted
from .renewal import only_one, renew
from .request import Answer, request
from .steps import Steps
from .tenure import Tenure


def checkpoint(
    tenure: Tenure, value: object, effects: Sequence[Mapping[str, Any]], margin: float
) -> Steps[None]:
    """Write the value down, together with the effects if there are any.

    Raises `LeaseLostError`, `LeaseStoreError`, `LeaseConfigError`, and `LeaseDeadlineError` once it
    is written, if less than `margin` seconds of the invocation are left.
    """
    _refuse_orders(tenure)
    text = _text(value)
    if effects:
        yield from _advance(tenure, text, effects)
    else:
        yield from renew(tenure, operation_at=partial(_checkpoint_at, tenure, text))
    left = tenure.term.time_left(tenure.store.clock.time())
    if left < margin:
        tenure.is_unfinished = True
        raise LeaseDeadlineError(
            f"lease {quoted(tenure.name)}: {max(0.0, left):.1f} s of the invocation are left, less"
            f" than the margin of {margin:g} s: the run is unfinished, and the next one goes on"
        )


def _advance(tenure: Tenure, text: str, effects: Sequence[Mapping[str, Any]]) -> Steps[None]:
    transact = getattr(tenure.store, "transact", None)
    if transact is None:
        raise LeaseConfigError(
            "effects= needs a store with transactions: a DynamoDBStore, or a MemoryStore for tests;"
            " where SINGLETON_DISABLED is on there is none"
        )
    with only_one(tenure):
        tenure.check()
        unanswered: list[LeaseStoreError] = []
        try:
            answer = yield from request(
                tenure.store,
                partial(_advance_at, tenure, text),
                term=tenure.term,
                timeout=tenure.timeout,
                unanswered=unanswered.append,
                send=partial(transact, effects=effects),
            )
        except LeaseStoreError:
            raise
        except Exception:
            # An effect's own condition: what it refuses may be a copy of what was applied.
            if not unanswered:
                raise
            record = yield partial(tenure.store.get, tenure.name)
            if not _is_applied(tenure, record):
                raise
        else:
            _judge(tenure, answer)


def _checkpoint_at(tenure: Tenure, text: str, sent: Instant) -> Operation:
    step = next_step(tenure, text)
    if tenure.borrow is not None:
        from .borrower import checkpoint_loan_at

        return checkpoint_loan_at(tenure, step, sent)
    return Checkpoint(tenure.name, tenure.owner, tenure.renew_at(sent).expires_at, step)


def _advance_at(tenure: Tenure, text: str, sent: Instant) -> Advance:
    return Advance(tenure.name, tenure.owner, milliseconds(sent.wall), next_step(tenure, text))


def next_step(tenure: Tenure, text: str) -> Progress:
    """Return the step that has come this far."""
    # The same value again is the same step: what is sent again is not to be applied twice.
    if tenure.step is None or tenure.step.text != text:
        seq = 1 if tenure.step is None else tenure.step.seq + 1
        tenure.step = Progress(text, tenure.token, seq)
    return tenure.step


def _judge(tenure: Tenure, answer: Answer) -> None:
    record = answer.reply.record
    if answer.reply.applied or _is_applied(tenure, record):
        return
    if record is not None and record.owner == tenure.owner:
        raise LeaseStoreError(f"lease {quoted(tenure.name)}: a later step has been written before")
    tenure.steal()
    tenure.tell_loss()
    raise tenure.lost_error()


def _is_applied(tenure: Tenure, record: LeaseRecord | None) -> bool:
    """Whether a row that refuses the latest step does so because it has it already."""
    return record is not None and record.progress == tenure.step


def item(tenure: Tenure, value: object) -> dict[str, Any]:
    """Return the element of a transaction that writes the value down."""
    _refuse_orders(tenure)
    make = getattr(tenure.store, "transaction_item", None)
    if make is None:
        raise LeaseConfigError("checkpoint_item() needs a DynamoDBStore")
    tenure.check()
    element: dict[str, Any] = make(
        _advance_at(tenure, _text(value), Instant.now(tenure.store.clock))
    )
    return element


def was_applied(tenure: Tenure) -> Steps[bool]:
    """Say whether the row has the latest step.

    Raises `LeaseLostError` if another owner has the lease.
    """
    record: LeaseRecord | None = yield partial(tenure.store.get, tenure.name)
    if tenure.step is not None and _is_applied(tenure, record):
        return True
    if record is None or record.owner != tenure.owner:
        tenure.steal()
        tenure.tell_loss()
        raise tenure.lost_error()
    return False


def _refuse_orders(tenure: Tenure) -> None:
    # A newer version would go on where an older one has stopped.
    if tenure.aim.rising:
        raise LeaseConfigError(
            f"lease {quoted(tenure.name)}: a run with order= cannot have checkpoints: a newer"
            " version would go on where an older one stopped; give each version a row of its own,"
            ' with key="..." that names the version and once=True, or do without order='
        )


def progress_of(progress: Progress | None) -> Any:
    """Return the value that was written down; None if none was."""
    if progress is None:
        return None
    try:
        return json.loads(progress.text)
    except (ValueError, RecursionError):
        raise LeaseConfigError(
            f"the progress in the row is no JSON: {quoted(progress.text, 40)}"
        ) from None


def _text(value: object) -> str:
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise LeaseConfigError(
            f"progress must be a JSON value, and this {type(value).__name__} is none"
        ) from None
    if len(text) > LONGEST_PROGRESS:
        raise LeaseConfigError(
            f"progress may have {LONGEST_PROGRESS} bytes as JSON, and this has {len(text)}: write"
            " down a cursor, and keep the data elsewhere"
        )
    return text
