"""The thread that looks at the clock while a lease is held."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from math import inf
from time import monotonic

from .._errors import LeaseError
from .._events.logger import logger
from .._text import quoted
from .interrupt import Interruption
from .release import give_back
from .renewal import Renewal
from .tenure import Tenure

#: How long an interrupted handler gets to clean up before it is interrupted again, in seconds.
TIME_TO_CLEAN_UP = 1.0

#: How often to look whether the code has ended meanwhile, in seconds.
LOOK = 0.1

#: How soon an interrupt that could not be raised is sent again, in seconds.
RESEND = 0.02


class Watch:
    """Has a lease renewed in time, and its handler interrupted before its end.

    It waits for nobody: it does no I/O, calls none of the user's code and takes no lock that is
    held meanwhile. What does is run by short-lived threads, one for renewals and one for telling of
    a loss. Neither keeps it from interrupting, not even if it never comes back.
    """

    def __init__(
        self,
        tenure: Tenure,
        renewal: Renewal,
        interruption: Interruption,
        on_loss: Callable[[], None],
        *,
        interrupts: bool,
    ) -> None:
        self._tenure = tenure
        self._renewal = renewal
        self._interruption = interruption
        self._interrupts = interrupts
        self._tell_loss = _Helper(on_loss, self._poke, tenure.name)
        self._renew = _Helper(renewal.renew, self._poke, tenure.name)
        self._give_back = _Helper(partial(give_back, tenure, "failed"), self._poke, tenure.name)
        self._loss_is_known = False
        self._quiet_until = -inf
        self._stopping = False
        self._poked = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lease {tenure.name}", daemon=True)

    def start(self) -> None:
        """Start the thread; raise `LeaseError` if the system has none left."""
        try:
            self._thread.start()
        except RuntimeError as error:
            name = quoted(self._tenure.name)
            raise LeaseError(f"lease {name} cannot be renewed: {error}") from error

    def stop(self) -> bool:
        """End the thread: one left alive would wake up in a later invocation.

        Its helpers get as long as one request may take; return whether they have come to an end.
        """
        self._stopping = True
        self._poke()
        if self._thread.ident is not None:
            self._thread.join()
        ended = self._renew.join(self._tenure.timeout)
        return self._tell_loss.join(self._tenure.timeout) and ended

    def look_now(self) -> None:
        """Look at once: its clock was turned, or its lease taken away."""
        self._poke()

    def _poke(self) -> None:
        self._poked.set()

    def _run(self) -> None:
        # Nothing may end this thread while the handler believes in its lease.
        while True:
            try:
                self._look_until_stopped()
            except BaseException:
                self._poked.wait(0.1)
            else:
                return

    def _look_until_stopped(self) -> None:
        while not self._stopping:
            delay = self._look()
            self._poked.wait(None if delay == inf else delay)
            self._poked.clear()

    def _look(self) -> float:
        """Do what is due; return the seconds until more is."""
        if self._interruption.is_over():
            self._give_back.start()
            self._stopping = True
            return inf
        stop_in = self._renewal.stop_in
        if stop_in <= 0:
            self._tenure.expire()
        if self._tenure.loss is not None:
            return self._interrupt()
        if stop_in <= 0:
            # It was given back.
            return inf
        due_in = self._renewal.due_in(stop_in)
        if due_in <= 0:
            self._renew.start()
            return stop_in
        return min(stop_in, due_in)

    def _interrupt(self) -> float:
        delay = self._send() if self._interrupts else inf
        # The handler first: every moment counts.
        if not self._loss_is_known:
            self._tell_loss.start()
            self._loss_is_known = True
        return delay

    def _send(self) -> float:
        now = monotonic()
        if self._interruption.was_delivered():
            self._quiet_until = now + TIME_TO_CLEAN_UP
        if now >= self._quiet_until:
            self._interruption.send()
            return RESEND
        return min(LOOK, self._quiet_until - now)


class _Helper:
    """Runs a call that may block, in a thread of its own, and never twice at a time."""

    def __init__(self, call: Callable[[], object], done: Callable[[], None], lease: str) -> None:
        self._call = call
        self._done = done
        self._lease = lease
        self._is_running = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Run it, unless it is still running; raise `RuntimeError` if no thread can be started."""
        if self._is_running:
            return
        thread = threading.Thread(target=self._run, name=f"lease {self._lease}", daemon=True)
        self._is_running = True
        try:
            thread.start()
        except RuntimeError:
            self._is_running = False
            raise
        self._thread = thread

    def join(self, timeout: float) -> bool:
        """Wait for its end, so many seconds at most; return whether it has ended."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self._is_running

    def _run(self) -> None:
        try:
            self._call()
        except BaseException:
            logger().exception("lease %r: unexpected error, going on", self._lease)
        finally:
            self._is_running = False
            self._done()
