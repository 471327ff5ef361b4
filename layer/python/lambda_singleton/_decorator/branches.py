"""The branches that a durable handler starts, each in a thread of its own: map and parallel.

They work under the handler's lease. The SDK lets them run on after the handler has returned, if
their operation was complete without them; a lease is kept until the last of them has ended.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from types import FrameType
from typing import Any

from .._errors import LeaseInterrupt
from .._holding.hold import Hold
from .._holding.interrupt import Interruption, ThreadInterruption
from .._holding.watch import TIME_TO_CLEAN_UP

#: How often to look whether a branch has ended, in seconds.
LOOK = 0.01


class Branches:
    """The branches of one handler: interrupted with it, and waited for at its end."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._facts = hold.tenure.name, hold.tenure.owner
        self._team = Team()
        self._lock = threading.Lock()
        self._working: list[threading.Thread] = []
        self._is_closed = False
        make = hold.interruption_of

        def interruption_of(lease: str, owner: str, frame: FrameType | None) -> Interruption:
            self._team.leader = make(lease, owner, frame)
            return self._team

        hold.interruption_of = interruption_of

    def context(self, context: Any) -> Any:
        """Return the durable context with which a handler, or a branch, is to work."""
        return BranchingContext(context, self)

    def branch(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function of a branch, which works under the lease."""

        @functools.wraps(function)
        def branch(context: Any, *args: Any) -> Any:
            with self._entered(sys._getframe()), self._hold.shared():
                return function(self.context(context), *args)

        return branch

    def wait(self) -> None:
        """Wait until no branch works, and let none begin any more.

        An interrupt that arrives meanwhile is raised after that: the branches have it as well.
        """
        interrupt: LeaseInterrupt | None = None
        while not self._is_closed:
            try:
                self._wait()
            except LeaseInterrupt as error:
                interrupt = interrupt or error
        if interrupt is not None:
            raise interrupt

    def _wait(self) -> None:
        while not self._is_closed:
            with self._lock:
                # An interrupt may have kept one from saying that it has ended.
                self._is_closed = not any(thread.is_alive() for thread in self._working)
            if not self._is_closed:
                time.sleep(LOOK)

    @contextmanager
    def _entered(self, frame: FrameType) -> Iterator[None]:
        thread, member = threading.current_thread(), ThreadInterruption(*self._facts, frame)
        with self._lock:
            if self._is_closed:
                raise LeaseInterrupt("the handler has ended", *self._facts)
            self._working.append(thread)
        try:
            self._team.join(member)
            yield
        finally:
            self._team.leave(member)
            self._working.remove(thread)


class Team:
    """Interrupts a handler and its branches, each as often as it takes."""

    def __init__(self) -> None:
        self.leader: Interruption | None = None
        self._members: list[Interruption] = []
        self._quiet_until: dict[Interruption, float] = {}
        self._is_armed = False

    def join(self, member: Interruption) -> None:
        """Interrupt this one, too."""
        self._members.append(member)
        if self._is_armed:
            member.arm()

    def leave(self, member: Interruption) -> None:
        """Do not interrupt it any more."""
        member.disarm()
        self._members.remove(member)
        self._quiet_until.pop(member, None)

    def arm(self) -> None:
        self._is_armed = True
        if self.leader is not None:
            self.leader.arm()

    def send(self) -> None:
        now = time.monotonic()
        for member in self._everybody():
            if member.was_delivered():
                self._quiet_until[member] = now + TIME_TO_CLEAN_UP
            if now >= self._quiet_until.get(member, 0.0):
                member.send()

    def was_delivered(self) -> bool:
        # Each has its own time to clean up.
        return False

    def is_over(self) -> bool:
        return self.leader is not None and self.leader.is_over()

    def disarm(self) -> None:
        self._is_armed = False
        for member in self._everybody():
            member.disarm()

    def _everybody(self) -> list[Interruption]:
        return [member for member in (self.leader, *self._members) if member is not None]


class BranchingContext:
    """The SDK's context, but for what starts branches."""

    def __init__(self, context: Any, branches: Branches) -> None:
        self._context = context
        self._branches = branches

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def step(self, *args: Any, **kwargs: Any) -> Any:
        # By this method, others recognise a durable context.
        return self._context.step(*args, **kwargs)

    def map(self, inputs: Any, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._context.map(inputs, self._branches.branch(func), *args, **kwargs)

    def parallel(self, functions: Any, *args: Any, **kwargs: Any) -> Any:
        branches = [self._branch(function) for function in functions]
        return self._context.parallel(branches, *args, **kwargs)

    def run_in_child_context(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # In this thread: it is a branch of nothing.
        @functools.wraps(func)
        def child(context: Any) -> Any:
            return func(self._branches.context(context))

        return self._context.run_in_child_context(child, *args, **kwargs)

    def _branch(self, function: Any) -> Any:
        if is_dataclass(function) and not isinstance(function, type):
            # The SDK's ParallelBranch, which gives it a name.
            named: Any = function
            return replace(named, func=self._branches.branch(named.func))
        return self._branches.branch(function)
