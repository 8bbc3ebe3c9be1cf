"""The CPU or GPU hours of each user over months or days, as a chart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date

from orchestra.domain.accounting import HOUR
from orchestra.domain.charts.build import SERIES
from orchestra.domain.charts.models import Axis, Mean, Series, Spread
from orchestra.domain.models.accounts import UsageKey, UsageRow

_OTHERS = "others"


def over_time(rows: Sequence[UsageRow], over: UsageKey, times: Sequence[str]) -> list[Spread]:
    """Return a chart of CPU hours and one of GPU hours, each if there are any, with a line for each user.

    Args:
        rows: the usage by user and `over`.
        times: the days or months of the axis, in order.
    """
    charts = []
    for unit, figure in (("CPU", "cpu_requested"), ("GPU", "gpu_requested")):
        hours: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(times, 0.0))
        for row in rows:
            hours[row.key(UsageKey.USER)][row.key(over)] += getattr(row.used, figure) / HOUR
        users = [user for user, each in hours.items() if sum(each.values()) > 0]
        most = sorted(users, key=lambda user: (-sum(hours[user].values()), user))
        if most:
            charts.append(_chart(unit, over, times, {user: hours[user] for user in most}))
    return charts


def every(over: UsageKey, found: Collection[str]) -> list[str]:
    """Return all days or months from the first to the last of those that were found."""
    if not found:
        return []
    first, last = (date.fromisoformat(f"{at}-01"[:10]) for at in (min(found), max(found)))
    days = (date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1))
    shape = "%Y-%m-%d" if over is UsageKey.DAY else "%Y-%m"
    return list(dict.fromkeys(f"{day:{shape}}" for day in days))


def _labels(times: Sequence[str]) -> tuple[str, ...]:
    """Leave out the year of days that are all of the same."""
    is_one_year = len({time[:4] for time in times}) == 1 and all(len(time) > 7 for time in times)
    return tuple(time[5:] if is_one_year else time for time in times)


def _chart(
    unit: str, over: UsageKey, times: Sequence[str], hours: dict[str, dict[str, float]]
) -> Spread:
    named = dict(list(hours.items())[: SERIES - 1] if len(hours) > SERIES else hours)
    rest = [each for user, each in hours.items() if user not in named]
    if rest:
        named[_OTHERS] = {time: sum(each[time] for each in rest) for time in times}
    series = tuple(
        Series(user, tuple(Mean(place, each[time], 0.0, 1) for place, time in enumerate(times)))
        for user, each in named.items()
    )
    return Spread(
        f"{unit} hours requested by {over.value}",
        f"{unit} slots that jobs held, for as long as they ran.",
        Axis(over.value, names=_labels(times)),
        Axis(f"{unit} hours"),
        series,
    )
