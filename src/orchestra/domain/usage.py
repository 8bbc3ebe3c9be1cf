"""The resource usage of an attempt, as measured by its keeper, or by the agent.

To add a measure: a line in `Usage`, a column of the same name in the table `attempt`, and code that measures it, in
`pilot/keeper.py`, which reports it with an outcome, or in the agent, which adds it (`pilot/finalize.py`). Everything
else goes through `MEASURES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from orchestra.domain.human import duration, size


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure: its name in messages, columns and JSON, its type, and its format for people.

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
    """What all processes of an attempt used; None for what was not measured.

    `gpu_seconds`: for how long its GPUs computed, summed over them; of a shared one, the part that it asked for.
    """

    cpu_seconds: float | None = _measure(float, "{} of CPU time", duration)
    max_rss_bytes: int | None = _measure(
        int, "{} of memory at its peak", size, result="memory_bytes"
    )
    gpu_seconds: float | None = _measure(float, "{} of GPU time", duration)

    @classmethod
    def of(cls, named: Mapping[str, Any]) -> Self:
        """Read the usage from a message or a row. Older keepers do not measure everything."""
        return cls(*(named.get(measure.name) for measure in MEASURES))

    @classmethod
    def taken_from(cls, row: dict[str, Any]) -> Self:
        """Take the usage out of a row."""
        return cls(*(row.pop(measure.name, None) for measure in MEASURES))

    def by_name(self) -> dict[str, float | int | None]:
        """The measures by name, for JSON."""
        return {measure.name: getattr(self, measure.name) for measure in MEASURES}

    def in_words(self) -> Iterator[str]:
        """Yield each known measure for people: `3 min of CPU time`."""
        for measure in MEASURES:
            if (value := getattr(self, measure.name)) is not None:
                yield measure.in_words(value)


MEASURES = tuple(
    Measure(each.name, **dict(each.metadata) | {"result": each.metadata["result"] or each.name})
    for each in fields(Usage)
)
"""All measures, in the order in which they are shown."""
NOT_MEASURED = Usage()
