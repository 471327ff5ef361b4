"""Handlers whose logs, metrics and traces the tests read."""

import os
import sys
import time
from typing import Any

from lambda_singleton import singleton

if os.environ.get("WITH") == "Logger":
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.logging import utils

    utils.copy_config_to_registered_loggers(Logger(), include={"lambda_singleton"})
if os.environ.get("WITH") == "Tracer":
    from aws_lambda_powertools import Tracer

    tracer = Tracer(auto_patch=False)


@singleton(
    os.environ["LEASE"],
    float(os.environ["DURATION"]),
    key="tenant",
    wait=float(os.environ.get("WAIT", "0")),
    on_lost="report",
)
def handler(event: Any, context: Any) -> list[str]:
    print("at work", flush=True)
    time.sleep(event.get("seconds", 0))
    if event.get("fails"):
        raise LookupError
    return sorted({"aws_lambda_powertools", "aws_xray_sdk.core"} & set(sys.modules))
