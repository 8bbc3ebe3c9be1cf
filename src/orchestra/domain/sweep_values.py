"""The values of one name of a sweep: listed, evenly spaced, or drawn at random. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from random import Random
from typing import Any

from orchestra.domain import config_values
from orchestra.domain.errors import BadInput

LONGEST_FACTOR = 1_000_000
"""The most values of one name, and of all names together; more are probably a mistake."""
_DIGITS = 6
"""Significant digits of random values, for readability; more if the interval is narrow."""
_SPACED_DIGITS = 10
_ALL_DIGITS = 17
_FARTHEST = 40
"""Standard deviations from the mean that no draw exceeds."""


def values(name: str, spec: Any, section: str) -> list[Any]:
    """Return the values that a list, {range: ...}, {linspace: ...} or {geomspace: ...} describes.

    Raises:
        BadInput: it is none of these; the message says where.
    """
    where = f"{section}: {name}"
    if isinstance(spec, list):
        if not spec:
            raise BadInput(f"{where}: the list is empty.")
        return [config_values.plain(value, where) for value in spec]
    if not isinstance(spec, Mapping) or len(spec) != 1 or next(iter(spec)) not in _SPACES:
        raise BadInput(
            f"{where}: needs a list, or one of {', '.join(_SPACES)}.",
            hint=_hint(name, spec),
        )
    kind, given = next(iter(spec.items()))
    numbers = _numbers(given, where, kind)
    try:
        made = _SPACES[kind](*numbers)
    except TypeError:
        raise BadInput(f"{where}: {kind} takes {_TAKES[kind]}.") from None
    except OverflowError:
        raise BadInput(f"{where}: {kind}: the numbers are too large.") from None
    except ValueError as error:
        raise BadInput(f"{where}: {kind}: {error}.") from None
    return made


def _hint(name: str, spec: Any) -> str:
    if isinstance(spec, Mapping) and spec:
        return f'Write a nested value with a dot: "{name}.{next(iter(spec))}": [1, 2, 3]'
    return "[1, 2, 3], {range: [0, 10]} or {linspace: [0, 1, 5]}; put constant values under base."


def _numbers(given: Any, where: str, kind: str) -> list[Any]:
    wanted = given if isinstance(given, list) else [given]
    if not wanted or not all(_is_number(each) for each in wanted):
        raise BadInput(f"{where}: {kind} takes {_TAKES[kind]}.")
    return wanted


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return is_whole(value)


def is_whole(value: Any) -> bool:
    """Whether a value is an integer; true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _range(first: Any, stop: Any = None, step: Any = 1) -> list[Any]:
    if stop is None:
        first, stop = 0, first
    if step == 0:
        raise ValueError("the step cannot be 0")
    begin, by = _typed(first), _typed(step)
    length = max(0, math.ceil((_typed(stop) - begin) / by))
    _check_length(length)
    whole = is_whole(first) and is_whole(step)
    return [_number(begin + by * number, whole=whole) for number in range(length)]


def _linspace(first: Any, last: Any, number: Any) -> list[Any]:
    _check_length(number)
    if number == 1:
        return [first]
    begin, by = _typed(first), (_typed(last) - _typed(first)) / (number - 1)
    whole = is_whole(first) and is_whole(last) and by.denominator == 1
    return [_number(begin + by * n, whole=whole) for n in range(number)]


def _geomspace(first: Any, last: Any, number: Any) -> list[Any]:
    if first <= 0 or last <= 0:
        raise ValueError("both ends must be greater than 0")
    _check_length(number)
    if number == 1:
        return [first]
    low, high = _interval(first, last)
    begin, by = math.log(first), (math.log(last) - math.log(first)) / (number - 1)
    inner = [
        _within(math.exp(begin + by * n), low, high, _SPACED_DIGITS) for n in range(1, number - 1)
    ]
    if is_whole(first) and is_whole(last) and all(each.is_integer() for each in inner):
        return [first, *map(int, inner), last]
    return [float(first), *inner, float(last)]


def _typed(value: Any) -> Fraction:
    """The exact number as typed: 0.1 is a tenth, so that ten steps of it are 1."""
    return Fraction(repr(value))


def _number(exact: Fraction, *, whole: bool) -> Any:
    return int(exact) if whole else float(exact)


def _check_length(number: Any) -> None:
    if not is_whole(number):
        raise TypeError
    if number < 1:
        raise ValueError("that makes no value")
    if number > LONGEST_FACTOR:
        raise ValueError(f"that is more than {LONGEST_FACTOR:,} values")


