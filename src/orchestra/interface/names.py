"""Names for completion, and names that are still free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestra.interface.operation import Question

Kind = Literal["task", "dataset", "node", "pool", "user"]


@dataclass(frozen=True, slots=True)
class ListNames(Question[tuple[str, ...]]):
    """The names of one kind of thing; of tasks and data sets only the newest thousands, newest first."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class FreeName(Question[str]):
    """A name for something new: the given one if it is free, else the next one that is, such as `user.ana.fit-2`.

    `kinds`: what must not have the name yet. It may still be taken before it is used.

    Raises:
        BadInput: the name is invalid, or not in the caller's namespace.
    """

    name: str
    kinds: tuple[Literal["task", "dataset"], ...] = ("task",)
