"""Results as a table: what jobs wrote, beside what their configs say. Pure.

A column is called after its value: `hidden`, `optimizer.name`. Where a config and the metrics say different things
under one name, the two columns are `config.NAME` and `metrics.NAME`; where they always say the same, they are one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestra.domain.errors import BadInput
from orchestra.domain.human import listed
from orchestra.domain.nearest import nearest
from orchestra.domain.usage import MEASURES, NOT_MEASURED, Usage
from orchestra.domain.wording import Field, words

VALUES_AT_MOST = 10_000
"""Values of one file in a table."""
NAME_AT_MOST = 500
"""Letters of a value's name, which is that of all it stands in, each time anew."""

_HIGHEST = frozenset(
    {
        "accuracy", "acc", "auc", "auroc", "auprc", "f1", "score", "precision", "recall", "r2", "iou", "dice", "psnr",
        "ssim", "bleu", "rouge", "reward", "efficiency", "purity", "sensitivity", "specificity", "significance",
    }
)  # fmt: skip
_LOWEST = frozenset(
    {
        "loss", "error", "err", "mse", "rmse", "mae", "mape", "nll", "perplexity", "ppl", "wer", "cer", "chi2", "fid",
        "regret", "residual", "deviance",
    }
)  # fmt: skip
_ALWAYS_LOWEST = re.compile(r".*(loss|losses|error|errors)")
"""Words that decide wherever they stand: loss_dice is a loss, not a dice score."""
_NO_GOAL = frozenset({"std", "stderr", "var", "variance", "sigma", "uncertainty"})
_AS_THEY_ARE = frozenset({str, int, float, bool, list})
_OF_TRAINING = frozenset({"train", "training"})


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


@dataclass(frozen=True, slots=True)
class Goal:
    """The metric by which one row is better than another, and whether the highest or the lowest is best."""

    column: Column
    highest: bool


def flatten(found: Mapping[Any, Any]) -> dict[str, Any]:
    """Give nested mappings as one level: `{"a": {"b": 1}}` is `{"a.b": 1}`. A list stays one value.

    Raises:
        ValueError: there are more than 10,000 values, a name is too long, or two of them would have one name.
    """
    flat: dict[str, Any] = {}
    _flatten(found, "", flat)
    return flat


def _flatten(found: Mapping[Any, Any], before: str, flat: dict[str, Any]) -> None:
    for key, value in found.items():
        name = f"{before}{_as_name(key)}"
        if len(name) > NAME_AT_MOST:
            raise ValueError(f"has a name of more than {NAME_AT_MOST} letters")
        if isinstance(value, Mapping):
            _flatten(value, f"{name}.", flat)
        elif name in flat:
            raise ValueError(f'gives "{name}" twice')
        else:
            flat[name] = _plain(value)
        if len(flat) > VALUES_AT_MOST:
            raise ValueError(f"has more than {VALUES_AT_MOST:,} values")


def _as_name(key: Any) -> str:
    """YAML knows names that are no text; these are written as it and JSON have them."""
    return "null" if key is None else str(key).lower() if isinstance(key, bool) else str(key)


