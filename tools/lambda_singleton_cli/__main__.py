"""The command line: `lambda-singleton`, or `python -m lambda_singleton_cli`."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from io import TextIOWrapper

from lambda_singleton._errors import LeaseError
from lambda_singleton._stores.dynamodb import DynamoDBStore

from .commands import list as list_command
from .commands import release, show, timeline, watch
from .notices import Once, warnings_to
from .parser import parser
from .place import table
from .session import client
from .terminal_text import message


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    root = parser()
    options = root.parse_args(arguments)
    if options.command == "demo":
        return _demo()
    for stream in (sys.stdout, sys.stderr):
        # A name may have letters that this terminal does not know.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings_to(Once()):
            code = _run(options)
        sys.stdout.flush()
    except LeaseError as error:
        print(f"lambda-singleton: {message(str(error))}", file=sys.stderr)
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
        return timeline.run(options)
    chosen = client(options)
    more = {} if chosen is None else {"client": chosen}
    store = DynamoDBStore(options.table, **more)
    commands = {
        "list": list_command.run,
        "show": show.run,
        "watch": watch.run,
        "release": release.run,
        "create-table": _create_table,
        "doctor": _doctor,
    }
    return commands[options.command](options, store)


def _doctor(options: Namespace, store: DynamoDBStore) -> int:
    # Other commands do without the clients that it imports.
    from .commands import doctor

    return doctor.run(options, store)


def _create_table(options: Namespace, store: DynamoDBStore) -> int:
    store.create_table()
    if options.json:
        print(json.dumps({"table": store.table_name, "ready": True}))
    else:
        print(f"{table(store)} is ready")
    return 0


def _demo() -> int:
    # The demo runs real handlers in a local Lambda: parts that no wheel carries.
    print(
        "lambda-singleton: the demo is part of the project's repository, not of the package:"
        " run `make demo` there",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
