"""A request that goes all the way but over the network, so that what it needs is loaded."""

from .._protocol.operations import Acquire
from .connection import HTTPReply

_BODY = b'{"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}'

#: The reply. Nothing is made of it.
REFUSED = HTTPReply(
    400,
    {
        "content-type": "application/x-amz-json-1.0",
        "content-length": str(len(_BODY)),
        "date": "Thu, 01 Jan 1970 00:00:00 GMT",
    },
    _BODY,
)


def rehearsed() -> Acquire:
    """Return the operation: the one that comes first in every invocation."""
    return Acquire(
        name="rehearsal",
        owner="nobody",
        holder={"acquired_at": "1970-01-01T00:00:00.000Z"},
        now=0,
        expires_at=1,
        duration=1,
        clock_skew=0,
        seen=None,
        ticket=None,
    )
