"""What a request is, and what carries it out; `table.py` says who may make which."""

from __future__ import annotations

from typing import ClassVar, Generic, Protocol, TypeVar

Answer = TypeVar("Answer")
T = TypeVar("T")


class Request(Generic[Answer]):
    """A request, with the type of its answer. Every request is a `Question` or a `Change`."""

    __slots__ = ()


class Question(Request[Answer]):
    """A request that changes nothing: it may be repeated if its answer was lost."""

    __slots__ = ()


class Change(Request[Answer]):
    """A request that changes something, on behalf of a caller who must have the right to do so.

    Attributes:
        repeatable: making it twice is the same as once, so its answer need not be kept with an idempotency key.
    """

    __slots__ = ()
    repeatable: ClassVar[bool] = False


class Interface(Protocol):
    """An object that carries out requests."""

    def __call__(self, asked: Request[T], /) -> T:
        """Carry out a request and return its answer.

        Raises:
            OrchestraError: the request was refused or has failed.
        """
        ...


class Connected(Interface, Protocol):
    """An interface over a connection, which can be lost. Its creator closes it; one thread uses it at a time."""

    @property
    def closed(self) -> bool:
        """Whether the connection was closed, or lost."""
        ...

    def works(self) -> bool:
        """Whether the connection responds and no interrupted call has left a transaction open. A quick round trip."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
