"""What is answered can be written down and read back by its type alone, whatever it is composed of."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from importlib import import_module
from inspect import isclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest

from orchestra.domain.models.nodes import Node, Pilot
from orchestra.interface import answers
from orchestra.interface.table import OPERATIONS

PLAIN = (NoneType, bool, int, float, str, bytes, date, datetime, UUID)


def classes() -> list[type]:
    """All classes of answers."""
    modules = [
        import_module(f"{answers.__name__}.{each.name}")
        for each in pkgutil.iter_modules(answers.__path__)
    ]
    return [
        each
        for module in modules
        for each in vars(module).values()
        if isclass(each) and each.__module__ == module.__name__
    ]


def troubles(kind: Any, at: str, seen: set[type] | None = None) -> Iterator[str]:
    """What of a type could not be written down."""
    seen = set() if seen is None else seen
    if kind in PLAIN or kind in seen or (isclass(kind) and issubclass(kind, Enum)):
        return
    if isclass(kind) and is_dataclass(kind):
        seen.add(kind)
        yield from _of_fields(kind, at, seen)
        return
    parts = _parts(kind)
    if parts is None:
        yield f"{at}: {kind}"
    for part in parts or ():
        yield from troubles(part, at, seen)


def _parts(kind: Any) -> tuple[Any, ...] | None:
    """What a union, tuple or mapping consists of; None where it is something else."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return tuple(map(type, parts))
    if origin in (Union, UnionType, tuple, frozenset):
        return tuple(part for part in parts if part is not ...)
    if origin is Mapping and parts[0] in (str, int):
        return () if parts[1] is Any else parts[1:]  # Any: an object of JSON
    return None


def _of_fields(kind: type, at: str, seen: set[type]) -> Iterator[str]:
    if not kind.__module__.startswith(("orchestra.domain.", answers.__name__)):
        yield f"{at}: {kind} is neither a value of the domain nor an answer"
    hints = get_type_hints(kind)
    for each in fields(kind):
        yield from troubles(hints[each.name], f"{at}.{each.name}", seen)


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__name__)
def test_an_answer_consists_of_plain_values(kind: type) -> None:
    assert is_dataclass(kind)
    assert list(troubles(kind, kind.__name__)) == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_is_asked_and_answered_in_plain_values(operation: Any) -> None:
    assert list(troubles(operation.answer or NoneType, operation.name)) == []
    hints = get_type_hints(operation.request)
    for each in fields(operation.request):
        assert list(troubles(hints[each.name], f"{operation.name}.{each.name}")) == []


def test_values_that_are_answered_alone_are_plain() -> None:
    assert [*troubles(Node, "Node"), *troubles(Pilot, "Pilot")] == []


def test_what_is_no_plain_value_is_found() -> None:
    @dataclass
    class Stranger:
        numbers: list[int]

    found = list(troubles(tuple[Mapping[datetime, str] | set[int], ...], "answer"))
    assert len(found) == 2
    assert "neither" in next(iter(troubles(Stranger, "answer")))
