"""What a request is, and what carries it out; `table.py` says who may make it."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

Answer = TypeVar("Answer")
T = TypeVar("T")


class Request(Generic[Answer]):
    """What is asked, with the type of its answer. Every request is a `Question` or a `Change`."""

    __slots__ = ()


class Question(Request[Answer]):
    """A request that changes nothing: it may be made again where an answer was lost."""

    __slots__ = ()


class Change(Request[Answer]):
    """A request that changes something, on behalf of a caller who must have the right to it."""

    __slots__ = ()


class Interface(Protocol):
    """Whatever carries requests out."""

    def __call__(self, asked: Request[T], /) -> T:
        """Carry a request out and return its answer.

        Raises:
            OrchestraError: it was refused, or failed; one sentence says why.
        """
        ...


class Connected(Interface, Protocol):
    """An interface over a connection, which can be lost. Whoever made it closes it; one thread uses it at a time."""

    @property
    def closed(self) -> bool:
        """Whether the connection was closed, or lost."""
        ...

    def works(self) -> bool:
        """Whether it answers, and an interrupted call has left nothing open. Asks the database, which takes no time."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
