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
"""Words that decide wherever they stand: loss_dice is a loss, not a dice score."""
_NO_GOAL = frozenset({"std", "stderr", "var", "variance", "sigma", "uncertainty"})
_OF_TRAINING = frozenset({"train", "training"})


@dataclass(frozen=True, slots=True)
class Goal:
    """The metric by which one row is better than another, and whether the highest or the lowest is best."""

    column: Column
    highest: bool


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


def _has(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _can_be_best(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_finite(value) if is_number else value is not None


def _sort_key(value: Any) -> tuple[int, Any]:
    if isinstance(value, int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, as_text(value))