def _interval(one: Any, other: Any) -> tuple[float, float]:
    """Return the smallest and largest float between two numbers, which may be integers without an equal float."""
    low, high = sorted((one, other))
    lowest, highest = float(low), float(high)
    if lowest < low:
        lowest = math.nextafter(lowest, math.inf)
    if highest > high:
        highest = math.nextafter(highest, -math.inf)
    if lowest > highest or not math.isfinite(highest - lowest):
        raise OverflowError
    return lowest, highest


def _within(value: float, low: float, high: float, digits: int) -> float:
    """Round a value to so many significant digits, or more if the interval needs them, and clamp it to the interval."""
    return min(max(_significant(value, _digits(high - low, max(-low, high), digits)), low), high)


def _digits(width: float, largest: float, digits: int) -> int:
    """Increase the digits if values that differ by a millionth of `width` would look the same."""
    ratio = largest / width if width > 0 else math.inf
    if not math.isfinite(ratio):
        return _ALL_DIGITS
    more = math.floor(math.log10(ratio)) if ratio > 1 else 0
    return min(digits + more, _ALL_DIGITS)


def _significant(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


_SPACES: Mapping[str, Callable[..., list[Any]]] = {
    "range": _range,
    "linspace": _linspace,
    "geomspace": _geomspace,
}


def draw(spec: Any, where: str) -> Callable[[Random], Any]:
    """Return a function that draws one value from a list, {uniform: ...} or another distribution.

    Raises:
        BadInput: it is neither; the message says where.
    """
    if isinstance(spec, list):
        spec = {"choice": spec}
    if (
        not isinstance(spec, Mapping)
        or len(spec) != 1
        or next(iter(spec)) not in (*_DRAWS, "choice")
    ):
        raise BadInput(
            f"{where}: needs a list to choose from, or one of {', '.join(_DRAWS)}.",
            hint="{uniform: [0, 1]} or {loguniform: [1e-5, 0.1]}",
        )
    kind, given = next(iter(spec.items()))
    if kind == "choice":
        if not isinstance(given, list) or not given:
            raise BadInput(f"{where}: choice takes {_TAKES[kind]}.")
        choices = [config_values.plain(value, where) for value in given]
        return lambda rng: rng.choice(choices)
    first, second = _two_numbers(given, where, kind)
    try:
        return _DRAWS[kind](first, second)
    except ValueError as error:
        raise BadInput(f"{where}: {kind}: {error}.") from None
    except OverflowError:
        raise BadInput(
            f"{where}: {kind}: no number can be drawn between {first} and {second}."
        ) from None


def _two_numbers(given: Any, where: str, kind: str) -> list[Any]:
    numbers = _numbers(given, where, kind)
    if len(numbers) != 2 or (kind == "integer" and not all(map(is_whole, numbers))):
        raise BadInput(f"{where}: {kind} takes {_TAKES[kind]}.")
    return numbers


def _check_order(first: Any, last: Any) -> None:
    if first > last:
        raise ValueError(f"{first} is more than {last}")


def _uniform(first: Any, last: Any) -> Callable[[Random], float]:
    _check_order(first, last)
    low, high = _interval(first, last)
    return lambda rng: _within(rng.uniform(low, high), low, high, _DIGITS)


def _loguniform(first: Any, last: Any) -> Callable[[Random], float]:
    _check_order(first, last)
    if first <= 0:
        raise ValueError("both ends must be greater than 0")
    low, high = _interval(first, last)
    least, most = math.log(low), math.log(high)
    return lambda rng: _within(math.exp(rng.uniform(least, most)), low, high, _DIGITS)


def _integer(first: int, last: int) -> Callable[[Random], int]:
    _check_order(first, last)
    return lambda rng: rng.randint(first, last)


def _normal(mean: Any, deviation: Any) -> Callable[[Random], float]:
    if deviation < 0:
        raise ValueError(f"the standard deviation {deviation} is less than 0")
    centre, width = float(mean), float(deviation)
    if not math.isfinite(abs(centre) + _FARTHEST * width):
        raise ValueError("the numbers are too large")
    digits = _digits(width, abs(centre), _DIGITS)
    return lambda rng: _significant(rng.gauss(centre, width), digits)


_DRAWS: Mapping[str, Callable[[Any, Any], Callable[[Random], Any]]] = {
    "uniform": _uniform,
    "loguniform": _loguniform,
    "integer": _integer,
    "normal": _normal,
}
_TAKES = {
    "range": "[first, stop] or [first, stop, step]; stop is not included",
    "linspace": "[first, last, how many], of which the third is a whole number",
    "geomspace": "[first, last, how many], of which the third is a whole number",
    "uniform": "[lowest, highest]",
    "loguniform": "[lowest, highest]",
    "integer": "[lowest, highest], two whole numbers",
    "normal": "[mean, standard deviation]",
    "choice": "a list to choose from",
}
