"""The axis that shows some values, and the place of each on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from orchestra.domain import flat_values, human
from orchestra.domain.charts.models import Axis
from orchestra.domain.charts.scale import scale_of, short

CATEGORIES = 20
"""An axis of texts has at most so many."""
_NAME = 18
_TICKS = 8
_CLOSEST = 0.08
"""Ticks may not be closer than this share of the axis, or their numbers would overlap."""
_SPAN = 20
"""An axis of positive numbers is logarithmic if they span this factor or more, without the outer ones."""
_OUTER = 0.1
"""The share of numbers at each end that does not make an axis logarithmic: a few outliers, one accuracy near zero."""

LARGEST = 1e150
"""Numbers beyond it are not drawn; the squares of the others are finite."""

Key = tuple[int, Any]


def is_drawable(value: Any) -> bool:
    """Whether a value is a number that has a place on an axis."""
    return flat_values.is_finite(value) and abs(value) <= LARGEST


def key(value: Any) -> Key:
    """What tells a value from others and sorts it: numbers in their order, then texts. 1 and 1.0 are the same."""
    if is_drawable(value):
        return 0, float(value)
    return 1, flat_values.as_text(value)


def distinct(values: Sequence[Any]) -> list[Any]:
    """The different values in order, without None."""
    found = {key(value): value for value in reversed(values) if value is not None}
    return [found[each] for each in sorted(found)]


def of_numbers(label: str, values: Sequence[float]) -> Axis:
    """Return the axis of a metric or of a usage."""
    return Axis(human.one_line(label, 60), is_log=_span_decades(values))


def of_values(label: str, values: Sequence[Any]) -> tuple[Axis, Callable[[Any], float]] | None:
    """Return the axis of a value of configs, and the place of each value on it; None if there are too many texts.

    Numbers that span decades but include zero are categories, since no scale shows them well.
    """
    found = distinct(values)
    numeric = all(map(is_drawable, found))
    with_zero = numeric and _span_decades([value for value in found if value != 0]) and 0 in found
    if numeric and not (with_zero and len(found) <= CATEGORIES):
        axis = Axis(human.one_line(label, 60), is_log=_span_decades(found))
        return Axis(axis.label, axis.is_log, ticks=_ticks(found, is_log=axis.is_log)), float
    return of_categories(label, found) if len(found) <= CATEGORIES else None


def of_categories(label: str, found: Sequence[Any]) -> tuple[Axis, Callable[[Any], float]]:
    """Return an axis on which each of these values is a category."""
    places = {key(value): float(place) for place, value in enumerate(found)}
    return (
        Axis(human.one_line(label, 60), names=tuple(map(named, found))),
        lambda value: places[key(value)],
    )


def named(value: Any) -> str:
    """A value as the name of a category."""
    if is_drawable(value):
        return short(float(value))
    return human.one_line(flat_values.as_text(value), _NAME) or '""'


def _span_decades(values: Sequence[float]) -> bool:
    if not values or min(values) <= 1 / LARGEST:
        return False
    outer = int(len(values) * _OUTER)
    inner = sorted(values)[outer : len(values) - outer]
    return inner[-1] / _SPAN >= inner[0]


def _ticks(found: Sequence[float], *, is_log: bool) -> tuple[float, ...] | None:
    """Mark each value if there are few, and none too close to the next."""
    if len(found) > _TICKS:
        return None
    scale = scale_of(map(float, found), is_log=is_log)
    places = [scale.place(value) for value in found]
    apart = all(b - a >= _CLOSEST for a, b in pairwise(places))
    return tuple(map(float, found)) if apart else None
