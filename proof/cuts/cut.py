"""Following a run point by point, and cutting it at one of them."""

from __future__ import annotations

import dis
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import lambda_singleton
from lambda_singleton import LeaseInterrupt

from .point import Point, Role

PACKAGE = Path(lambda_singleton.__file__).parent
#: What the package calls and what is not its own: the store, observers, log handlers, `on_lost`.
OUTSIDE = Path(__file__).with_name("outside.py")
#: A lock's `with` cannot be cut before its end, and the real store's request is another one.
NOT_FOLLOWED = ("memory.py", "_memory.py")

Trace = Callable[[FrameType, str, Any], Any]


class Cut:
    """Follows what runs, and calls `act` in the thread that comes to the point `at`, once."""

    def __init__(
        self, at: Point | None = None, act: Callable[[], None] = lambda: None, *, fine: bool = False
    ) -> None:
        self.happened = False
        self.role: Role = "holder" if at is None else at.role
        self.function = "" if at is None else at.function
        #: Whether it happened below a finalizer, out of which no exception can get.
        self.in_finalizer = False
        #: Whether it happened while an interrupt was being handled, and took its place.
        self.replaced_interrupt = False
        self.holder = threading.get_ident()
        self._at = None if at is None else at.key
        self._act = act
        self._fine = fine
        # Nothing but built-in types is used while following: an interrupt may come at any moment.
        self._passed: list[tuple[Any, ...]] = []
        self._counts: dict[tuple[str, str, int, int], int] = {}
        self._over = False

    @property
    def points(self) -> list[Point]:
        """Where it has been."""
        return [Point(*facts) for facts in self._passed]

    def start(self) -> None:
        """Follow this thread, the holder's, and all that start from now on."""
        self.holder = threading.get_ident()
        sys.settrace(self._called)

    def stop(self) -> None:
        """Follow this thread no more."""
        sys.settrace(None)

    def end(self) -> None:
        """Follow nobody any more."""
        self._over = True

    def follow_new_threads(self) -> None:
        """Follow those that start from now on."""
        threading.settrace(self._called)

    def _called(self, frame: FrameType, event: str, arg: object) -> Trace | None:  # noqa: ARG002
        code = frame.f_code
        file = _followed(code.co_filename)
        if file is None or self._over:
            return None
        role: Role = "holder" if threading.get_ident() == self.holder else "other"
        first = frame.f_lineno == code.co_firstlineno
        hidden, idle = _ends_of_with(code), _idle(code)

        def passed(frame: FrameType, event: str, arg: object) -> Trace:
            nonlocal first
            offset = frame.f_lasti
            if event == wanted and offset not in hidden and (first or offset not in idle):
                line, was_first = frame.f_lineno, first
                first = first and line == code.co_firstlineno
                place = (role, file, line, offset if self._fine else -1)
                self._note(place, code.co_qualname, was_first, offset in idle)
            return passed

        wanted = "line"
        if self._fine:
            frame.f_trace_opcodes = True
            wanted = "opcode"
            hidden = hidden | _not_looked_at(code)
        return passed

    def _note(
        self, place: tuple[Role, str, int, int], function: str, first: bool, idle: bool
    ) -> None:
        if self._over:
            return
        nth = self._counts.get(place, 0) + 1
        self._counts[place] = nth
        role, file, line, offset = place
        if self._at is None:
            self._passed.append((role, file, line, nth, offset, function, first, idle))
        elif self._at == (role, file, line, nth, offset) and not self.happened:
            self.happened = True
            self.in_finalizer = _is_below_finalizer(sys._getframe())
            self.replaced_interrupt = isinstance(sys.exc_info()[1], LeaseInterrupt)
            self._act()


def _is_below_finalizer(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


@cache
def _followed(path: str) -> str | None:
    file = Path(path)
    if file == OUTSIDE:
        return OUTSIDE.name
    if file.is_relative_to(PACKAGE) and file.name not in NOT_FOLLOWED:
        return str(file.relative_to(PACKAGE))
    return None


@cache
def _ends_of_with(code: CodeType) -> frozenset[int]:
    # Between a block and its `__exit__` CPython looks for no signal: only a tracer could raise
    # there, and no `with` of a lock would survive it.
    instructions = list(dis.get_instructions(code))
    found = set()
    for index, start in enumerate(instructions):
        names = [later.opname for later in instructions[index : index + 6]]
        while names and names[0] in ("SWAP", "NOP", "COPY"):
            names.pop(0)
        calls = names[3:4] == ["CALL"] or names[3:5] == ["PRECALL", "CALL"]
        if (names[:3] == ["LOAD_CONST"] * 3 and calls) or names[:2] == [
            "PUSH_EXC_INFO",
            "WITH_EXCEPT_START",
        ]:
            found.add(start.offset)
    return frozenset(found)


@cache
def _idle(code: CodeType) -> frozenset[int]:
    # Where nothing runs (such as at `try:`) nothing can be raised.
    return frozenset(each.offset for each in dis.get_instructions(code) if each.opname == "NOP")


@cache
def _not_looked_at(code: CodeType) -> frozenset[int]:
    # CPython looks for signals where a function begins or goes on, after calls, and when it jumps
    # back: what comes next is where the exception shows.
    looked, hidden = True, set()
    for instruction in dis.get_instructions(code):
        if not looked:
            hidden.add(instruction.offset)
        looked = instruction.opname.startswith(("CALL", "RESUME", "JUMP_BACKWARD", "SEND"))
    return frozenset(hidden)


# A signal's handler asks whose code it has come into. What follows the package's code is no other
# code that could be interrupted.
globals()["__name__"] = f"{lambda_singleton.__name__}.{__name__}"
