"""A process forks while another of its threads is in the middle of something.

Arguments: "requests" (it sends one after the other), "client" (it makes the store's client, and
waits for credentials that never come), "refresh" (boto3's own session waits for new ones) or
"given" (the same, with a client that was given); and a prefix of names.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from datetime import UTC, datetime, timedelta

from lambda_singleton import DynamoDBStore, Lock

WHAT, PREFIX = sys.argv[1:]
store = DynamoDBStore()
static = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}


def send_requests(going: threading.Event) -> None:
    lease = Lock(f"{PREFIX}-busy", 30, store=store).acquire()
    while True:
        going.set()
        lease.renew()


def make_a_client(going: threading.Event) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    for name in static:
        del os.environ[name]
    address = f"http://127.0.0.1:{server.getsockname()[1]}/credentials"
    os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = address

    def listen() -> None:
        connection, _ = server.accept()
        going.set()
        # Nobody answers.
        threading.Event().wait(30)
        connection.close()

    threading.Thread(target=listen, daemon=True).start()
    store.get(PREFIX)


def refresh(going: threading.Event) -> None:
    global store  # noqa: PLW0603
    import boto3
    import botocore.session
    from botocore.credentials import RefreshableCredentials

    parent, asked = os.getpid(), 0

    def fetch() -> dict[str, str]:
        nonlocal asked
        asked += 1
        if os.getpid() == parent and asked > 1:
            going.set()
            threading.Event().wait(30)
        soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
        keys = {"access_key": "test", "secret_key": "test", "token": "test"}
        return {**keys, "expiry_time": soon}

    session = botocore.session.get_session()
    credentials = RefreshableCredentials.create_from_metadata(fetch(), fetch, "test")
    session._credentials = credentials
    boto3.setup_default_session(botocore_session=session)
    if WHAT == "given":
        store = DynamoDBStore(client=boto3.client("dynamodb"))
    store.get(PREFIX)


def main() -> None:
    going = threading.Event()
    targets = {"requests": send_requests, "client": make_a_client}
    target = targets.get(WHAT, refresh)
    threading.Thread(target=target, args=(going,), daemon=True).start()
    assert going.wait(15)
    codes = []
    for number in range(5):
        pid = os.fork()
        if pid == 0:
            signal.alarm(8)
            os.environ.pop("AWS_CONTAINER_CREDENTIALS_FULL_URI", None)
            os.environ.update(static)
            try:
                with Lock(f"{PREFIX}-{number}", 5, store=store) as lease:
                    lease.check()
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        if codes[-1]:
            break
    print(json.dumps(codes), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
