"""Sweeps: from a few lines that say what varies to the points, their names and their configs. Pure.

A sweep is a product of factors, each a tuple of points; a point gives values to names. `optimizer.lr` is a value within
`optimizer`.
"""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from orchestra.domain.errors import BadInput
from orchestra.domain.human import listed
from orchestra.domain.nearest import nearest
from orchestra.domain.results import as_text, flatten

Point = Mapping[str, Any]
FORMATS = ("json", "yaml")
LONGEST_FACTOR = 10_000_000
"""Values of one name: more is a slip of the pen."""
_NAME_LENGTH = 120
_VALUE_LENGTH = 24
_DIGITS = 6
"""Significant digits of what is drawn at random, so that people can read it."""

_SECTIONS = ("base", "grid", "list", "zip", "random", "template", "format")
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}\s][^{}]*?)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What varies and what stays. `template` is a file of the user's own with {{placeholders}}, as it was written."""

    factors: tuple[tuple[Point, ...], ...]
    base: Mapping[str, Any] = field(default_factory=dict)
    template: str | None = None
    format: str = "json"

    @property
    def points(self) -> int:
        return math.prod(len(factor) for factor in self.factors)

    def names(self) -> list[str]:
        """Give the names that vary, in the order of the file."""
        return list(dict.fromkeys(n for factor in self.factors for point in factor for n in point))

    def __iter__(self) -> Iterator[Point]:
        """Give the points; the last factor varies fastest."""
        for parts in itertools.product(*self.factors):
            yield {name: value for part in parts for name, value in part.items()}

    def config(self, point: Point) -> dict[str, Any]:
        """Give the config of a point: the base with the point's values.

        Raises:
            BadInput: a value would have to stand within something that is no mapping.
        """
        made = copy.deepcopy(dict(self.base))
        for name, value in point.items():
            _put(made, name, value)
        return made


def _put(config: dict[str, Any], name: str, value: Any) -> None:
    place: Any = config
    *folders, last = name.split(".")
    for depth, folder in enumerate(folders, 1):
        place = place.setdefault(folder, {})
        if not isinstance(place, dict):
            raise BadInput(
                f'"{".".join(folders[:depth])}" is a value, so "{name}" cannot stand in it.'
            )
    place[last] = copy.deepcopy(value) if isinstance(value, dict | list) else value


# Reading


def parse(found: Any, where: str) -> Sweep:
    """Give the sweep that a file describes; `where` is the file's name, for errors.

    Raises:
        BadInput: one sentence on what is wrong with it.
    """
    if not isinstance(found, Mapping):
        raise BadInput(f"{where} has no sections.", hint=f"It has some of: {', '.join(_SECTIONS)}.")
    for name in found:
        if name not in _SECTIONS:
            raise _unknown_section(str(name), where)
    factors = [f for name in found if name in _READERS for f in _READERS[name](found[name], where)]
    if not factors:
        raise BadInput(
            f"{where} varies nothing.", hint="grid, list, zip or random says what varies."
        )
    _refuse_twice(factors, where)
    sweep = Sweep(
        tuple(factors),
        _mapping(found.get("base") or {}, "base", where),
        _text(found.get("template"), "template", where),
        _format(found.get("format", "json"), where),
    )
    sweep.config(next(iter(sweep)))
    return sweep


def _unknown_section(name: str, where: str) -> BadInput:
    guess = nearest(name, list(_SECTIONS))
    question = f' Did you mean "{guess}"?' if guess else ""
    return BadInput(
        f'{where} has a section "{name}", which sweeps do not know.{question}',
        hint=f"They know: {', '.join(_SECTIONS)}. What varies stands under grid, what stays under base.",
    )


def _mapping(found: Any, section: str, where: str) -> dict[str, Any]:
    if not isinstance(found, Mapping):
        raise BadInput(f"{where}: {section} must have names with values.")
    return {str(name): value for name, value in found.items()}


def _text(found: Any, section: str, where: str) -> str | None:
    if found is None or isinstance(found, str):
        return found
    raise BadInput(f"{where}: {section} must be the name of a file.")


def _format(found: Any, where: str) -> str:
    if found not in FORMATS:
        raise BadInput(f"{where}: format must be json or yaml, not {as_text(found)}.")
    return str(found)


def _refuse_twice(factors: Sequence[Sequence[Point]], where: str) -> None:
    seen: set[str] = set()
    for factor in factors:
        names = {name for point in factor for name in point}
        if twice := sorted(seen & names):
            raise BadInput(f'{where}: "{twice[0]}" varies twice.', hint="One section may vary it.")
        seen |= names


