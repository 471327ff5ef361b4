"""Environment variables that are true or false."""

import os

from ._errors import LeaseConfigError

#: Handlers run without a lease.
DISABLED = "SINGLETON_DISABLED"

_WORDS = dict.fromkeys(("true", "yes", "on", "1"), True)
_WORDS |= dict.fromkeys(("false", "no", "off", "0"), False)


def is_on(switch: str) -> bool:
    """Read an environment variable that is true or false, and false if it is not set."""
    value = os.environ.get(switch)
    if value is None:
        return False
    value = value.strip().lower() or "false"
    try:
        return _WORDS[value]
    except KeyError:
        raise LeaseConfigError(f"{switch} must be true or false, not {value!r}") from None
