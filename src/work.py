"""Stands for the samples' real work: it takes a while, and says when it starts and stops."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aws_lambda_powertools import Logger

from lambda_singleton import Lease

logger = Logger(service="lambda-singleton-samples")


def seconds() -> float:
    """Return how long the work takes."""
    return float(os.environ.get("WORK_SECONDS", "20"))


@contextmanager
def logged(lease: Lease) -> Iterator[None]:
    """Log the beginning and the end of the work that is done under a lease."""
    logger.info("started", lease=lease.name, token=lease.token, at=time.time())
    try:
        yield
    finally:
        logger.info("stopped", lease=lease.name, token=lease.token, at=time.time())
