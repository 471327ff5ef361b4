"""A command that runs under a lease, seen from the process that holds the lease."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

SUPERVISOR = Path(__file__).with_name("supervisor.py")

#: How long the supervisor may take for what takes it no time, in seconds.
_PATIENCE = 2.0


class CommandProcess:
    """Starts a command, and knows how it ended. Nothing of it is left after `close`."""

    def __init__(
        self, words: Sequence[str], variables: Mapping[str, str], *, grace: float, margin: float
    ) -> None:
        #: Its exit code, -N if signal N ended it; None while it runs.
        self.code: int | None = None
        #: Why it could not be started, as an errno.
        self.failure: int | None = None
        self._grace = grace
        self._group: int | None = None
        self._unread = b""
        self._had_terminal = _terminals_group() == os.getpgrp()
        self._channel, theirs = socket.socketpair()
        number = theirs.fileno()
        program = [sys.executable, "-I", "-S", str(SUPERVISOR), str(number), str(grace)]
        self._supervisor = subprocess.Popen(  # noqa: S603
            [*program, str(margin), *words],
            env=dict(variables),
            pass_fds=[number],
            process_group=0,
        )
        theirs.close()

    def fileno(self) -> int:
        """Return what becomes readable when there is something to `read`."""
        return self._channel.fileno()

    @property
    def has_ended(self) -> bool:
        """Whether it is over, however it ended."""
        return self.code is not None or self.failure is not None

    def read(self) -> None:
        """Learn what has happened to it."""
        read = b""
        with suppress(ConnectionError):
            read = self._channel.recv(4096)
        *lines, self._unread = (self._unread + read).split(b"\n")
        for line in lines:
            word, number = line.decode().split()
            if word == "started":
                self._group = int(number)
            elif word == "failed":
                self.failure = int(number)
            else:
                self.code = int(number)
        if not read and not self.has_ended:
            self._kill()

    def keep_until(self, remaining: float) -> None:
        """Say for how many seconds from now the lease is certainly held."""
        self._send(f"until {time.monotonic() + remaining} {time.time() + remaining}")

    def pass_on(self, number: int) -> None:
        """Send the signal to the command and all that it has started."""
        self._send(f"signal {number}")

    def stop(self, grace: float) -> None:
        """Ask it to end, and kill it after `grace` seconds."""
        self._send(f"stop {grace}")

    def end(self, grace: float) -> None:
        """Stop it, and return when it is over."""
        self.stop(grace)
        give_up_at = time.monotonic() + grace + _PATIENCE
        while not self.has_ended:
            left = give_up_at - time.monotonic()
            if left <= 0:
                self._kill()
            elif select.select([self], [], [], left)[0]:
                self.read()

    def close(self) -> None:
        """End whatever is left, and take the terminal back."""
        if not self.has_ended:
            self.end(self._grace)
        self._channel.close()
        with suppress(subprocess.TimeoutExpired):
            self._supervisor.wait(_PATIENCE)
        self._supervisor.kill()
        self._supervisor.wait()
        if self._had_terminal:
            _take_terminal_back()

    def _send(self, line: str) -> None:
        with suppress(ConnectionError):
            self._channel.sendall(line.encode() + b"\n")

    def _kill(self) -> None:
        # The supervisor is gone, or does not run: its work is done here.
        self._supervisor.kill()
        if self._group is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signal.SIGKILL)
        self.code = -signal.SIGKILL


def _terminals_group() -> int | None:
    try:
        return os.tcgetpgrp(0)
    except OSError:
        return None


def _take_terminal_back() -> None:
    # Who is not in the foreground any more would be stopped for this.
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with suppress(OSError):
        os.tcsetpgrp(0, os.getpgrp())
    signal.signal(signal.SIGTTOU, before)
