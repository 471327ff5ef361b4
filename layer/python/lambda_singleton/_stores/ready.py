"""Ready in INIT: what a function's first invocation would otherwise wait for.

While a function initialises it has a whole core, also with little memory; in its invocations it has
a fraction of one, on which making a client takes seconds.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable

from .._events.logger import logger
from .._protocol.store import LeaseStore
from .._protocol.term import Term
from .._switch import DISABLED, is_on
from .dynamodb import DynamoDBStore

#: Turns this off, with "false".
PREPARE = "SINGLETON_PREPARE"

#: The longest that INIT waits for the network, in seconds.
LONGEST_WAIT = 1.0

# Stores that need nothing more. Their process's: a child of fork() has no INIT of its own.
_prepared: weakref.WeakSet[LeaseStore] = weakref.WeakSet()


def prepare_in_init(get_store: Callable[[], LeaseStore], duration: float | None) -> None:
    """Prepare a store while a Lambda function initialises, and only then, once for each store.

    It is for leases of `duration` seconds, or of an invocation. Waits for the network for at most
    `LONGEST_WAIT`, and raises nothing: what is wrong is told by the first request. A client is made
    here; a connection is opened in a thread of its own, since nothing can end the look-up of a
    name. With SnapStart it is opened after each restore.
    """
    if not _is_initialising():
        return
    try:
        if is_on(DISABLED) or not (PREPARE not in os.environ or is_on(PREPARE)):
            return
        store = get_store()
        if store in _prepared:
            return
        _prepared.add(store)
        _prepare(store, Term(duration).timeout(0.0))
    except Exception:
        logger().debug("nothing was prepared", exc_info=True)


def _is_initialising() -> bool:
    # Lambda names the trace of each invocation here, and none while the function initialises.
    return (
        "AWS_LAMBDA_RUNTIME_API" in os.environ
        and "AWS_LAMBDA_FUNCTION_NAME" in os.environ
        and "_X_AMZN_TRACE_ID" not in os.environ
    )


def _prepare(store: LeaseStore, timeout: float) -> None:
    from .._events import observers

    observers.prepare()
    store.prepare(timeout=timeout)
    if not isinstance(store, DynamoDBStore):
        return
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        # A connection does not survive in a snapshot, and credentials should not.
        from snapshot_restore_py import (  # type: ignore[import-untyped]
            register_after_restore,
        )

        register_after_restore(_warm, store, timeout)
    else:
        _warm(store, timeout)


def _warm(store: DynamoDBStore, timeout: float) -> None:
    from threading import Thread

    # Goes on after INIT only for as long as a name is looked up.
    timeouts = {"timeout": min(timeout, LONGEST_WAIT)}
    thread = Thread(target=store.warm, kwargs=timeouts, name="lease preparation", daemon=True)
    thread.start()
    thread.join(LONGEST_WAIT)
