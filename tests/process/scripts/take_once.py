"""Take a lease and give it back. Arguments: its name, "boto3" to load it first, or "alone"."""

from __future__ import annotations

import json
import sys

from lambda_singleton import DynamoDBStore, Lock

NAME, LOADED = sys.argv[1:]


def main() -> None:
    if LOADED == "boto3":
        import boto3

        boto3.setup_default_session()
    try:
        with Lock(NAME, 30, store=DynamoDBStore()) as lease:
            lease.renew()
    except Exception as error:
        print(json.dumps(repr(error)))
    else:
        print(json.dumps("taken"))


if __name__ == "__main__":
    main()