def _grid(found: Any, where: str) -> Iterator[tuple[Point, ...]]:
    for name, spec in _mapping(found, "grid", where).items():
        yield tuple({name: value} for value in _values(spec, f"{where}: grid: {name}"))


def _list(found: Any, where: str) -> Iterator[tuple[Point, ...]]:
    if not isinstance(found, list) or not found:
        raise BadInput(f"{where}: list must be a list of points.", hint="- {lr: 0.1, depth: 3}")
    for number, point in enumerate(found, 1):
        if not isinstance(point, Mapping) or not point:
            raise BadInput(f"{where}: list: point {number} must have names with values.")
    yield tuple(flatten(point) for point in found)


def _zip(found: Any, where: str) -> Iterator[tuple[Point, ...]]:
    columns = {
        name: _values(spec, f"{where}: zip: {name}")
        for name, spec in _mapping(found, "zip", where).items()
    }
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        told = listed([f"{name} has {length}" for name, length in lengths.items()])
        raise BadInput(f"{where}: zip: the lists must be of one length, but {told}.")
    if columns:
        yield tuple(
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        )


def _random(found: Any, where: str) -> Iterator[tuple[Point, ...]]:
    section = _mapping(found, "random", where)
    for name in section:
        if name not in ("points", "seed", "values"):
            raise BadInput(
                f'{where}: random has "{name}", which is not one of points, seed, values.',
                hint="What varies stands under values.",
            )
    points: Any = section.get("points")
    seed: Any = section.get("seed", 0)
    if not _whole(points) or not 1 <= points <= LONGEST_FACTOR:
        raise BadInput(f"{where}: random needs points, a whole number from 1 on.")
    if not _whole(seed):
        raise BadInput(f"{where}: random: seed must be a whole number.")
    draws = {
        name: _draw(spec, f"{where}: random: {name}")
        for name, spec in _mapping(section.get("values") or {}, "random: values", where).items()
    }
    if not draws:
        raise BadInput(
            f"{where}: random has no values.", hint="values: {lr: {loguniform: [1e-5, 0.1]}}"
        )
    dice = Random(seed)  # noqa: S311 - the same each time is what is wanted
    yield tuple({name: draw(dice) for name, draw in draws.items()} for _ in range(points))


_READERS: Mapping[str, Callable[[Any, str], Iterator[tuple[Point, ...]]]] = {
    "grid": _grid,
    "list": _list,
    "zip": _zip,
    "random": _random,
}


# Values of one name


def _values(spec: Any, where: str) -> list[Any]:
    """Give the values that a list, or {range: ...}, {linspace: ...}, {geomspace: ...} stands for."""
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


def _whole(value: Any) -> bool:
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
    if not _whole(number) or number < 1:
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


# Values at random


def _draw(spec: Any, where: str) -> Callable[[Random], Any]:
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
    if len(numbers) != 2 or (kind == "integer" and not all(map(_whole, numbers))):
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


# Names of files


def labels(names: Sequence[str]) -> dict[str, str]:
    """Give each name as it stands in the names of files: its last part, where no other ends alike."""
    last = [name.rpartition(".")[2] for name in names]
    return {
        name: _clean(short if last.count(short) == 1 else name)
        for name, short in zip(names, last, strict=True)
    }


def file_name(number: int, points: int, point: Point, short: Mapping[str, str]) -> str:
    """Give the name of a point's config without its ending: `07_lr=0.1_depth=3`. Names sort as the points do."""
    name = f"{number:0{len(str(points - 1))}}"
    for key, value in point.items():
        part = f"_{short[key]}={_clean(_value_words(value))[:_VALUE_LENGTH]}"
        if len(name) + len(part) > _NAME_LENGTH:
            break
        name += part
    return name


def _value_words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return "x".join(map(_value_words, value))
    return "null" if value is None else as_text(value)


def _clean(text: str) -> str:
    sign = "-" if re.match(r"-[0-9.]", text) else ""
    return sign + re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip("-.") or "-"


# Templates


def placeholders(template: str) -> set[str]:
    """Give the names that stand in {{...}} in a template."""
    return {match[1] for match in _PLACEHOLDER.finditer(template)}


def fill(template: str, config: Mapping[str, Any], where: str) -> str:
    """Give a template with the config's values in place of {{name}}; a list is written as JSON.

    Raises:
        BadInput: the config has no such value; says on which line.
    """
    values = flatten(config)

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            line = template.count("\n", 0, match.start()) + 1
            guess = nearest(name, list(values))
            question = f' Did you mean "{guess}"?' if guess else ""
            raise BadInput(
                f"{where}, line {line}: the sweep has no value for {{{{{name}}}}}.{question}"
            )
        return "null" if values[name] is None else as_text(values[name])

    return _PLACEHOLDER.sub(value_of, template)
