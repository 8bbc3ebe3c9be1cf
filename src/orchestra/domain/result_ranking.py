"""Which rows of a table of results are best, by the name of a metric or a column. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from orchestra.domain.errors import BadInput
from orchestra.domain.flat_values import as_text, is_finite
from orchestra.domain.results import Column, ColumnSource, Table
from orchestra.domain.wording import Field, words

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
"""Words that decide at any place of a name: loss_dice is a loss, not a dice score."""
_NO_GOAL = frozenset({"std", "stderr", "var", "variance", "sigma", "uncertainty"})
_OF_TRAINING = frozenset({"train", "training"})


@dataclass(frozen=True, slots=True)
class Goal:
    """The column that decides which row is best, and whether the highest or the lowest value is best."""

    column: Column
    highest: bool


def direction(name: str) -> bool | None:
    """Whether the highest (True) or lowest (False) value of a metric with that name is best; None if unknown.

    `loss` and `error` mean the lowest at any place of the name; of other words the last one counts. Names that start
    with `neg`, like scikit-learn's neg_mean_squared_error, have an inverted sign and are not judged.
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
    """Choose the metric that decides which row is best by its name; None if no name says so.

    Scores (accuracy, auc, f1, score, ...) are preferred to losses (loss, error, ...), and other metrics to training
    metrics; then the first one in the files counts.
    """
    found = []
    for place, column in enumerate(table.from_sources(ColumnSource.METRICS, ColumnSource.BOTH)):
        highest = direction(column.key)
        if highest is not None and any(is_finite(column.of(row)) for row in table.rows):
            of_training = bool(_OF_TRAINING & set(_words(column.key)))
            found.append((not highest, of_training, place, Goal(column, highest)))
    return min(found)[-1] if found else None


def ordered(table: Table, column: Column, *, descending: bool) -> Table:
    """Sort the rows by a column. Rows without a value come last either way; the sort is stable."""
    present = [row for row in table.rows if _has(column.of(row))]
    absent = [row for row in table.rows if not _has(column.of(row))]
    present.sort(key=lambda row: _sort_key(column.of(row)), reverse=descending)
    return Table((*present, *absent), table.columns)


def best(table: Table, wanted: Goal, limit: int) -> Table:
    """Return the best rows, best first. Rows without a number are left out if others have one."""
    found = [row for row in table.rows if _can_be_best(wanted.column.of(row))]
    # A text ("diverged") or a boolean cannot be compared with numbers.
    judged = [row for row in found if is_finite(wanted.column.of(row))] or found
    rows = ordered(Table(tuple(judged), ()), wanted.column, descending=wanted.highest).rows
    return Table(rows[:limit], table.columns)


def arranged(
    table: Table, *, sort: str | None = None, descending: bool = False, limit: int | None = None
) -> tuple[Table, Column | None]:
    """Sort the rows as requested; return the table and the deciding column, None if they stay in job order.

    `sort` names a column; `-NAME` or `descending` puts the highest first. With a `limit`, only the best rows are
    returned; without `sort`, the name of a metric tells which are best.

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
                f'"{sort}" is a column, but could also mean "{sort[1:]}", highest first.',
                hint=words(Field.SORT(f"metrics.{sort}"), " or ", Field.SORT(f"-metrics.{sort}")),
            )
        column = table.find(sort.removeprefix("-"))
        return Goal(column, descending or sort.startswith("-"))
    by_name = goal(table)
    if by_name is None:
        raise BadInput(
            "no metric's name tells which rows are best.",
            hint=words(
                Field.SORT("NAME"),
                " puts the lowest first, ",
                Field.SORT("-NAME"),
                " the highest.",
            ),
        )
    return by_name


def _has(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _can_be_best(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_finite(value) if is_number else value is not None


def _sort_key(value: Any) -> tuple[int, Any]:
    if isinstance(value, int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, as_text(value))
