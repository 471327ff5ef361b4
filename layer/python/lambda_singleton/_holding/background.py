"""Short-lived threads: for what must not be waited for, or must not be cut off."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .._events.logger import logger


def in_background(
    call: Callable[[], object],
    lease: str,
    *,
    daemon: bool = False,
    failed: Callable[[BaseException], object] | None = None,
) -> threading.Thread | None:
    """Run the call in a thread of its own. None: no thread could be started, and it has run here.

    A thread that is no daemon ends before the process does. `failed` hears of what the call raises;
    without it that is logged.
    """

    def work() -> None:
        try:
            call()
        except BaseException as error:
            if failed is not None:
                failed(error)
                return
            # Nobody waits for it, so nobody else would hear of it.
            logger().exception("lease %r: unexpected error in the background", lease)

    thread = threading.Thread(target=work, name=f"lease {lease}", daemon=daemon)
    try:
        thread.start()
    except RuntimeError:
        work()
        return None
    return thread
