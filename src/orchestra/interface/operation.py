"""What a request is, who may make it, and what carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar, get_args

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


class Who(Enum):
    """Who may make a request. The services enforce it; the table says it, and a test compares the two."""

    ANYBODY = "any user"
    OWNER = "the owner of what is changed, and admins"
    SELF = "the user who is meant, and admins"
    ADMIN = "admins"


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the table: a name that stays as it is, what is asked, and who may ask it."""

    name: str
    request: type[Request[Any]]
    who: Who = Who.ANYBODY

    @property
    def changes(self) -> bool:
        """Whether it changes something."""
        return issubclass(self.request, Change)

    @property
    def answer(self) -> Any:
        """The type of the answer, as the request declares it: `Question[Node]` is answered by a Node."""
        (answer,) = get_args(self.request.__orig_bases__[0])  # type: ignore[attr-defined]
        return answer
