"""Stands for the samples' real work: it takes a while, and says when it starts and stops."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aws_lambda_powertools import Logger, Tracer, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from lambda_singleton import Lease

# Service and namespace come from the template's variables.
logger = Logger()
tracer = Tracer()


def seconds() -> float:
    """Return how long the work takes."""
    return float(os.environ.get("WORK_SECONDS", "20"))


@contextmanager
def logged(lease: Lease) -> Iterator[None]:
    """Log the beginning and the end of the work that is done under a lease."""
    started = time.time()
    logger.info("started", lease=lease.name, token=lease.token, at=started)
    try:
        yield
    finally:
        ended = time.time()
        logger.info("stopped", lease=lease.name, token=lease.token, at=ended)
        with single_metric("WorkTime", MetricUnit.Seconds, ended - started) as metric:
            metric.add_dimension("job", lease.name.partition("#")[0])
