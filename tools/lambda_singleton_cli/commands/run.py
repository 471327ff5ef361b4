"""`lambda-singleton run`: a command under a lease, for cron, containers and CI."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from lambda_singleton import (
    Lease,
    LeaseConfigError,
    LeaseError,
    LeaseHeldError,
    LeaseLostError,
    LeaseStore,
    Lock,
)

from ..command_process import CommandProcess
from ..supervisor import PASSED_ON
from ..terminal_text import message

#: Exit codes, those of sysexits.h and of shells. All others are the command's own.
USAGE, UNAVAILABLE, LOST, HELD, CONFIG = 2, 69, 70, 75, 78
NOT_FOUND, NOT_EXECUTABLE = 127, 126

#: What is left in the environment of the command.
TOKEN, LEASE = "SINGLETON_TOKEN", "SINGLETON_LEASE"


class _Signalled(BaseException):
    """A signal came before the command was started."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(options: Namespace, store: LeaseStore) -> int:
    """Run the command while the lease is held, and return its exit code."""
    if not options.words:
        return _say("give the command after `--`: run NAME -- COMMAND ...", USAGE)
    try:
        with _signals() as signals:
            return _Run(options, store, signals).under_lease()
    except _Signalled as signalled:
        return 128 + signalled.number
    except LeaseHeldError as error:
        if options.on_held == "skip":
            return _say(f"skipped: {error}", 0)
        return _say(str(error), HELD)
    except LeaseLostError as error:
        return _say(f"{error}; the command was stopped", LOST)
    except LeaseConfigError as error:
        return _say(str(error), CONFIG)
    except LeaseError as error:
        return _say(str(error), UNAVAILABLE)


class _Signals:
    """Signals for the command: they end a wait for the lease, and are passed on after that."""

    def __init__(self) -> None:
        self.are_passed_on = False
        self._came: list[int] = []
        self._woken, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)

    def handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if not self.are_passed_on:
            raise _Signalled(number)
        self._came.append(number)
        self.wake()

    def wake(self) -> None:
        """End a `wait`, from a signal handler or another thread."""
        with suppress(BlockingIOError):
            os.write(self._pipe, b".")

    def wait(self, process: CommandProcess, timeout: float) -> list[int]:
        """Wait for the process, a signal or `wake`; return the signals that have come."""
        ready, _, _ = select.select([process.fileno(), self._woken], [], [], timeout)
        if process.fileno() in ready:
            process.read()
        if self._woken in ready:
            os.read(self._woken, 4096)
        came, self._came = self._came, []
        return came

    def close(self) -> None:
        os.close(self._woken)
        os.close(self._pipe)


@contextmanager
def _signals() -> Iterator[_Signals]:
    signals = _Signals()
    numbers = [getattr(signal, name) for name in PASSED_ON]
    # What is ignored (nohup) is to stay so.
    caught = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, signals.handle) for number in caught}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signals.close()


class _Run:
    """One command, from taking its lease until both are over."""

    def __init__(self, options: Namespace, store: LeaseStore, signals: _Signals) -> None:
        self._options = options
        self._signals = signals
        # The longest that a command whose lease is lost may go on: nobody else has it until then.
        self._margin = min(1.0, options.duration / 10, options.grace)
        self._is_lost = False
        self._lock = Lock(
            options.name,
            options.duration,
            wait=options.wait,
            min_hold=options.min_hold,
            on_lost=self._lose,
            store=store,
        )

    def under_lease(self) -> int:
        with self._lock as lease:
            self._signals.are_passed_on = True
            return self._command(lease)

    def _lose(self, lease: Lease) -> None:  # noqa: ARG002
        self._is_lost = True
        self._signals.wake()

    def _command(self, lease: Lease) -> int:
        variables = {**os.environ, TOKEN: str(lease.token), LEASE: lease.name}
        process = CommandProcess(
            self._options.words, variables, grace=self._options.grace, margin=self._margin
        )
        try:
            while not process.has_ended:
                self._look(process, lease)
        finally:
            process.close()
        if process.failure is not None:
            return _not_started(self._options.words[0], process.failure)
        assert process.code is not None
        return process.code if process.code >= 0 else 128 - process.code

    def _look(self, process: CommandProcess, lease: Lease) -> None:
        if self._is_lost:
            process.end(self._margin)
            return
        process.keep_until(lease.remaining())
        # Often enough for the supervisor to know of each renewal.
        for number in self._signals.wait(process, self._options.duration / 20):
            process.pass_on(number)
            if number == signal.SIGTERM:
                process.stop(self._options.grace)


def _not_started(word: str, failure: int) -> int:
    code = NOT_FOUND if failure == errno.ENOENT else NOT_EXECUTABLE
    return _say(f"{word}: {os.strerror(failure)}", code)


def _say(text: str, code: int) -> int:
    print(f"lambda-singleton: {message(text)}", file=sys.stderr)
    return code
