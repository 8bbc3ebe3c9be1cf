"""What was used: reading what is asked for, and the table in hours. Pure."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from orchestra.domain.errors import BadInput
from orchestra.domain.human import listed, one_line
from orchestra.domain.models.accounts import UsageKey, UsageRow, Used
from orchestra.domain.nearest import nearest
from orchestra.domain.quantities import parse_duration
from orchestra.domain.sheets import Sheet, SheetColumn

HOUR = 3600.0
GB_HOUR = 1e9 * HOUR
_DIGITS = 6
"""Decimals of hours in files: 3.6 ms."""


def parse_keys(text: str) -> tuple[UsageKey, ...]:
    """Read what to sum by: `user,month`.

    Raises:
        BadInput: it names nothing, something unknown, or something twice.
    """
    return check_keys(_key(word.strip()) for word in text.split(",") if word.strip())


def _key(word: str) -> UsageKey:
    try:
        return UsageKey(word.lower())
    except ValueError:
        known = [key.value for key in UsageKey]
        guess = nearest(word.removesuffix("s"), known)
        raise BadInput(
            f'usage cannot be summed by "{one_line(word)}".'
            + (f' Did you mean "{guess}"?' if guess else ""),
            hint=None if guess else f"It is summed by {listed(known, last='or')}, or several.",
            field="by",
        ) from None


def check_keys(by: Iterable[UsageKey]) -> tuple[UsageKey, ...]:
    """Return what to sum by.

    Raises:
        BadInput: it is nothing, or something twice.
    """
    keys = tuple(by)
    if not keys:
        known = listed([key.value for key in UsageKey], last="or")
        raise BadInput(f"usage is summed by {known}, or several of them.", field="by")
    for key in keys:
        if keys.count(key) > 1:
            raise BadInput(f'usage is to be summed by "{key}" twice.', field="by")
    return keys


def first_day(text: str, today: date | None = None) -> date:
    """Read the first day of a period: `2026-11-03`, `2026-11`, `2026`, or days before today: `30d`. Days are UTC's.

    Raises:
        BadInput: it is none of them.
    """
    return _day(text, today, lambda year, month: date(year, month or 1, 1))


def last_day(text: str, today: date | None = None) -> date:
    """Read the last day of a period: the same, and a month or a year is included.

    Raises:
        BadInput: it is none of them.
    """
    return _day(
        text, today, lambda year, month: date(year, month or 12, monthrange(year, month or 12)[1])
    )


def _day(text: str, today: date | None, of_month: Callable[[int, int | None], date]) -> date:
    try:
        if found := re.fullmatch(r"(\d{4})(?:-(\d{1,2}))?", text.strip(), re.ASCII):
            return of_month(int(found[1]), int(found[2]) if found[2] else None)
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip(), re.ASCII):
            return date.fromisoformat(text.strip())
        days = int(parse_duration(text) // 86400)
        return (today or datetime.now(UTC).date()) - timedelta(days=days)
    except (ValueError, BadInput):
        raise BadInput(
            f'"{one_line(text)}" is not a day.',
            hint="For example 2026-11-03, 2026-11, or 30d for the last 30 days.",
        ) from None


def check_period(since: date | None, until: date | None) -> None:
    """Check that a period has a day.

    Raises:
        BadInput: its last day is before its first.
    """
    if since and until and until < since:
        raise BadInput(f"the period ends on {until}, before it begins on {since}.", field="until")


def sheet(rows: Sequence[UsageRow], by: Sequence[UsageKey]) -> Sheet[UsageRow]:
    """Return a table in hours and GB hours, as files and JSON have it. A task has its number, too."""
    columns: list[SheetColumn[UsageRow]] = [SheetColumn(key.value, _of_key(key)) for key in by]
    if UsageKey.TASK in by:
        place = list(by).index(UsageKey.TASK)
        columns.insert(place, SheetColumn("task_id", lambda row: row.task_id, is_number=True))
    columns += [
        SheetColumn(name, lambda row, of=of: of(row.used), is_number=True)  # type: ignore[misc]
        for name, of in _FIGURES.items()
    ]
    return Sheet(tuple(rows), tuple(columns))


def _of_key(key: UsageKey) -> Callable[[UsageRow], str]:
    return lambda row: row.key(key)


def _hours(name: str, unit: float = HOUR) -> Callable[[Used], float]:
    return lambda used: round(getattr(used, name) / unit, _DIGITS)


_FIGURES: dict[str, Callable[[Used], float]] = {
    "jobs_done": lambda used: used.done,
    "attempts": lambda used: used.attempts,
    "attempts_failed": lambda used: used.failed,
    "attempts_lost": lambda used: used.lost,
    "hours": _hours("seconds"),
    "cpu_hours_requested": _hours("cpu_requested"),
    "cpu_hours_used": _hours("cpu_used"),
    "gpu_hours_requested": _hours("gpu_requested"),
    "gpu_hours_used": _hours("gpu_used"),
    "memory_gb_hours_requested": _hours("memory_requested", GB_HOUR),
    "memory_gb_hours_used": _hours("memory_used", GB_HOUR),
    "cpu_hours_failed": _hours("failed_cpu"),
    "gpu_hours_failed": _hours("failed_gpu"),
    "cpu_hours_lost": _hours("lost_cpu"),
    "gpu_hours_lost": _hours("lost_gpu"),
}


def hours(seconds: float, unit: float = HOUR) -> str:
    """Return hours for people: `0`, `0.012`, `3.4`, `1,208`."""
    value = seconds / unit
    if value < 5e-4:
        return "0" if value <= 0 else "< 0.001"
    if value < 0.0995:
        return f"{value:.3f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def hours_of_both(cpu: float, gpu: float) -> str:
    """Return CPU hours, and GPU hours where there are any: `1.5`, `1.5 + 0.2 GPU`."""
    return f"{hours(cpu)} + {hours(gpu)} GPU" if gpu > 0 else hours(cpu)
