"""A lease's full name: `name`, or `name#key` where each tenant, order or file has its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ._errors import LeaseConfigError
from ._protocol.name import check_name
from ._text import quoted

#: What is told of an event that lacks a key: so many of its names, so much of each.
_MOST_NAMES, _LONGEST_NAME = 8, 40

Key = str | Callable[[Any, Any], object]


def naming(name: object, key: Key | None) -> Callable[[Any, Any], str]:
    """Return what gives the full name for an event and a context."""
    base = check_name(name)
    if "#" in base:
        raise LeaseConfigError(f"a lease's name must not contain '#', but {quoted(base)} does")
    if key is None:
        return lambda event, context: base
    if isinstance(key, str):
        find = searching(key, "key")
    elif callable(key):
        find = key
    else:
        raise LeaseConfigError(f"key must be a JMESPath expression or a callable, not {key!r}")

    def full_name(event: Any, context: Any) -> str:
        try:
            value = find(event, context)
        except Exception as error:
            # The text of a JMESPathError quotes the event, which is nobody else's to read.
            raise LeaseConfigError(
                f"the key {key!r} of lease {quoted(base)} could not be computed from the event:"
                f" {type(error).__name__}"
            ) from (error if callable(key) else None)
        if value is None and isinstance(key, str):
            raise LeaseConfigError(
                f"the key {key!r} of lease {quoted(base)} is not in this event:"
                f" {_found(key, event)}"
            )
        # The first '#' ends the name, so that no key can reach another lease.
        return check_name(f"{base}#" + _scalar(base, key, value))

    return full_name


def searching(expression: str, parameter: str) -> Callable[[Any, Any], object]:
    """Return what finds a JMESPath expression in an event."""
    # boto3 depends on jmespath: where it is, this is.
    try:
        import jmespath
    except ImportError as error:
        raise LeaseConfigError(
            f"a {parameter} that is a JMESPath expression needs the package jmespath, which comes"
            " with boto3; or give a callable"
        ) from error
    try:
        compiled = jmespath.compile(expression)
    except Exception as error:
        raise LeaseConfigError(
            f"{parameter} {expression!r} is no JMESPath expression: {error}"
        ) from error

    return lambda event, context: compiled.search(_as_mapping(event))


def _as_mapping(event: Any) -> Any:
    # A Pydantic model, such as a parser has made: with the names that the event came with.
    dump = getattr(event, "model_dump", None)
    return event if dump is None else dump(mode="json", by_alias=True)


def _found(expression: str, event: Any) -> str:
    """Say how far a key leads, and what is there: names only, since values are nobody else's."""
    value, where = _as_mapping(event), "the event"
    for step in expression.split("."):
        if not isinstance(value, Mapping) or step not in value:
            break
        value, where = value[step], f"its {quoted(step)}"
    if not isinstance(value, Mapping):
        return f"{where} is of type {type(value).__name__}"
    names = [name for name in value if isinstance(name, str) and name.isidentifier()]
    shown = ", ".join(quoted(name, _LONGEST_NAME) for name in names[:_MOST_NAMES])
    left = len(value) - len(names[:_MOST_NAMES])
    more = f"{' and' if shown else ''} {left} more" if left else ""
    return f"{where} has {shown}{more}".rstrip() if value else f"{where} is empty"


def _scalar(name: str, key: Key, value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, bool | int | float):
        import json

        if isinstance(value, float) and value.is_integer():
            # JSON writes one number in several ways: 1 and 1.0 are one key, and so are 0 and -0.0.
            value = int(value)
        # Neither NaN, nor infinity, nor a number too long to be written down.
        with suppress(ValueError):
            return json.dumps(value, allow_nan=False)
    raise LeaseConfigError(
        f"the key {key!r} of lease {quoted(name)} must give a non-empty str, a bool or a finite"
        f" number for every event, not this {type(value).__name__}"
    )
