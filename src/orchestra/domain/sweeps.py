"""Sweeps: a short description of what varies, expanded into points and their configs. Pure.

A sweep is the product of factors. A factor is a tuple of points, a point assigns values to names. `optimizer.lr` is a
value in `optimizer`.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from orchestra.domain import config_values, sweep_values
from orchestra.domain.errors import BadInput
from orchestra.domain.flat_values import as_text
from orchestra.domain.human import listed
from orchestra.domain.nearest import nearest

Point = Mapping[str, Any]
FORMATS = ("json", "yaml")
_SECTIONS = ("base", "grid", "list", "zip", "random", "template", "format")


@dataclass(frozen=True, slots=True)
class Sweep:
    """What varies and what is constant. `template` is the path of a user's file with {{placeholders}}, as given."""

    factors: tuple[tuple[Point, ...], ...]
    base: Mapping[str, Any] = field(default_factory=dict)
    template: str | None = None
    format: str = "json"

    @property
    def points(self) -> int:
        return math.prod(len(factor) for factor in self.factors)

    def names(self) -> list[str]:
        """The names that vary, in the order of the file."""
        return list(dict.fromkeys(n for factor in self.factors for point in factor for n in point))

    def __iter__(self) -> Iterator[Point]:
        """Yield the points; the last factor varies fastest."""
        for parts in itertools.product(*self.factors):
            yield {name: value for part in parts for name, value in part.items()}

    def config(self, point: Point) -> dict[str, Any]:
        """Return the config of a point: the base with the point's values."""
        made = copy.deepcopy(dict(self.base))
        for name, value in point.items():
            _set_value(made, name, value)
        return made

    def first_not_finite(self) -> str | None:
        """The name of a value that is infinite or NaN, if there is one."""
        named = [
            (name, value) for factor in self.factors for p in factor for name, value in p.items()
        ]
        found = (
            name for name, value in (*self.base.items(), *named) if config_values.not_finite(value)
        )
        return next(found, None)


def _set_value(config: dict[str, Any], name: str, value: Any) -> None:
    *folders, last = name.split(".")
    place = config
    for folder in folders:
        place = place.setdefault(folder, {})
    place[last] = copy.deepcopy(value) if isinstance(value, dict | list) else value


# Parsing


def parse(found: Any, where: str) -> Sweep:
    """Parse the contents of a sweep's file; `where` is its name, for errors.

    Raises:
        BadInput: it is not valid; one sentence says why.
    """
    if not isinstance(found, Mapping):
        raise BadInput(
            f"{where} has no sections.", hint=f"Possible sections: {', '.join(_SECTIONS)}."
        )
    for name in found:
        if name not in _SECTIONS:
            raise _unknown_section(str(name), where)
    factors = _factors(found, where)
    if not factors:
        raise BadInput(
            f"{where} varies nothing.", hint="Use grid, list, zip or random to say what varies."
        )
    base = config_values.nested(_section(found.get("base"), "base", where), f"{where}: base")
    _refuse_twice(factors, where)
    _refuse_beside_base(factors, base, where)
    return Sweep(
        tuple(factors),
        base,
        _text(found.get("template"), "template", where),
        _format(found.get("format", "json"), where),
    )


def _factors(found: Mapping[str, Any], where: str) -> list[tuple[Point, ...]]:
    """Read what varies. All of it together has at most as many values as one name may have."""
    factors: list[tuple[Point, ...]] = []
    for factor in (
        f for name in found if name in _READERS for f in _READERS[name](found[name], where)
    ):
        factors.append(factor)
        if sum(map(len, factors)) > sweep_values.LONGEST_FACTOR:
            raise BadInput(f"{where} lists more than {sweep_values.LONGEST_FACTOR:,} values.")
    return factors


def _unknown_section(name: str, where: str) -> BadInput:
    guess = nearest(name, list(_SECTIONS))
    question = f' Did you mean "{guess}"?' if guess else ""
    return BadInput(
        f'{where} has an unknown section "{name}".{question}',
        hint=f"Known: {', '.join(_SECTIONS)}. Put what varies under grid, and constant values under base.",
    )


def _mapping(found: Any, section: str, where: str) -> dict[str, Any]:
    if not isinstance(found, Mapping):
        raise BadInput(f"{where}: {section} must have names with values.")
    made: dict[str, Any] = {}
    for key, value in found.items():
        name = str(key)
        config_values.check_name(name, f"{where}: {section}")
        if name in made:
            raise BadInput(f'{where}: {section}: "{name}" is given twice.')
        made[name] = value
    return made


def _section(found: Any, section: str, where: str) -> dict[str, Any]:
    """Read a section that may be missing or empty."""
    return {} if found is None else _mapping(found, section, where)


def _text(found: Any, section: str, where: str) -> str | None:
    if found is None or isinstance(found, str):
        return found
    raise BadInput(f"{where}: {section} must be the name of a file.")


