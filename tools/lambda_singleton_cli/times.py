"""Times in words. All of them are UTC, as in the rows and in CloudWatch's logs."""

from __future__ import annotations

import argparse
import re

from lambda_singleton._clock import utc

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def length(seconds: float) -> str:
    """Write a length of time with at most two units: `42 s`, `3 min 10 s`, `2 h 5 min`."""
    rest = round(seconds)
    words: list[str] = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            words.append(f"{count} {unit}")
        if words and (len(words) == 2 or not count):
            break
    return " ".join(words) or "0 s"


def rough(seconds: float) -> str:
    """Write a length of time in one unit, of which there are at least two: `90 s`, `3 min`."""
    seconds = round(seconds)
    size, unit = next((one for one in _UNITS if seconds >= 2 * one[0]), _UNITS[-1])
    return f"{int(seconds // size)} {unit}"


def relative(moment: float, now: float) -> str:
    """Write when that is or was, seen from `now`: `in 42 s`, `3 min ago`."""
    if round(abs(moment - now)) == 0:
        return "now"
    return f"in {rough(moment - now)}" if moment > now else f"{rough(now - moment)} ago"


def at(moment: float) -> str:
    """Write the moment in full: `2027-01-15 08:00:00 UTC`."""
    return f"{utc(moment)[:10]} {utc(moment)[11:19]} UTC"


def at_a_glance(moment: float, now: float) -> str:
    """Write the time of day, or the day if it was another one."""
    day, time = utc(moment)[:10], utc(moment)[11:19]
    return time if day == utc(now)[:10] else day


def seconds_of(text: str) -> float:
    """Read a length of time such as `90`, `90s`, `15min` or `2h`, and return it in seconds."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(s|m|min|h|d|)", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time: write 90s, 15min or 2h")
    number, unit = found.groups()
    return float(number) * {"": 1, "s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}[unit]
