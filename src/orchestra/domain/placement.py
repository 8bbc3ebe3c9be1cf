"""Which nodes a task may use: conditions on labels, and names of nodes. Pure.

    condition    gpu=a100      gpu!=t4      memory>=64GB      cores>16      ssd (has this label)
    several      gpu=a100,rack=3  (all hold; also &)          gpu=a100|h100, gpu=a100|memory>=64GB  (one holds)

`gpu!=t4|k80` is neither of them; a label that a node lacks is none of them, and meets no other condition. A GPU is
named by words of its model, with or without dashes: `a100`, `rtx3090` and `rtx-3090` match `geforce-rtx-3090`. Other
labels are compared as a whole, and all without regard to case.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from orchestra.domain import labels as label_rules
from orchestra.domain.errors import BadInput, about
from orchestra.domain.human import one_line
from orchestra.domain.labels import AMOUNTS, SIZES, labels_of
from orchestra.domain.models.placement import Placement
from orchestra.domain.naming import check_node_name
from orchestra.domain.node_ranges import MOST as MOST_NODES
from orchestra.domain.node_ranges import expand
from orchestra.domain.quantities import parse_size

__all__ = ["Comparison", "Constraint", "admits", "labels_of", "parse"]

LONGEST = 1_000
"""Characters of a constraint."""

_ORDERS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_EQUALITIES = ("=", "!=")
_TEST = re.compile(
    rf"\s*(?:(?P<name>{label_rules.NAME})\s*(?P<sign>==|!=|>=|<=|=|>|<)\s*)?(?P<value>{label_rules.VALUE})\s*"
)
_EXAMPLE = "For example 'gpu=a100|h100', 'memory>=64GB,rack=3' or 'gpu!=t4', in quotes."


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of one label with values: whether it is one of them, or none; the others have one value.

    Without a sign: the node has this label.
    """

    name: str
    sign: str = ""
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether it holds for a node with these labels."""
        has = labels.get(self.name)
        match self.sign:
            case "!=":
                return has is None or not any(self._same(has, each) for each in self.values)
            case "=":
                return has is not None and any(self._same(has, each) for each in self.values)
            case "":
                return has is not None
        amount, limit = _amount(has or ""), _amount(self.values[0])
        return amount is not None and limit is not None and _ORDERS[self.sign](amount, limit)

    def _same(self, has: str, wanted: str) -> bool:
        if self.name in AMOUNTS and (amount := _amount(has)) is not None:
            return amount == _amount(wanted)
        if self.name == "gpu":
            return _names_model(wanted.lower(), has.lower())
        return has.lower() == wanted.lower()

    def __str__(self) -> str:
        return self.name + self.sign + "|".join(self.values)


@dataclass(frozen=True, slots=True)
class Condition:
    """Tests, one of which must hold."""

    tests: tuple[Comparison, ...]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether it holds for a node with these labels."""
        return any(test.holds(labels) for test in self.tests)

    def __str__(self) -> str:
        return "|".join(map(str, self.tests))


