"""`lambda-singleton timeline`: a page from a log of events."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from ..terminal_text import terminal_text


def run(options: Namespace) -> int:
    """Write the page, and say where it is."""
    from ..timeline import write

    target = Path(options.output)
    try:
        page = write(sys.stdin if options.file == "-" else _lines(Path(options.file)))
        target.write_text(page, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        print(f"lambda-singleton: {terminal_text(str(error))}", file=sys.stderr)
        return 1
    print(target.resolve())
    return 0


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as lines:
        yield from lines