def _plain(value: Any) -> Any:
    """YAML and TOML know times and more; here they are text."""
    if value is None or type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, set):  # whose order is another one in each process
        return sorted(map(str, value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def as_text(value: Any) -> str:
    """Give a value as text: nothing for none, a list as JSON."""
    if value is None:
        return ""
    if isinstance(value, list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_finite(value: Any) -> bool:
    """Whether it is a number that can be best or drawn: no truth value, NaN or infinity, nor too large for a float."""
    try:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        )
    except OverflowError:
        return False


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


# Which is better


def varies(table: Table, column: Column) -> bool:
    """Whether a column tells rows apart, of those of which something could be read; a single one's always does."""
    seen = [
        column.of(row)
        for row in table.rows
        if (row.metrics if column.part is ColumnSource.METRICS else row.values)
    ]
    return len(seen) < 2 or any(not _same(value, seen[0]) for value in seen)


def direction(name: str) -> bool | None:
    """Whether the highest value of a metric of that name is best (True) or the lowest (False); None: nobody knows.

    `loss` and `error` mean the lowest wherever they stand in the name; of other words the last one counts. What begins
    with `neg`, as scikit-learn's neg_mean_squared_error does, has its sign turned and is not judged.
    """
    words = _words(name)
    if _NO_GOAL & set(words) or words[:1] == ["neg"]:
        return None
    if any(map(_ALWAYS_LOWEST.fullmatch, words)):
        return False
    known = [word in _HIGHEST for word in words if word in _HIGHEST | _LOWEST]
    return known[-1] if known else None


def _words(name: str) -> list[str]:
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return re.findall(r"[a-z0-9]+", apart.lower())


def goal(table: Table) -> Goal | None:
    """Give the metric that says which row is best, by its name; None where no name tells.

    Scores (accuracy, auc, f1, score, ...) go before losses (loss, error, ...), and what is not of the training before
    what is; among equals the first one in the files counts.
    """
    found = []
    for place, column in enumerate(table.from_sources(ColumnSource.METRICS, ColumnSource.BOTH)):
        highest = direction(column.key)
        if highest is not None and any(is_finite(column.of(row)) for row in table.rows):
            of_training = bool(_OF_TRAINING & set(_words(column.key)))
            found.append((not highest, of_training, place, Goal(column, highest)))
    return min(found)[-1] if found else None


def ordered(table: Table, column: Column, *, descending: bool) -> Table:
    """Give the rows by a column; those without a value come last either way, equals stay in the order they had."""
    present = [row for row in table.rows if _has(column.of(row))]
    absent = [row for row in table.rows if not _has(column.of(row))]
    present.sort(key=lambda row: _sort_key(column.of(row)), reverse=descending)
    return Table((*present, *absent), table.columns)


def best(table: Table, wanted: Goal, limit: int) -> Table:
    """Give the best rows, the best one first; those without a number are none of them where others have one."""
    found = [row for row in table.rows if _can_be_best(wanted.column.of(row))]
    # Beside numbers, a text ("diverged") and a truth value are no better or worse than they are.
    judged = [row for row in found if is_finite(wanted.column.of(row))] or found
    rows = ordered(Table(tuple(judged), ()), wanted.column, descending=wanted.highest).rows
    return Table(rows[:limit], table.columns)


def arranged(
    table: Table, *, sort: str | None = None, descending: bool = False, limit: int | None = None
) -> tuple[Table, Column | None]:
    """Give the rows in the order that was asked for, and the column that decided, None where they stay in job order.

    `sort` names a column, `-NAME` has the highest first, as has `descending`. With a `limit` these are the best rows
    alone; without a name it is the metric's own that tells which are best.

    Raises:
        BadInput: there is no such column, or no metric's name tells which rows are best.
    """
    if not table.rows or not (sort or limit):
        return table, None
    wanted = _wanted(table, sort, descending)
    if limit:
        return best(table, wanted, limit), wanted.column
    return ordered(table, wanted.column, descending=wanted.highest), wanted.column


def _wanted(table: Table, sort: str | None, descending: bool) -> Goal:
    if sort:
        if sort.startswith("-") and sort in {column.name for column in table.columns}:
            raise BadInput(
                f'"{sort}" is a column, and could mean "{sort[1:]}" with the highest first.',
                hint=words(Field.SORT(f"metrics.{sort}"), " or ", Field.SORT(f"-metrics.{sort}")),
            )
        column = table.find(sort.removeprefix("-"))
        return Goal(column, descending or sort.startswith("-"))
    by_name = goal(table)
    if by_name is None:
        raise BadInput(
            "no metric has a name that tells which rows are best.",
            hint=words(
                Field.SORT("NAME"),
                " takes the lowest first, ",
                Field.SORT("-NAME"),
                " the highest.",
            ),
        )
    return by_name


def with_columns(table: Table, names: Iterable[str]) -> Table:
    """Give the rows with these columns alone, in this order.

    Raises:
        BadInput: there is no such column.
    """
    return Table(table.rows, tuple(table.find(name) for name in names))


def _has(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _can_be_best(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_finite(value) if is_number else value is not None


def _sort_key(value: Any) -> tuple[int, Any]:
    if isinstance(value, int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, as_text(value))
