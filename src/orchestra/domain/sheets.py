"""Tables of anything with named columns: rows of results, groups of them, or tasks side by side. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from orchestra.domain.errors import BadInput
from orchestra.domain.human import listed, one_line
from orchestra.domain.nearest import nearest

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class SheetColumn(Generic[R]):
    """A column: its name, and the value of a row in it, or None.

    `is_number` gives a column without any value a type in Parquet. `is_job` is one of jobs' numbers, which people read
    as addresses, and `words` is how people read other values.
    """

    name: str
    of: Callable[[R], Any]
    is_number: bool = False
    is_job: bool = False
    words: Callable[[Any], str] | None = None


@dataclass(frozen=True, slots=True)
class Sheet(Generic[R]):
    """Rows, and the columns to show of them."""

    rows: tuple[R, ...]
    columns: tuple[SheetColumn[R], ...]

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield each row as a dictionary of all columns, with None for a missing value."""
        for row in self.rows:
            yield {column.name: column.of(row) for column in self.columns}

    def find(self, name: str) -> SheetColumn[R]:
        """Find a column by name.

        Raises:
            BadInput: there is none; the message suggests a similar one.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise no_column(name, [column.name for column in self.columns])


def no_column(name: str, known: Iterable[str]) -> BadInput:
    """Return the error that results have no column of that name, with a similar one or all that there are."""
    names = list(known)
    guess = nearest(name, names)
    question = f' Did you mean "{guess}"?' if guess else ""
    return BadInput(
        f'the results have no column "{one_line(name)}".{question}',
        hint=None if guess else f"They have: {listed(names, most=20)}.",
    )
