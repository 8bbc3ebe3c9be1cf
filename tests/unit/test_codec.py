"""Requests and answers over HTTP: what is written is read back, whatever it is; what cannot be read gets a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.api.endpoints import Endpoint, Match, Routes
from orchestra.domain.errors import BadInput, NotFound
from orchestra.domain.wording import Action, words
from orchestra.interface import codec, problems
from orchestra.interface.me import Me
from orchestra.interface.nodes import GetNode
from orchestra.interface.table import OPERATIONS, Operation
from orchestra.interface.task_changes import HoldTask

ROUTES = Routes(
    Endpoint(each.method, each.path, lambda _: each)  # noqa: B023 - never run
    for each in OPERATIONS
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    bytes: st.binary(max_size=40),
    datetime: st.datetimes(timezones=st.just(UTC)),
    type(None): st.none(),
    Any: st.dictionaries(TEXT, TEXT, max_size=2),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type of the interface."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    origin, parts = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if isinstance(kind, type) and is_dataclass(kind):
        return _of_class(kind)
    if origin is Literal:
        return st.sampled_from(parts)
    if origin is tuple:
        if parts[-1] is ...:
            return st.lists(values(parts[0]), max_size=3).map(tuple).filter(("",).__ne__)
        return st.tuples(*map(values, parts))
    if origin is frozenset:
        return st.frozensets(values(parts[0]), max_size=3)
    if origin is Mapping:
        return st.dictionaries(values(parts[0]), values(parts[1]), max_size=3)
    if parts:
        return st.one_of(*map(values, parts))
    return st.from_type(kind)


def _of_class(kind: type) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    names = [each.name for each in fields(kind) if each.init]
    return st.deferred(lambda: st.builds(kind, **{name: values(hints[name]) for name in names}))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_a_request_is_read_as_it_was_written(operation: Operation, data: st.DataObject) -> None:
    asked = data.draw(values(operation.request))
    if "address" in codec.parameters(operation):
        asked = operation.request(f"user.ana.x/{data.draw(st.integers(0, 10**6))}")  # type: ignore[call-arg]
    sent = codec.write(operation, asked)
    path, _, query = sent.target.partition("?")
    match = ROUTES.find(sent.method, path)
    assert isinstance(match, Match)
    assert match.endpoint.path == operation.path
    given_query = parse_qsl(query, keep_blank_values=True)
    assert codec.read(operation, match.params, given_query, sent.body) == asked


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_an_answer_is_read_as_it_was_written(operation: Operation, data: st.DataObject) -> None:
    answer = data.draw(values(operation.answer))
    assert codec.decode(operation.answer, codec.encode(answer)) == answer


def test_what_is_not_a_request_gets_one_sentence() -> None:
    def read(place: str, query: str = "", body: bytes | None = None, **at: str) -> object:
        row = next(each for each in OPERATIONS if each.name == place)
        return codec.read(row, at, parse_qsl(query), body)

    assert read("user.me") == Me()
    assert read("node.get", name="a/b") == GetNode("a/b")
    assert read("task.hold", task="3") == HoldTask(3)
    assert read("task.hold", "", b'{"reason": null}', task="3") == HoldTask(3)
    for sentence, wrong in {
        'this request has no parameter "limt". Did you mean "limit"?': ("job.search", "limt=3"),
        'this request needs the parameter "addresses".': ("job.kill", "", b"{}"),
        'the parameter "limit": expected "int", got "str".': ("job.search", "limit=x"),
        'the parameter "limit" is given twice.': ("job.search", "limit=1&limit=2"),
        'expected "array", got "int", at addresses.': ("job.kill", "", b'{"addresses": 3}'),
        'this request has no parameter "x" in its address.': ("job.kill", "x=3", b"{}"),
    }.items():
        with pytest.raises(BadInput) as refusal:
            read(*wrong)  # type: ignore[arg-type]
        assert str(refusal.value) == sentence
    for broken in (b"{", b"\xff", b"[]", b'"x"', b"{}x"):
        with pytest.raises(BadInput):
            read("job.kill", "", broken)


def test_what_json_cannot_say_is_refused_before_it_is_sent() -> None:
    get = next(each for each in OPERATIONS if each.name == "node.get")
    with pytest.raises(BadInput, match="cannot be sent"):
        codec.write(get, GetNode("\udcff"))
    show = next(each for each in OPERATIONS if each.name == "job.show")
    with pytest.raises(BadInput, match="job"):
        codec.write(show, show.request("17"))  # type: ignore[call-arg]


def test_errors_arrive_with_their_class_and_their_terms() -> None:
    error = NotFound(words("See ", Action.SHOW_TASK(task=3), "."), hint="Or not.", kind="task")
    problem = problems.problem_of(error)
    assert (problem.status, problem.type) == (404, "urn:orchestra:error:not_found")
    again = problems.error_of(codec.decode(problems.Problem, codec.encode(problem)))
    assert type(again) is NotFound
    assert (again.message, again.remedy, again.params) == (
        error.message,
        error.remedy,
        error.params,
    )


def test_operations_have_names_and_places_of_their_own() -> None:
    assert len({each.name for each in OPERATIONS}) == len(OPERATIONS)
    assert len({(each.method, each.path) for each in OPERATIONS}) == len(OPERATIONS)
    for each in OPERATIONS:
        named = [name.partition(".")[0] for name in codec.names_in(each.path)]
        assert set(named) <= set(codec.parameters(each)), each
        assert each.changes or each.method in ("GET", "POST"), each
        assert not each.changes or each.method != "GET", each
