"""The clock that leases are measured with."""

from time import gmtime, strftime
from typing import NamedTuple, Protocol, Self

from ._errors import LeaseConfigError

#: A crashed holder may block a name this long: more is taken for a mistake in units.
LONGEST = 86_400.0

#: The last second of the year 9999: no later time can be written, nor told to the millisecond.
LATEST = 253_402_300_799.0


class Clock(Protocol):
    """The part of the `time` module that a lease needs. The module itself is the default."""

    def time(self) -> float:
        """Epoch seconds: what the parties compare."""

    def monotonic(self) -> float:
        """Seconds that never step: what a holder counts on."""

    def sleep(self, seconds: float, /) -> None:
        """Wait that many seconds."""


class Instant(NamedTuple):
    """Both clocks, read together before a request is sent."""

    wall: float
    monotonic: float

    @classmethod
    def now(cls, clock: Clock) -> Self:
        return cls(clock.time(), clock.monotonic())


def milliseconds(seconds: float) -> int:
    """Convert to the unit of the row."""
    return round(seconds * 1000)


def seconds(value: object, parameter: str, *, least: float = 0.0, most: float = LONGEST) -> float:
    """Check a length of time given by the user, and return it in seconds.

    Raises `LeaseConfigError` for anything but an int, float or timedelta from `least` to `most`.
    """
    # A timedelta, without importing datetime for those who have none.
    in_seconds = getattr(value, "total_seconds", None)
    number = in_seconds() if callable(in_seconds) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise LeaseConfigError(
            f"{parameter} must be a number of seconds or a timedelta, not {value!r}"
        )
    if not least <= number <= most:
        raise LeaseConfigError(
            f"{parameter} must be from {least:g} to {most:g} seconds, not {value!r}"
        )
    return float(number)


def utc(epoch_seconds: float) -> str:
    """Write a time the way that rows, errors and logs show it."""
    # Half of what datetime takes for it, and every cycle writes three.
    whole, microseconds = divmod(round(epoch_seconds * 1_000_000), 1_000_000)
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(whole)) + f".{microseconds // 1000:03}Z"


def epoch(text: str | None) -> float | None:
    """Read such a time; None if it is none, or one that `utc` could not write."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    # Read as local time, one near the calendar's ends has no timestamp.
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return seconds if 0 <= seconds <= LATEST + 0.999 else None


def provable_offset(store_time: float, sent: float, received: float) -> float:
    """Return by how many seconds the local clock is off for certain.

    The store's clock was read between `sent` and `received`, and is cut off to whole seconds.
    """
    ahead = sent - (store_time + 1)
    behind = store_time - received
    return max(ahead, behind, 0.0)
