"""A web server that loads its application before it forks its workers, as gunicorn --preload.

Arguments: the lease's name, how many workers, jobs for each, the path of a counter.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from lambda_singleton import Lease, singleton

NAME, WORKERS, JOBS, PATH = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])


@singleton(NAME, duration=20, wait=40)
def job(event: Any, context: Any, *, lease: Lease) -> None:
    # Two at once lose counts, and the same token twice shows as such.
    count, *tokens = json.loads(PATH.read_text())
    time.sleep(0.005)
    PATH.write_text(json.dumps([count + 1, *tokens, lease.token]))


def main() -> None:
    PATH.write_text("[0]")
    # A first request while the application is loaded.
    job({}, None)
    workers = []
    for _ in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            try:
                for _ in range(JOBS):
                    job({}, None)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        workers.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers]
    count, *tokens = json.loads(PATH.read_text())
    print(json.dumps({"codes": codes, "count": count, "tokens": tokens}))


if __name__ == "__main__":
    main()
