"""The command line: `lambda-singleton`, or `python -m lambda_singleton`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ._dynamodb import TABLE, DynamoDBStore
from ._errors import LeaseError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="lambda-singleton", description="Leases in DynamoDB.")
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create-table", help="create the table of leases, with its TTL")
    create.add_argument("--table", help=f"the table's name (default: ${TABLE})")
    commands.add_parser("demo", help="watch handlers take, lose and take over leases")
    options, rest = parser.parse_known_args(arguments)
    if options.command == "demo":
        return _demo(rest)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        store = DynamoDBStore(options.table)
        store.create_table()
    except LeaseError as error:
        print(f"lambda-singleton: {error}", file=sys.stderr)
        return 1
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
