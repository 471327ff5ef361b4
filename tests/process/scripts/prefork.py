"""Children of a parent that has used its client meet for the same names, round by round.

Arguments: how to start them, how many, rounds, a prefix of names, "boto3" to load it first, and
"given" for a client of the caller's own.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from typing import Any

from lambda_singleton import DynamoDBStore, LeaseHeldError, Lock

WAIT = 30


def compete(names: list[str], store: DynamoDBStore, barrier: Any, results: Any) -> None:
    seen: list[Any] = []
    for name in names:
        barrier.wait(WAIT)
        lease = None
        try:
            lease = Lock(name, 20, store=store).acquire()
            seen.append([lease.token, lease.owner])
        except LeaseHeldError:
            seen.append("held")
        except Exception as error:
            seen.append(repr(error))
        barrier.wait(WAIT)
        try:
            if lease is not None:
                lease.release()
        except Exception as error:
            seen[-1] = repr(error)
    results.put(seen)


def compete_anew(names: list[str], barrier: Any, results: Any) -> None:
    compete(names, DynamoDBStore(), barrier, results)


def start(how: str, names: list[str], count: int, store: DynamoDBStore) -> list[list[Any]]:
    """Let the parent and its children meet; return what each of them has seen."""
    context: Any = multiprocessing.get_context("fork" if how == "os.fork" else how)
    barrier, results = context.Barrier(count + 1), context.SimpleQueue()
    children: list[Any] = []
    for _ in range(count):
        if how == "os.fork":
            pid = os.fork()
            if pid == 0:
                compete(names, store, barrier, results)
                os._exit(0)
            children.append(pid)
        else:
            # What a fork takes along, spawn and forkserver have to make for themselves.
            target: Any = compete if how == "fork" else compete_anew
            given = (names, store) if how == "fork" else (names,)
            child = context.Process(target=target, args=(*given, barrier, results))
            child.start()
            children.append(child)
    own = context.SimpleQueue()
    compete(names, store, barrier, own)
    everybody = [own.get()] + [results.get() for _ in children]
    for child in children:
        os.waitpid(child, 0) if isinstance(child, int) else child.join()
    return everybody


def main() -> None:
    how, count, rounds, prefix, *rest = sys.argv[1:]
    client = None
    if rest:
        import boto3

        client = boto3.client("dynamodb") if "given" in rest else None
    store = DynamoDBStore(client=client)
    names = [f"{prefix}-{number}" for number in range(int(rounds))]
    # A forked child lives for one round, others for all of them.
    generations = [[name] for name in names] if how == "os.fork" else [names]
    everybody: list[list[Any]] = [[] for _ in range(int(count) + 1)]
    for generation in generations:
        with Lock(f"{prefix}-warm", 20, store=store):
            pass
        for who, seen in enumerate(start(how, generation, int(count), store)):
            everybody[who] += seen
    print(json.dumps(everybody))


if __name__ == "__main__":
    main()
