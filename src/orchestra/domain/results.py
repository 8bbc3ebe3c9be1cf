"""Results as a table: the metrics of jobs beside the values of their configs. Pure.

A column is named after its value: `hidden`, `optimizer.name`. If config and metrics differ under one name, the columns
are `config.NAME` and `metrics.NAME`; if they always agree, they are one column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestra.domain import sheets
from orchestra.domain.errors import BadInput
from orchestra.domain.human import about
from orchestra.domain.sheets import Sheet, SheetColumn
from orchestra.domain.usage import MEASURES, NOT_MEASURED, Usage


class ColumnSource(StrEnum):
    """Where a column's values come from."""

    FIXED = "fixed"
    CONFIG = "config"
    METRICS = "metrics"
    BOTH = "both"
    """The config and the metrics, which agree."""
    RUN = "run"
    USAGE = "usage"


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one job: the values of its config, its metrics, and the usage of its attempt.

    `config` is the path below the config data set's root. `note` says what could not be read, if anything. Of a job
    that still runs, `age` is that of its metrics in seconds.
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
    revision: int = 1
    state: str = "done"
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name, and what to look up in a row."""

    name: str
    part: ColumnSource
    key: str

    @property
    def on_sheet(self) -> SheetColumn[Row]:
        """The same as a column of what is printed or written."""
        is_number = self.part is ColumnSource.USAGE or self.key == "seconds" or self == AGE
        words = about if self == AGE else None
        return SheetColumn(self.name, self.of, is_number, is_job=self == JOB, words=words)

    def of(self, row: Row) -> Any:
        """The row's value in this column, or None."""
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
STATE = Column("state", ColumnSource.FIXED, "state")
AGE = Column("age", ColumnSource.FIXED, "age")
LIVE = (STATE, AGE)
"""Columns of results that include running jobs."""
RUN = (
    *(Column(f"run.{key}", ColumnSource.RUN, key) for key in ("attempt", "node", "seconds")),
    *(Column(f"run.{measure.result}", ColumnSource.USAGE, measure.name) for measure in MEASURES),
)

REVISION = Column("run.revision", ColumnSource.RUN, "revision")
"""Of the task, with which the job ran; only where the rows have several."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows, and all their columns."""

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield each row as a dictionary of all columns, with None for a missing value."""
        for row in self.rows:
            yield {column.name: column.of(row) for column in self.columns}

    def from_sources(self, *parts: ColumnSource) -> list[Column]:
        """The columns that come from these sources."""
        return [column for column in self.columns if column.part in parts]

    def find(self, name: str) -> Column:
        """Find a column by name; `config.NAME` and `metrics.NAME` always work.

        Raises:
            BadInput: there is none; the message suggests a similar one.
        """
        found = self.look_up(name)
        if found is None:
            raise self.no_column(name)
        return found

    def look_up(self, name: str) -> Column | None:
        """Find a column as `find` does; None if there is none."""
        by_name = {column.name: column for column in self.columns}
        qualified = {f"{part}.{c.key}": c for c in self.columns for part in _parts(c)}
        bare = {
            c.key: c for c in self.from_sources(ColumnSource.CONFIG, ColumnSource.METRICS)
        }  # the metrics win
        for names in (by_name, qualified, bare):
            if name in names:
                return names[name]
        return None

    def no_column(self, name: str) -> BadInput:
        """Return the error that there is no column of that name, with a similar one or what there is."""
        return sheets.no_column(name, [column.name for column in self.columns])

    @property
    def sheet(self) -> Sheet[Row]:
        """The same rows and columns, as what is printed or written."""
        return Sheet(self.rows, tuple(column.on_sheet for column in self.columns))


def table_of(rows: Sequence[Row], *, live: bool = False) -> Table:
    """Make a table of rows. Columns: job, with `live` state and age, config values, metrics, usage, config, note."""
    values = _keys(row.values for row in rows)
    metrics = _keys(row.metrics for row in rows)
    same = {key for key in values if key in metrics and _agree(rows, key)}
    apart = {key for key in values if key in metrics} - same
    run = (*RUN, REVISION) if len({row.revision for row in rows}) > 1 else RUN
    first = (JOB, *LIVE) if live else (JOB,)
    taken = {column.name for column in (*first, CONFIG, NOTE, *run)}
    columns = [*first]
    for key in values:
        part = ColumnSource.BOTH if key in same else ColumnSource.CONFIG
        columns.append(_named(key, part, taken, qualified=key in apart))
    columns += [
        _named(key, ColumnSource.METRICS, taken, qualified=key in apart)
        for key in metrics
        if key not in same
    ]
    return Table(tuple(rows), (*columns, *run, CONFIG, NOTE))


def _keys(mappings: Iterable[Mapping[str, Any]]) -> dict[str, None]:
    """Every key once, in order of first appearance."""
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
    """Equality for which NaN equals NaN."""
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
    """Whether the values of a column differ, among the rows that could be read; true for a single row."""
    seen = [
        column.of(row)
        for row in table.rows
        if (row.metrics if column.part is ColumnSource.METRICS else row.values)
    ]
    return len(seen) < 2 or any(not _same(value, seen[0]) for value in seen)


def with_columns(table: Table, names: Iterable[str]) -> Table:
    """Return the table with only these columns, in this order.

    Raises:
        BadInput: there is no such column.
    """
    return Table(table.rows, tuple(table.find(name) for name in names))
