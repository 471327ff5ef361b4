"""A process that competes with others like it for leases."""

import json
import sys
import time

from lambda_singleton import DynamoDBStore, LeaseHeldError, Lock

kind, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = DynamoDBStore()

for number in range(count):
    if kind == "race":
        try:
            Lock(f"{name}-{number}", 600, store=store).acquire()
        except LeaseHeldError:
            continue
        print(json.dumps({"won": f"{name}-{number}"}))
    else:
        with Lock(name, 5, wait=60, store=store) as lease:
            run = {"run": lease.owner, "lease": name}
            start = {"at": time.time(), "kind": "started", "token": lease.token, **run}
            time.sleep(0.01)
            print(json.dumps(start))
            print(json.dumps({"at": time.time(), "kind": "stopped", **run}))
