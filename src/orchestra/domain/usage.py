"""What the keeper measures of an attempt.

A new measure takes a line in `Usage`, a column of that name in the table `attempt`, and in `pilot/keeper.py` what
measures it and tells it with an outcome. Everything between and behind them goes through `MEASURES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from orchestra.domain.human import duration, size


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is measured: its name in messages, columns and JSON, its type, and how people are told.

    `result` is its name in tables of results.
    """

    name: str
    kind: type[float] | type[int]
    in_words: Callable[[Any], str]
    result: str


def _measure(
    kind: type[float] | type[int], words: str, form: Callable[[Any], str], result: str = ""
) -> Any:
    how = {"kind": kind, "in_words": lambda value: words.format(form(value)), "result": result}
    return field(default=None, metadata=how)


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt used, its processes taken together; None is what nobody measured."""

    cpu_seconds: float | None = _measure(float, "{} of CPU time", duration)
    max_rss_bytes: int | None = _measure(
        int, "{} of memory at its peak", size, result="memory_bytes"
    )

    @classmethod
    def of(cls, named: Mapping[str, Any]) -> Self:
        """Read it from a message or a row. An older keeper does not measure everything."""
        return cls(*(named.get(measure.name) for measure in MEASURES))

    @classmethod
    def taken_from(cls, row: dict[str, Any]) -> Self:
        """The same, and remove it from there."""
        return cls(*(row.pop(measure.name, None) for measure in MEASURES))

    def by_name(self) -> dict[str, float | int | None]:
        """Give it for JSON."""
        return {measure.name: getattr(self, measure.name) for measure in MEASURES}

    def in_words(self) -> Iterator[str]:
        """Tell people what is known of it: `3 min of CPU time`."""
        for measure in MEASURES:
            if (value := getattr(self, measure.name)) is not None:
                yield measure.in_words(value)


MEASURES = tuple(
    Measure(each.name, **dict(each.metadata) | {"result": each.metadata["result"] or each.name})
    for each in fields(Usage)
)
"""All that is measured, in the order in which it is shown."""
NOT_MEASURED = Usage()
