"""A function as a user feels it, for `invocation`: INIT when it is started, then invocations.

Usage: function.py TITLE TABLE, as a script. Prints the seconds of CPU and of time that INIT took,
waits for a line on stdin and invokes the handler, prints what that took and how many bytes of
memory the process has, and so on.
"""

from __future__ import annotations

import os
import sys
import time

started = time.process_time(), time.perf_counter()
title, table = sys.argv[1:]
sys.path[0] = sys.path[0].rpartition("/")[0]


def tell() -> None:
    """Print what was used since the last start of the clocks."""
    used = time.process_time() - started[0], time.perf_counter() - started[1]
    with open("/proc/self/statm") as statm:
        memory = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    print(*used, memory, flush=True)


from benchmarks.contenders import load  # noqa: E402 - measured

contender = load(title)(table, 60.0)
contender.initialise()
tell()
for _ in sys.stdin:
    # Lambda does, for each invocation.
    os.environ["_X_AMZN_TRACE_ID"] = "Root=1-5759e988-bd862e3fe1be46a994272793"
    started = time.process_time(), time.perf_counter()
    contender.guard("reports", lambda: None)
    tell()
