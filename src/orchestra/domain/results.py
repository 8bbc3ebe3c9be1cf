"""Results as a table: what jobs wrote, beside what their configs say. Pure.

A column is called after its value: `hidden`, `optimizer.name`. Where a config and the metrics say different things
under one name, the two columns are `config.NAME` and `metrics.NAME`; where they always say the same, they are one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestra.domain.errors import BadInput
from orchestra.domain.human import listed
from orchestra.domain.nearest import nearest
from orchestra.domain.usage import MEASURES, NOT_MEASURED, Usage


class ColumnSource(StrEnum):
    """Where a column's values come from."""

    FIXED = "fixed"
    CONFIG = "config"
    METRICS = "metrics"
    BOTH = "both"
    """The config and the metrics, which say the same."""
    RUN = "run"
    USAGE = "usage"


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one job: its config's values, its metrics, and what its attempt took.

    `config` is the path below the config data set's root. `note` says what could not be read, if anything.
    """

    job: int
    config: str
    attempt: int = 1
    node: str | None = None
    seconds: float | None = None
    usage: Usage = NOT_MEASURED
    values: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name there, and what to look up in a row."""

    name: str
    part: ColumnSource
    key: str

    def of(self, row: Row) -> Any:
        """Give a row's value, None where it has none."""
        match self.part:
            case ColumnSource.CONFIG:
                return row.values.get(self.key)
            case ColumnSource.METRICS:
                return row.metrics.get(self.key)
            case ColumnSource.BOTH:
                found = row.values.get(self.key)
                return row.metrics.get(self.key) if found is None else found
            case ColumnSource.USAGE:
                return getattr(row.usage, self.key)
            case ColumnSource.FIXED | ColumnSource.RUN:
                return getattr(row, self.key)


JOB = Column("job", ColumnSource.FIXED, "job")
CONFIG = Column("config", ColumnSource.FIXED, "config")
NOTE = Column("note", ColumnSource.FIXED, "note")
RUN = (
    *(Column(f"run.{key}", ColumnSource.RUN, key) for key in ("attempt", "node", "seconds")),
    *(Column(f"run.{measure.result}", ColumnSource.USAGE, measure.name) for measure in MEASURES),
)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with the columns that they have together."""

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]

    def records(self) -> Iterator[dict[str, Any]]:
        """Give each row as a dictionary with every column's name, None where it has no value."""
        for row in self.rows:
            yield {column.name: column.of(row) for column in self.columns}

    def from_sources(self, *parts: ColumnSource) -> list[Column]:
        """Give the columns that come from there."""
        return [column for column in self.columns if column.part in parts]

    def find(self, name: str) -> Column:
        """Give the column that is meant; `config.NAME` and `metrics.NAME` always work.

        Raises:
            BadInput: there is none; says what was perhaps meant.
        """
        by_name = {column.name: column for column in self.columns}
        qualified = {f"{part}.{c.key}": c for c in self.columns for part in _parts(c)}
        bare = {
            c.key: c for c in self.from_sources(ColumnSource.CONFIG, ColumnSource.METRICS)
        }  # the metrics win
        for names in (by_name, qualified, bare):
            if name in names:
                return names[name]
        guess = nearest(name, list(by_name))
        question = f' Did you mean "{guess}"?' if guess else ""
        raise BadInput(
            f'the results have no column "{name}".{question}',
            hint=None if guess else f"They have: {listed(list(by_name), most=20)}.",
        )


def table_of(rows: Sequence[Row]) -> Table:
    """Give rows with their columns: the job, what the configs say, the metrics, what it took, the config, the note."""
    values = _keys(row.values for row in rows)
    metrics = _keys(row.metrics for row in rows)
    same = {key for key in values if key in metrics and _agree(rows, key)}
    apart = {key for key in values if key in metrics} - same
    taken = {column.name for column in (JOB, CONFIG, NOTE, *RUN)}
    columns = [JOB]
    for key in values:
        part = ColumnSource.BOTH if key in same else ColumnSource.CONFIG
        columns.append(_named(key, part, taken, qualified=key in apart))
    columns += [
        _named(key, ColumnSource.METRICS, taken, qualified=key in apart)
        for key in metrics
        if key not in same
    ]
    return Table(tuple(rows), (*columns, *RUN, CONFIG, NOTE))


def _keys(mappings: Iterable[Mapping[str, Any]]) -> dict[str, None]:
    """Give every key once, in the order of their first appearance."""
    found: dict[str, None] = {}
    for mapping in mappings:
        if not mapping.keys() <= found.keys():
            found.update(dict.fromkeys(mapping))
    return found


def _agree(rows: Sequence[Row], key: str) -> bool:
    return all(
        _same(row.values[key], row.metrics[key])
        for row in rows
        if key in row.values and key in row.metrics
    )


def _same(one: Any, other: Any) -> bool:
    """NaN is what NaN is, here."""
    return bool(one == other or (one != one and other != other))


def _named(key: str, part: ColumnSource, taken: set[str], *, qualified: bool) -> Column:
    prefix = "metrics" if part is ColumnSource.METRICS else "config"
    name = f"{prefix}.{key}" if qualified else key
    while name in taken:
        name = f"{prefix}.{name}"
    taken.add(name)
    return Column(name, part, key)


def _parts(column: Column) -> tuple[str, ...]:
    return ("config", "metrics") if column.part is ColumnSource.BOTH else (column.part.value,)


def varies(table: Table, column: Column) -> bool:
    """Whether a column tells rows apart, of those of which something could be read; a single one's always does."""
    seen = [
        column.of(row)
        for row in table.rows
        if (row.metrics if column.part is ColumnSource.METRICS else row.values)
    ]
    return len(seen) < 2 or any(not _same(value, seen[0]) for value in seen)


def with_columns(table: Table, names: Iterable[str]) -> Table:
    """Give the rows with these columns alone, in this order.

    Raises:
        BadInput: there is no such column.
    """
    return Table(table.rows, tuple(table.find(name) for name in names))
