"""What is decorated, and how it is called."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import suppress
from types import FunctionType
from typing import Any, NamedTuple, TypeVar

from .._errors import LeaseConfigError
from .._holding.lease import Lease

T = TypeVar("T")

# `co_flags`, as `inspect` names them.
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200


class Handler(NamedTuple):
    """A function, method or callable object, as far as the decorator has to know it."""

    name: str
    is_async: bool
    takes_lease: bool
    is_method: bool

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Handler:
        """Look at it; raise `LeaseConfigError` for a generator function."""
        if type(function) is FunctionType and not vars(function):
            return cls._of_plain(function)
        import inspect

        name = getattr(function, "__qualname__", None) or type(function).__qualname__
        if isinstance(function, (staticmethod, classmethod)):
            kind = type(function).__name__
            raise LeaseConfigError(f"{name} is a {kind}: write @{kind} above @singleton")
        inner: Any = function
        while isinstance(inner, functools.partial):
            inner = inner.func
        # An object is called by its class.
        called = [inner, inspect.getattr_static(type(inner), "__call__", None)]
        if any(
            inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one) for one in called
        ):
            raise _generator(name)
        parameters = list(inspect.signature(function).parameters)
        return cls(
            name,
            is_async=any(map(inspect.iscoroutinefunction, called)),
            takes_lease="lease" in parameters,
            # A function in a class's body is not bound yet: its first argument is no event.
            is_method=parameters[:1] in (["self"], ["cls"]),
        )

    @classmethod
    def _of_plain(cls, function: FunctionType) -> Handler:
        # Most handlers: `inspect` would be a fifth of what importing this package takes.
        code = function.__code__
        if code.co_flags & (_GENERATOR | _ASYNC_GENERATOR):
            raise _generator(function.__qualname__)
        parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        return cls(
            function.__qualname__,
            is_async=bool(code.co_flags & _COROUTINE),
            takes_lease="lease" in parameters,
            is_method=bool(code.co_argcount) and parameters[0] in ("self", "cls"),
        )

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the event and the context of a call."""
        given = args[1:] if self.is_method else args
        event = given[0] if given else kwargs.get("event")
        context = given[1] if len(given) > 1 else kwargs.get("context")
        return event, context

    def with_context(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], context: Any
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a call with this context in place of the one that it has."""
        place = 2 if self.is_method else 1
        if len(args) > place:
            return (*args[:place], context, *args[place + 1 :]), kwargs
        return args, kwargs | {"context": context}

    def with_lease(self, kwargs: dict[str, Any], lease: Lease) -> dict[str, Any]:
        """Return the keyword arguments, with the lease if it is asked for."""
        return kwargs | {"lease": lease} if self.takes_lease else kwargs

    def refuse_deferred(self, result: T) -> T:
        """Return the result; raise `LeaseConfigError` if its work would be done without the lease.

        It is thrown away before it has begun.
        """
        if not isinstance(result, (Awaitable, Generator, AsyncGenerator)):
            return result
        end: Any = getattr(result, "close", None) or getattr(result, "cancel", None)
        if callable(end):
            with suppress(Exception):
                end()
        raise LeaseConfigError(
            f"{self.name} returned a {type(result).__name__}, which would run after its lease was"
            " released: declare it with `async def`, or await it in there"
        )


def _generator(name: str) -> LeaseConfigError:
    return LeaseConfigError(f"{name} is a generator: it would run after its lease was released")
