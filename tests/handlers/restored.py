"""What a snapshot does: one process imports everything, and many go on from there."""

import json
import os
import random
import sys

from lambda_singleton import DynamoDBStore, Lease, singleton
from lambda_singleton._backoff import Backoff

random.seed(1)
store = DynamoDBStore()
store.prepare(timeout=2.5)


@singleton("restored", 30, key="number", store=store)
def handler(event: dict[str, str], context: object, lease: Lease) -> None:
    facts = {"owner": lease.owner, "delay": Backoff(1, 8).delay()}
    os.write(1, json.dumps(facts).encode() + b"\n")


for number in range(int(sys.argv[1])):
    if os.fork() == 0:
        handler({"number": f"{sys.argv[2]}-{number}"}, None)
        os._exit(0)
for _ in range(int(sys.argv[1])):
    os.wait()
