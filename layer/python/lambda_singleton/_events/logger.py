"""The package's logger, which has no handler of its own."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger


@cache
def logger() -> Logger:
    """Return the logger `lambda_singleton`."""
    # Half of what importing this package would cost, and most processes have it already.
    from logging import getLogger

    return getLogger("lambda_singleton")


if "logging" in sys.modules:
    # Who configures all loggers that there are, as Powertools can, has to find this one.
    logger()
