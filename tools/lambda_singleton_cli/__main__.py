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

from .commands import completion, pause, redo, release, resume, run, show, timeline, watch
from .commands import list as list_command
from .notices import Once, warnings_to
from .parser import parser
from .place import table
from .session import client
from .terminal_text import message


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    root = parser()
    given, words = _split(list(sys.argv[1:] if arguments is None else arguments))
    options = root.parse_args(given, Namespace(words=words))
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


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return what is said to `run`, and the words of the command that it is to run."""
    if arguments[:1] != ["run"] or "--" not in arguments:
        return arguments, []
    end = arguments.index("--")
    return arguments[:end], arguments[end + 1 :]


def _run(options: Namespace) -> int:
    if options.command == "completion":
        return completion.run(options)
    if options.command == "local":
        # Its extra has what other commands do without.
        from .commands import local

        return local.run(options)
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
        "pause": pause.run,
        "resume": resume.run,
        "run": run.run,
        "redo": redo.run,
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
