"""What the package warns of, told to whoever looks."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .terminal_text import message

_logger = logging.getLogger("lambda_singleton")


class _Listener(logging.Handler):
    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(message(record.getMessage()))


class Once:
    """Tells each warning on standard error, the first time."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, warning: str) -> None:
        """Tell it, unless it has been told."""
        if warning not in self._told:
            self._told.add(warning)
            print(f"lambda-singleton: {warning}", file=sys.stderr, flush=True)


@contextmanager
def warnings_to(tell: Callable[[str], object]) -> Iterator[None]:
    """Let nobody but `tell` hear them meanwhile."""
    before, propagated = _logger.handlers, _logger.propagate
    _logger.handlers, _logger.propagate = [_Listener(tell)], False
    try:
        yield
    finally:
        _logger.handlers, _logger.propagate = before, propagated
