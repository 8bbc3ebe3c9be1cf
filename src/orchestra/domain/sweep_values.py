"""The values that one name of a sweep takes: listed, in even steps, or drawn at random. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from orchestra.domain.errors import BadInput

LONGEST_FACTOR = 10_000_000
"""Values of one name: more is a slip of the pen."""
_DIGITS = 6
"""Significant digits of what is drawn at random, so that people can read it."""


def values(spec: Any, where: str) -> list[Any]:
    """Give the values that a list, or {range: ...}, {linspace: ...}, {geomspace: ...} stands for.

    Raises:
        BadInput: it is none of these; says where.
    """
    if isinstance(spec, list):
        if not spec:
            raise BadInput(f"{where}: the list is empty.")
        return spec
    if not isinstance(spec, Mapping) or len(spec) != 1 or next(iter(spec)) not in _SPACES:
        raise BadInput(
            f"{where}: needs a list, or one of {', '.join(_SPACES)}.",
            hint="[1, 2, 3], {range: [0, 10]} or {linspace: [0, 1, 5]}; what stays the same stands under base.",
        )
    kind, given = next(iter(spec.items()))
    numbers = _numbers(given, where, kind)
    try:
        made = _SPACES[kind](*numbers)
    except TypeError:
        raise BadInput(f"{where}: {kind} takes {_TAKES[kind]}.") from None
    except ValueError as error:
        raise BadInput(f"{where}: {kind}: {error}.") from None
    return made


def _numbers(given: Any, where: str, kind: str) -> list[Any]:
    wanted = given if isinstance(given, list) else [given]
    if not wanted or not all(_is_number(each) for each in wanted):
        raise BadInput(f"{where}: {kind} takes {_TAKES[kind]}.")
    return wanted


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _range(first: Any, stop: Any = None, step: Any = 1) -> list[Any]:
    if stop is None:
        first, stop = 0, first
    if step == 0:
        raise ValueError("the step cannot be 0")
    length = max(0, math.ceil((stop - first) / step - 1e-9))
    _check_length(length)
    return [_tidy(first + number * step) for number in range(length)]


def _linspace(first: Any, last: Any, number: Any) -> list[Any]:
    _check_length(number)
    if number == 1:
        return [first]
    return [_tidy(first + (last - first) * n / (number - 1)) for n in range(number)]


def _geomspace(first: Any, last: Any, number: Any) -> list[Any]:
    if first <= 0 or last <= 0:
        raise ValueError("both ends must be greater than 0")
    _check_length(number)
    step = math.log(last / first) / max(1, number - 1)
    return [_significant(first * math.exp(step * n), 10) for n in range(number)]


def _check_length(number: Any) -> None:
    if not is_whole(number) or number < 1:
        raise ValueError("that is no value at all")
    if number > LONGEST_FACTOR:
        raise ValueError(f"that is more than {LONGEST_FACTOR:,} values")


def _tidy(value: Any) -> Any:
    """0.30000000000000004 is 0.3."""
    return value if isinstance(value, int) else _significant(value, 12)


def _significant(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


_SPACES: Mapping[str, Callable[..., list[Any]]] = {
    "range": _range,
    "linspace": _linspace,
    "geomspace": _geomspace,
}


def draw(spec: Any, where: str) -> Callable[[Random], Any]:
    """Give what draws one value as a list, {uniform: ...} or another of the distributions says.

    Raises:
        BadInput: it is none; says where.
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
        return lambda dice: dice.choice(given)
    numbers = _numbers(given, where, kind)
    if len(numbers) != 2 or (kind == "integer" and not all(map(is_whole, numbers))):
        raise BadInput(f"{where}: {kind} takes {_TAKES[kind]}.")
    first, second = numbers
    if kind != "normal" and first > second:
        raise BadInput(f"{where}: {kind}: {first} is more than {second}.")
    if kind == "loguniform" and first <= 0:
        raise BadInput(f"{where}: loguniform: both ends must be greater than 0.")
    return lambda dice: _DRAWS[kind](dice, first, second)


def _uniform(dice: Random, first: float, last: float) -> float:
    return _significant(dice.uniform(first, last), _DIGITS)


def _loguniform(dice: Random, first: float, last: float) -> float:
    return _significant(math.exp(dice.uniform(math.log(first), math.log(last))), _DIGITS)


def _integer(dice: Random, first: int, last: int) -> int:
    return dice.randint(first, last)


def _normal(dice: Random, mean: float, deviation: float) -> float:
    return _significant(dice.gauss(mean, deviation), _DIGITS)


_DRAWS: Mapping[str, Callable[..., Any]] = {
    "uniform": _uniform,
    "loguniform": _loguniform,
    "integer": _integer,
    "normal": _normal,
}
_TAKES = {
    "range": "[first, stop] or [first, stop, step]; stop is not one of the values",
    "linspace": "[first, last, how many]",
    "geomspace": "[first, last, how many]",
    "uniform": "[lowest, highest]",
    "loguniform": "[lowest, highest]",
    "integer": "[lowest, highest], two whole numbers",
    "normal": "[mean, standard deviation]",
    "choice": "a list to choose from",
}
