"""Starts a command in a process group of its own, and ends the whole group in time.

`lambda-singleton run` holds the lease and this process has the command, so that neither is left
without the other: it is a script of the standard library alone, started with a socket to talk over.
It reads lines: `until MONOTONIC WALL` (the lease's end), `signal NUMBER` (for the command), `stop
SECONDS` (SIGTERM now, SIGKILL then). It writes `started GROUP`, `failed NUMBER` and `ended CODE`.

If nobody is at the other end any more, or the lease's end was not moved on, the group is ended
before somebody else can have the lease.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from math import inf

#: Signals that are for the command. A handler, unlike ignoring, is not inherited by it.
PASSED_ON = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2")

#: How often to look whether the rest of the group has ended, in seconds.
LOOK = 0.02

#: How long what was killed may take to be gone, in seconds.
PATIENCE = 1.0

#: Of Linux' prctl(2).
PR_SET_CHILD_SUBREAPER = 36


class Supervisor:
    """One command, from its start until nothing of its group is left.

    `grace` is how long the command gets to end (s), `margin` how long of it before the lease's end.
    """

    def __init__(
        self, channel: socket.socket, grace: float, margin: float, words: list[str]
    ) -> None:
        self._channel = channel
        self._grace = grace
        self._margin = margin
        self._words = words
        self._unread = b""
        self._is_alone = False
        self._until = (inf, inf)
        self._kill_at = inf
        self._next_kill = 0.0
        self._is_stopping = False

    def run(self) -> None:
        """Start the command, and return when its group has ended."""
        wake, woken = socket.socketpair()
        woken.setblocking(False)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        for name in (*PASSED_ON, "SIGCHLD"):
            if signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN or name == "SIGCHLD":
                signal.signal(getattr(signal, name), lambda *_: None)
        _adopt_orphans()
        try:
            # There are no threads here, which a call between fork and exec could hang on.
            take = _take_terminal if _has_terminal() else None
            child = subprocess.Popen(self._words, process_group=0, preexec_fn=take)  # noqa: PLW1509, S603
        except OSError as error:
            self._tell(f"failed {error.errno}")
            return
        self._group = child.pid
        self._tell(f"started {child.pid}")
        while not self._has_ended(child):
            self._wait(wake)
        self._end_the_rest(child, wake)
        self._tell(f"ended {child.returncode}")

    def _has_ended(self, child: subprocess.Popen[bytes]) -> bool:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
                if not pid:
                    break
                if os.WIFSTOPPED(status):
                    # A holder that is stopped would lose its lease: what a terminal stops goes on.
                    self._signal(signal.SIGCONT)
                elif pid == child.pid:
                    child.returncode = os.waitstatus_to_exitcode(status)
        return child.returncode is not None

    def _end_the_rest(self, child: subprocess.Popen[bytes], wake: socket.socket) -> None:
        # What the command has left running would go on without the lease.
        if self._is_there():
            self._stop(self._grace)
        # A dead process stays in its group where nobody takes note of its end.
        while self._is_there() and time.monotonic() < self._kill_at + PATIENCE:
            self._wait(wake, LOOK)
            self._has_ended(child)

    def _wait(self, wake: socket.socket, most: float = inf) -> None:
        kill_in = max(self._kill_at, self._next_kill) - time.monotonic()
        left = min(most, kill_in if self._is_stopping else self._left() - self._margin)
        readable = [wake] if self._is_alone else [wake, self._channel]
        timeout = None if left == inf else max(0.0, left)
        ready, _, _ = select.select(readable, [], [], timeout)
        if wake in ready:
            wake.recv(4096)
        if self._channel in ready:
            self._read()
        if not self._is_stopping and (self._is_alone or self._left() <= self._margin):
            self._stop(min(self._grace, max(0.0, self._left())))
        if time.monotonic() >= max(self._kill_at, self._next_kill):
            self._signal(signal.SIGKILL, *_children())
            self._next_kill = time.monotonic() + LOOK

    def _left(self) -> float:
        # Either clock may have stopped: believe the more pessimistic one.
        monotonic, wall = self._until
        return min(monotonic - time.monotonic(), wall - time.time())

    def _read(self) -> None:
        with suppress(ConnectionError):
            read = self._channel.recv(4096)
            *lines, self._unread = (self._unread + read).split(b"\n")
            self._is_alone = not read
            for line in lines:
                self._obey(line.decode().split())
            return
        self._is_alone = True

    def _obey(self, words: list[str]) -> None:
        if words[0] == "until":
            self._until = (float(words[1]), float(words[2]))
        elif words[0] == "signal":
            self._signal(int(words[1]))
        elif words[0] == "stop":
            self._stop(float(words[1]))

    def _stop(self, grace: float) -> None:
        self._kill_at = min(self._kill_at, time.monotonic() + grace)
        if not self._is_stopping:
            self._is_stopping = True
            self._signal(signal.SIGTERM, *_children())
            # One that is stopped sees no SIGTERM before it goes on.
            self._signal(signal.SIGCONT)

    def _is_there(self) -> bool:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, 0)
            return True
        return bool(_children())

    def _signal(self, number: int, *others: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._group, number)
        for other in others:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(other, number)

    def _tell(self, line: str) -> None:
        with suppress(ConnectionError):
            self._channel.sendall(line.encode() + b"\n")


def _adopt_orphans() -> None:
    # On Linux, what leaves the command's group becomes a child of this process: it is found.
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return list(map(int, file.read().split()))
    except OSError:
        return []


def _has_terminal() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgid(os.getppid())
    except OSError:
        return False


def _take_terminal() -> None:
    # In the child: who is not in the foreground yet would be stopped for this.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)


if __name__ == "__main__":
    number, grace, margin = sys.argv[1:4]
    with socket.socket(fileno=int(number)) as channel:
        Supervisor(channel, float(grace), float(margin), sys.argv[4:]).run()
