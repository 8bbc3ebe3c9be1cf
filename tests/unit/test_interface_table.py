"""The table of operations: complete, and every line of it can be carried out."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from inspect import isclass
from types import ModuleType
from typing import Any, get_type_hints

import pytest

from orchestra import interface
from orchestra.interface import local
from orchestra.interface.operation import Change, Question, Request
from orchestra.interface.table import OPERATIONS, Operation

_BASES = (Request, Question, Change)


def modules() -> list[ModuleType]:
    names = (each.name for each in pkgutil.iter_modules(interface.__path__))
    return [import_module(f"orchestra.interface.{name}") for name in names if name != "local"]


def requests() -> set[type[Request[Any]]]:
    return {
        each
        for module in modules()
        for each in vars(module).values()
        if isclass(each) and issubclass(each, Request) and each not in _BASES
    }


def test_every_request_is_one_line_of_the_table() -> None:
    in_table = [operation.request for operation in OPERATIONS]
    assert set(in_table) == requests()
    assert len(in_table) == len(set(in_table))


def test_every_name_is_used_once() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_what_carries_a_request_out_takes_it_and_gives_what_it_declares(
    operation: Operation,
) -> None:
    hints = get_type_hints(local.handler(operation.request))
    asked = [value for name, value in hints.items() if name not in ("scope", "return")]
    assert asked == [operation.request]
    answer = operation.answer
    assert hints["return"] == (type(None) if answer is None else answer)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_a_request_says_what_it_is_for(operation: Operation) -> None:
    assert operation.request.__doc__
    assert not operation.request.__doc__.startswith(f"{operation.request.__name__}(")
    assert issubclass(operation.request, Question) or issubclass(operation.request, Change)