@dataclass(frozen=True, slots=True)
class Constraint:
    """Conditions that must all hold. Its text is what `parse` reads as the same."""

    conditions: tuple[Condition, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether it holds for a node with these labels."""
        return all(condition.holds(labels) for condition in self.conditions)

    def __str__(self) -> str:
        return ",".join(map(str, self.conditions))


def placement_of(
    constraint: str = "", nodes: Iterable[str] = (), not_nodes: Iterable[str] = ()
) -> Placement:
    """Return a placement as it is stored: its constraint in the usual form, names of nodes sorted.

    Args:
        nodes, not_nodes: words that each name one or many nodes, as in `gpu[01-04]`.

    Raises:
        BadInput: one of them cannot be understood.
    """
    with about("constraint"):
        text = str(parse(constraint))
    with about("node"):
        only = _names(nodes)
    with about("not_node"):
        others = _names(not_nodes)
    return Placement(text, only, others)


def _names(given: Iterable[str]) -> tuple[str, ...]:
    names = sorted({name for word in given for name in expand(word.strip())})
    if len(names) > MOST_NODES:
        raise BadInput(f"{len(names):,} nodes are named; at most {MOST_NODES:,} can be.")
    return tuple(map(check_node_name, names))


@lru_cache(maxsize=1_000)
def parse(text: str) -> Constraint:
    """Parse a constraint; an empty text is one that always holds.

    Raises:
        BadInput: it cannot be understood.
    """
    if not text.strip():
        return Constraint()
    if len(text) > LONGEST:
        raise BadInput(f"the constraint is longer than {LONGEST} characters.")
    return Constraint(tuple(_condition(text, part) for part in re.split("&&|[,&]", text)))


def admits(placement: Placement, name: str, labels: Mapping[str, str]) -> bool:
    """Whether a task with this placement may use the node of this name; not if a newer version wrote its constraint."""
    if name in placement.not_nodes or (placement.nodes and name not in placement.nodes):
        return False
    try:
        return parse(placement.constraint).holds(labels)
    except BadInput:
        return False


def _condition(text: str, part: str) -> Condition:
    if not part.strip():
        raise _mistake(text, "has a comma without a condition beside it")
    tests: list[Comparison] = []
    for alternative in re.split(r"\|\|?", part):
        found = _TEST.fullmatch(alternative)
        if not found:
            raise _mistake(text, f'has "{one_line(alternative.strip())}", which is not a condition')
        name, sign, value = found["name"], found["sign"], found["value"]
        if name is None and tests and tests[-1].sign in _EQUALITIES:
            name, sign = tests[-1].name, tests[-1].sign
        test = (
            Comparison(value.lower())
            if name is None
            else Comparison(name.lower(), _sign(sign), (value,))
        )
        _check(text, test)
        last = tests[-1] if tests else None
        if last and test.sign in _EQUALITIES and (last.name, last.sign) == (test.name, test.sign):
            tests[-1] = Comparison(test.name, test.sign, last.values + test.values)
        else:
            tests.append(test)
    return Condition(tuple(tests))


def _sign(sign: str) -> str:
    return "=" if sign == "==" else sign


def _check(text: str, test: Comparison) -> None:
    if not test.sign:
        if not re.fullmatch(label_rules.NAME, test.name):
            raise _mistake(text, f'has "{test.name}", which is not the name of a label')
        if test.name in label_rules.FOUND and test.name not in ("gpu", "pool"):
            raise BadInput(
                f'"{one_line(text)}" compares "{test.name}" with nothing.',
                hint=f"For example '{test.name}{_COMPARED.get(test.name, '>=16')}', in quotes: the shell takes > and | "
                "for itself.",
            )
        return
    (value,) = test.values
    if test.sign not in _ORDERS and test.name not in AMOUNTS:
        return
    if _amount(value) is None:
        raise _mistake(text, f'compares with "{one_line(value)}", which is not a number or a size')
    if test.name in SIZES and re.fullmatch(r"[0-9.]+", value):
        raise BadInput(
            f'"{one_line(text)}" has a size without a unit: {test.name}{test.sign}{value}.',
            hint=f"For example {test.name}{test.sign}{value}GB.",
        )


_COMPARED = {"memory": ">=64GB", "gpu-memory": ">=40GB", "arch": "=x86_64", "node": "!=gpu01"}


def _mistake(text: str, what: str) -> BadInput:
    return BadInput(f'"{one_line(text)}" {what}.', hint=_EXAMPLE)


def _amount(text: str) -> float | None:
    """Read a number or a size in bytes, None for other text."""
    if re.fullmatch(r"[0-9]{1,18}(?:\.[0-9]{1,9})?", text):
        return float(text)
    try:
        return parse_size(text)
    except BadInput:
        return None


def _names_model(wanted: str, model: str) -> bool:
    """Whether words of a model beside each other make up a name, with or without dashes."""
    joined, bare = model.replace("-", ""), wanted.replace("-", "")
    edges = list(accumulate(map(len, model.split("-")), initial=0))
    return any(joined.startswith(bare, at) and at + len(bare) in edges for at in edges[:-1])
