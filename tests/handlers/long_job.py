"""A durable function under the real runtime client: two waits, and a crash between them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration

from lambda_singleton import Lease, singleton


@durable_execution
@singleton(os.environ.get("LEASE", "unused"), 2, park=30)
def handler(event: Any, context: DurableContext, lease: Lease) -> list[str]:
    print(f"attempt token={lease.token} pid={os.getpid()}", flush=True)
    done = [context.step(lambda _: "one")]
    context.wait(Duration.from_seconds(1))
    crashed = Path(event["crashed"])
    if not crashed.exists():
        crashed.touch()
        os._exit(7)
    done.append(context.step(lambda _: "two"))
    context.wait(Duration.from_seconds(1))
    done.append(context.step(lambda _: "three"))
    return done
