"""The command line: `lambda-singleton`, or `python -m lambda_singleton`."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from io import TextIOWrapper

from ._cli import _list, _release, _show, _timeline, _watch
from ._cli._parser import parser
from ._cli._printable import printable
from ._cli._warnings import Once, warnings_to
from ._dynamodb import TABLE, DynamoDBStore
from ._errors import LeaseError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    root = parser()
    options, rest = root.parse_known_args(arguments)
    if options.command == "demo":
        return _demo(rest)
    if rest:
        root.error(f"unrecognized arguments: {' '.join(rest)}")
    for stream in (sys.stdout, sys.stderr):
        # A name may have letters that this terminal does not know.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings_to(Once()):
            code = _run(options)
        sys.stdout.flush()
    except LeaseError as error:
        print(f"lambda-singleton: {printable(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read this has seen enough; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def _run(options: Namespace) -> int:
    if options.command == "timeline":
        return _timeline.run(options)
    store = DynamoDBStore(options.table)
    commands = {
        "list": _list.run,
        "show": _show.run,
        "watch": _watch.run,
        "release": _release.run,
        "create-table": _create_table,
    }
    return commands[options.command](options, store)


def _create_table(options: Namespace, store: DynamoDBStore) -> int:
    store.create_table()
    if options.json:
        table = options.table or os.environ[TABLE]
        print(json.dumps({"table": table, "ready": True}))
    else:
        print(f"{store!r} is ready")
    return 0


def _demo(arguments: Sequence[str]) -> int:
    # The demo runs real handlers in a local Lambda: parts that the layer does not carry.
    try:
        from demo.__main__ import main as demo
    except ImportError:
        print(
            "lambda-singleton: the demo is part of the project's repository, not of the package:"
            " run `make demo` there",
            file=sys.stderr,
        )
        return 1
    return int(demo(arguments))


if __name__ == "__main__":
    sys.exit(main())
