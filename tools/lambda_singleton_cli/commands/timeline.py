"""`lambda-singleton timeline`: a page from a log of events."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ..terminal_text import quoted, terminal_text

if TYPE_CHECKING:
    from ..timeline.log import Log


def run(options: Namespace) -> int:
    """Write the page, and say where it is."""
    from ..timeline import draw

    target = Path(options.output)
    try:
        log = _read(options.file)
        if not log.decisions:
            return _nothing(options.file, log)
        target.write_text(draw(log), encoding="utf-8")
    except OSError as error:
        print(f"lambda-singleton: {terminal_text(str(error))}", file=sys.stderr)
        return 1
    print(terminal_text(str(target.resolve())))
    return 0


def _read(name: str) -> Log:
    from ..timeline.log import Log, lines_of

    if name == "-":
        return Log(lines_of(sys.stdin.buffer))
    with Path(name).open("rb") as file:
        return Log(lines_of(file))


def _nothing(name: str, log: Log) -> int:
    where = "standard input" if name == "-" else quoted(name)
    what = f"{log.ignored:,} lines, none of them" if log.ignored else "no line, and so none"
    print(
        f"lambda-singleton: {where} has {what} a decision about a lease: set the function's log"
        " format to JSON and its application log level to INFO",
        file=sys.stderr,
    )
    return 1
