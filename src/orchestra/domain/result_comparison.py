"""Results of several tasks side by side, matched by their configs. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestra.domain import result_query, result_ranking
from orchestra.domain.flat_values import is_finite
from orchestra.domain.goals import StatedGoal
from orchestra.domain.result_groups import order_key
from orchestra.domain.result_query import ResultQuery
from orchestra.domain.result_ranking import Goal
from orchestra.domain.results import CONFIG, JOB, Column, ColumnSource, Row, Table, table_of
from orchestra.domain.sheets import Sheet, SheetColumn

Match = tuple[Row | None, ...]
"""The rows of one config, one for each task; None where a task has none."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Results of several tasks, a row for each config.

    Args:
        sheet: all columns: the values of the configs, the jobs, the metrics with the difference, the configs' paths.
            A column of one task is `LABEL.NAME`.
        telling: the columns that people need: without values that all configs share, and without paths beside values.
        jobs: the names of the columns of jobs, in the order of the tasks.
        goal: the metric of which the difference to the first task is taken, None if nothing says which.
        matches: all rows, also those that a limit leaves out.
        changed: the number of configs that have one path in all tasks, but not the same values.
    """

    sheet: Sheet[Match]
    telling: tuple[SheetColumn[Match], ...]
    jobs: tuple[str, ...]
    goal: Goal | None
    matches: tuple[Match, ...]
    changed: int

    def alone(self, place: int) -> int:
        """The number of configs that only one task has a result for."""
        return sum(
            match[place] is not None and match.count(None) == len(match) - 1
            for match in self.matches
        )

    def better(self, place: int) -> tuple[int, int]:
        """The number of configs for which a task is better than the first one, and the number that can be compared."""
        if self.goal is None:
            return 0, 0
        found = [_difference(self.goal.column, place, match) for match in self.matches]
        sign = 1 if self.goal.highest else -1
        differences = [sign * each for each in found if each is not None]
        return sum(each > 0 for each in differences), len(differences)


def compared(
    tables: Sequence[Table], labels: Sequence[str], query: ResultQuery, stated: StatedGoal | None
) -> Comparison:
    """Compare the results of tasks, of which the first is the one that others are compared with.

    A row matches if the condition holds for one of its tasks. `columns` of the query are the metrics to show.

    Raises:
        BadInput: there is no such column, or nothing tells which rows are best.
    """
    every = table_of([row for table in tables for row in table.rows])
    kept = {id(row) for row in result_query.matching(every, query).rows}
    matches = tuple(
        match for match in matched(tables) if any(id(row) in kept for row in match if row)
    )
    if query.best and not query.sort and every.rows:
        goal: Goal | None = result_ranking.needed_goal(every, stated, query.highest)
    else:
        goal = result_ranking.goal(every, stated, highest=query.highest)
    sources = every.from_sources(ColumnSource.CONFIG, ColumnSource.BOTH)
    values, telling = _joined(_of_configs(column, labels, matches) for column in sources)
    paths, telling_paths = _of_configs(CONFIG, labels, matches)
    jobs = _by_task(JOB, labels)
    metrics = list(_metrics(every, labels, query.columns, goal))
    return Comparison(
        _arranged(Sheet(matches, (*values, *jobs, *metrics, *paths)), query, goal),
        (*(telling if values else telling_paths), *jobs, *metrics),
        tuple(column.name for column in jobs),
        goal,
        matches,
        sum(not all(_agree(column, match) for column in sources) for match in matches),
    )


def _joined(
    parts: Iterable[tuple[list[SheetColumn[Match]], list[SheetColumn[Match]]]],
) -> tuple[list[SheetColumn[Match]], list[SheetColumn[Match]]]:
    every: list[SheetColumn[Match]] = []
    telling: list[SheetColumn[Match]] = []
    for more, tell in parts:
        every += more
        telling += tell
    return every, telling


def matched(tables: Sequence[Table]) -> list[Match]:
    """Match rows whose configs have the same path and values, then the same values, then the same path.

    Of several rows with equal values, the first is matched with the first.
    """
    found: list[list[Row | None]] = []
    values = {id(row): _values_of(row) for table in tables for row in table.rows}

    def both(row: Row) -> Any:
        path, of_config = _path(row), values[id(row)]
        return None if path is None or of_config is None else (path, of_config)

    for place, table in enumerate(tables):
        rest: Sequence[Row] = table.rows
        for key_of in (both, lambda row: values[id(row)], _path):
            rest = _pair(found, place, rest, key_of)
        for row in rest:
            found.append([None] * len(tables))
            found[-1][place] = row
    return [tuple(each) for each in found]


def _pair(
    found: Sequence[list[Row | None]], place: int, rows: Sequence[Row], key_of: Callable[[Row], Any]
) -> list[Row]:
    """Add rows to what has been found, and return those without a match."""
    free: dict[Any, deque[list[Row | None]]] = defaultdict(deque)
    for match in found:
        if match[place] is None:
            free[key_of(next(filter(None, match)))].append(match)
    rest = []
    for row in rows:
        key = key_of(row)
        if key is not None and free.get(key):
            free[key].popleft()[place] = row
        else:
            rest.append(row)
    return rest


def _values_of(row: Row) -> Any:
    return tuple(sorted((name, order_key(value)) for name, value in row.values.items())) or None


def _path(row: Row) -> str | None:
    return row.config or None


def _of_configs(
    column: Column, labels: Sequence[str], matches: Sequence[Match]
) -> tuple[list[SheetColumn[Match]], list[SheetColumn[Match]]]:
    """Return the columns of a value of configs, and those of them that people need.

    The value is that of the first task that has the config; where tasks differ, it also stands for each of them.
    """
    common = SheetColumn(column.name, partial(_first, column))
    if not all(_agree(column, match) for match in matches):
        each = _by_task(column, labels)
        return [common, *each], each
    varies = len(matches) < 2 or len({order_key(common.of(match)) for match in matches}) > 1
    return [common], [common] if varies else []


def _agree(column: Column, match: Match) -> bool:
    first, *others = [column.of(row) for row in match if row is not None]
    return all(_same(first, other) for other in others)


def _same(one: Any, other: Any) -> bool:
    if type(one) is type(other) and one == other:
        return True  # nearly always, and cheaper
    return order_key(one) == order_key(other)


def _by_task(column: Column, labels: Sequence[str]) -> list[SheetColumn[Match]]:
    return [
        SheetColumn(f"{label}.{column.name}", partial(_of, column, place), is_job=column == JOB)
        for place, label in enumerate(labels)
    ]


def _metrics(
    every: Table, labels: Sequence[str], names: Sequence[str] | None, goal: Goal | None
) -> Iterator[SheetColumn[Match]]:
    """Yield the metrics of each task, that of the goal first, with its difference behind it."""
    if names is None:
        columns = every.from_sources(ColumnSource.METRICS)
    else:
        columns = [every.find(name) for name in names]
    if goal and names is None and goal.column in columns:
        columns.remove(goal.column)
        columns.insert(0, goal.column)
    for column in columns:
        yield from _by_task(column, labels)
        if goal and column == goal.column:
            for place, label in enumerate(labels[1:], 1):
                name = "diff" if len(labels) == 2 else f"{label}.diff"
                yield SheetColumn(name, partial(_difference, column, place), is_number=True)


def _of(column: Column, place: int, match: Match) -> Any:
    row = match[place]
    return None if row is None else column.of(row)


def _first(column: Column, match: Match) -> Any:
    return next((column.of(row) for row in match if row is not None), None)


def _difference(column: Column, place: int, match: Match) -> float | None:
    one, other = _of(column, 0, match), _of(column, place, match)
    return float(other) - float(one) if is_finite(one) and is_finite(other) else None


def _arranged(sheet: Sheet[Match], query: ResultQuery, goal: Goal | None) -> Sheet[Match]:
    if not sheet.rows or not (query.sort or query.best):
        return sheet
    of: Callable[[Match], Any]
    if query.sort:
        known = [column.name for column in sheet.columns]
        name, highest = result_ranking.sorted_by(query.sort, known, query.highest)
        of, descending = sheet.find(name).of, bool(highest)
    else:
        assert goal is not None  # a limit without any order is refused before
        of, descending = partial(_best, goal), goal.highest
    rows = result_ranking.ordered_by(sheet.rows, of, descending=descending)
    return Sheet(tuple(rows[: query.best]), sheet.columns)


def _best(goal: Goal, match: Match) -> Any:
    """The best value of any task."""
    values = [goal.column.of(row) for row in match if row is not None]
    numbers = [value for value in values if is_finite(value)]
    return (max if goal.highest else min)(numbers, default=None)
