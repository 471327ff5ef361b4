"""What the decorator makes of a handler, for type checkers: nothing of this exists at run time.

Which kind of handler it is, is asked when it is called and not when it is decorated: where its
event has an Any in it, such as `dict[str, Any]`, a type checker could not tell two kinds apart.
The classes are no protocols, which would be compared structure by structure, without an end.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, Never, ParamSpec, Protocol, TypeVar, overload

from .._holding.lease import Lease

P = ParamSpec("P")
S = TypeVar("S")
E = TypeVar("E")
C = TypeVar("C")
R = TypeVar("R")
X = TypeVar("X")
H = TypeVar("H", bound=Callable[..., Any])
E_contra = TypeVar("E_contra", contravariant=True)
C_contra = TypeVar("C_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
X_co = TypeVar("X_co", covariant=True)
H_co = TypeVar("H_co", bound=Callable[..., Any], covariant=True)

class TakesLease(Protocol[E_contra, C_contra, R_co]):
    """A handler with a parameter `lease`, which its callers do not give."""

    def __call__(self, event: E_contra, context: C_contra, /, *, lease: Lease) -> R_co: ...

class Guarded(Generic[H_co]):
    """A handler of the type H under its lease: called as it was, but for the lease."""

    __name__: str

    @property
    def __wrapped__(self) -> H_co: ...
    @overload
    def __call__(self: Guarded[TakesLease[E, C, R]], event: E, context: C, /) -> R: ...
    @overload
    def __call__(self: Guarded[Callable[P, R]], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __get__(self, instance: None, owner: Any, /) -> Guarded[H_co]: ...
    @overload
    def __get__(
        self: Guarded[Callable[Concatenate[S, P], R]], instance: S, owner: Any, /
    ) -> Guarded[Callable[P, R]]: ...
    @overload
    def __get__(
        self: Guarded[Callable[Concatenate[type[S], P], R]], instance: S, owner: Any, /
    ) -> Guarded[Callable[P, R]]: ...

class GuardedOr(Generic[H_co, X_co]):
    """The same for a handler that returns an X when the lease is held."""

    __name__: str

    @property
    def __wrapped__(self) -> H_co: ...
    # Of a handler that returns Any, nobody knows whether it is awaited.
    @overload
    def __call__(self: GuardedOr[TakesLease[E, C, Never], X], event: E, context: C, /) -> Any: ...
    @overload
    def __call__(
        self: GuardedOr[Callable[P, Never], X], *args: P.args, **kwargs: P.kwargs
    ) -> Any: ...
    @overload
    def __call__(
        self: GuardedOr[TakesLease[E, C, Coroutine[Any, Any, R]], X], event: E, context: C, /
    ) -> Coroutine[Any, Any, R | X]: ...
    @overload
    def __call__(self: GuardedOr[TakesLease[E, C, R], X], event: E, context: C, /) -> R | X: ...
    @overload
    def __call__(
        self: GuardedOr[Callable[P, Coroutine[Any, Any, R]], X],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Coroutine[Any, Any, R | X]: ...
    @overload
    def __call__(
        self: GuardedOr[Callable[P, R], X], *args: P.args, **kwargs: P.kwargs
    ) -> R | X: ...
    @overload
    def __get__(self, instance: None, owner: Any, /) -> GuardedOr[H_co, X_co]: ...
    @overload
    def __get__(
        self: GuardedOr[Callable[Concatenate[S, P], R], X], instance: S, owner: Any, /
    ) -> GuardedOr[Callable[P, R], X]: ...
    @overload
    def __get__(
        self: GuardedOr[Callable[Concatenate[type[S], P], R], X], instance: S, owner: Any, /
    ) -> GuardedOr[Callable[P, R], X]: ...

class Guard:
    """Decorates a handler."""

    def __call__(self, handler: H, /) -> Guarded[H]: ...

class GuardOr(Generic[X_co]):
    """Decorates a handler that returns an X when the lease is held."""

    def __call__(self, handler: H, /) -> GuardedOr[H, X_co]: ...
