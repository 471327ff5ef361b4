"""What a row may be called."""

from .._errors import LeaseConfigError
from .._text import quoted

#: The limit of a DynamoDB partition key.
MOST_BYTES = 2048


def check_name(name: object) -> str:
    """Return the name if a row can be called that; raise `LeaseConfigError` if not."""
    if not isinstance(name, str) or not name.strip():
        raise LeaseConfigError(f"a lease's name must be a non-empty str, not {quoted(name)}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise LeaseConfigError(
            f"a lease's name must be valid Unicode, not {quoted(name, 40)}"
        ) from None
    if size > MOST_BYTES:
        raise LeaseConfigError(
            f"a lease's name may have {MOST_BYTES} bytes, but {quoted(name, 40)} has {size}"
        )
    return name