def _format(found: Any, where: str) -> str:
    if found not in FORMATS:
        raise BadInput(f"{where}: format must be json or yaml, not {as_text(found)}.")
    return str(found)


def _refuse_twice(factors: Sequence[Sequence[Point]], where: str) -> None:
    """Refuse a name that varies twice, or together with a value in it."""
    of: dict[str, int] = {}
    for number, factor in enumerate(factors):
        for names in {tuple(point) for point in factor}:
            _refuse_parents(set(names), names, where)
            for name in names:
                if of.setdefault(name, number) != number:
                    raise BadInput(
                        f'{where}: "{name}" varies twice.', hint="Vary it in one section only."
                    )
    for name, number in of.items():
        _refuse_parents(
            {each for each in config_values.parents(name) if of.get(each, number) != number},
            (name,),
            where,
        )


def _refuse_parents(of: set[str], names: Sequence[str], where: str) -> None:
    for name in names:
        for parent in config_values.parents(name):
            if parent in of:
                raise BadInput(
                    f'{where}: both "{parent}" and "{name}" in it vary.',
                    hint=f'Vary either the values in "{parent}" or "{parent}" as a whole.',
                )


def _refuse_beside_base(
    factors: Sequence[Sequence[Point]], base: Mapping[str, Any], where: str
) -> None:
    """Refuse names that would be inside a value of the base, or would replace a mapping in it."""
    for name in dict.fromkeys(n for factor in factors for point in factor for n in point):
        place: Any = base
        *folders, last = name.split(".")
        for depth, folder in enumerate(folders, 1):
            place = place.get(folder, {})
            if not isinstance(place, Mapping):
                parent = ".".join(folders[:depth])
                raise BadInput(f'{where}: "{parent}" is a value, so "{name}" cannot be inside it.')
        lost = place.get(last)
        if isinstance(lost, Mapping) and lost:
            within = f"{name}.{next(iter(lost))}"
            raise BadInput(
                f'{where}: "{name}" varies as a whole, but base has "{within}" in it.',
                hint=f'Vary the values in it, for example "{within}": [...]',
            )


def _grid(found: Any, where: str) -> Iterator[tuple[Point, ...]]:
    for name, spec in _section(found, "grid", where).items():
        yield tuple({name: value} for value in sweep_values.values(name, spec, f"{where}: grid"))


def _list(found: Any, where: str) -> Iterator[tuple[Point, ...]]:
    if not isinstance(found, list) or not found:
        raise BadInput(f"{where}: list must be a list of points.", hint="- {lr: 0.1, depth: 3}")
    for number, point in enumerate(found, 1):
        if not isinstance(point, Mapping) or not point:
            raise BadInput(f"{where}: list: point {number} must have names with values.")
    yield tuple(_point(point, f"{where}: list: point {n}") for n, point in enumerate(found, 1))


def _point(found: Mapping[str, Any], where: str) -> Point:
    point = {}
    for name, value in config_values.leaves(config_values.nested(found, where)):
        config_values.check_name(name, where)  # nesting made it longer
        point[name] = value
    return point


def _zip(found: Any, where: str) -> Iterator[tuple[Point, ...]]:
    columns = {
        name: sweep_values.values(name, spec, f"{where}: zip")
        for name, spec in _section(found, "zip", where).items()
    }
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        found = listed([f"{name} has {length}" for name, length in lengths.items()])
        raise BadInput(f"{where}: zip: the lists must have the same length, but {found}.")
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
                hint="Put what varies under values.",
            )
    points: Any = section.get("points")
    seed: Any = section.get("seed", 0)
    if not sweep_values.is_whole(points) or points < 1:
        raise BadInput(f"{where}: random needs points, an integer of at least 1.")
    if not sweep_values.is_whole(seed):
        raise BadInput(f"{where}: random: seed must be an integer.")
    draws = {
        name: sweep_values.draw(spec, f"{where}: random: {name}")
        for name, spec in _section(section.get("values"), "random: values", where).items()
    }
    if not draws:
        raise BadInput(
            f"{where}: random has no values.", hint="values: {lr: {loguniform: [1e-5, 0.1]}}"
        )
    if points * len(draws) > sweep_values.LONGEST_FACTOR:
        raise BadInput(
            f"{where}: random: {points:,} points of {len(draws)} values each are more than "
            f"{sweep_values.LONGEST_FACTOR:,} values."
        )
    dice = Random(seed)  # noqa: S311 - reproducible on purpose
    yield tuple({name: draw(dice) for name, draw in draws.items()} for _ in range(points))


_READERS: Mapping[str, Callable[[Any, str], Iterator[tuple[Point, ...]]]] = {
    "grid": _grid,
    "list": _list,
    "zip": _zip,
    "random": _random,
}
