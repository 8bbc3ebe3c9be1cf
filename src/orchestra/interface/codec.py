"""Requests and answers as JSON, by their types alone.

It follows from a request's row in `table.py` what of it is in the path, in the query and in the body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from re import fullmatch
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from urllib.parse import quote, urlencode

import msgspec

from orchestra.domain.errors import BadInput
from orchestra.domain.job_address import parse_one_job
from orchestra.domain.nearest import nearest
from orchestra.interface.operation import Request
from orchestra.interface.table import Operation

WITH_BODY = ("POST", "PUT", "PATCH")


@dataclass(frozen=True, slots=True)
class Written:
    """A request as it is sent: the path with its query, percent-encoded, and the body."""

    method: str
    target: str
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A field of a request. `kind` is its type without None; `several`, whether it is a tuple of plain values."""

    name: str
    kind: Any
    optional: bool
    several: bool
    default: Any

    @property
    def required(self) -> bool:
        """Whether a request must have it."""
        return self.default is MISSING and not self.optional


def encode(value: object) -> bytes:
    """Return an answer as JSON.

    Raises:
        BadInput: it contains text that is not Unicode, or a number that JSON readers cannot hold.
    """
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError) as error:
        raise BadInput(f"a value cannot be sent: {error}.") from None


def decode(kind: Any, data: bytes) -> Any:
    """Return what JSON says as a value of a type.

    Raises:
        BadInput: it is not JSON, or not of this type.
    """
    try:
        return _decoder(kind).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(_sentence(error)) from None


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


@cache
def parameters(operation: Operation) -> Mapping[str, Parameter]:
    """Return the fields of an operation's request by name."""
    request = operation.request
    hints = get_type_hints(request)
    return {
        each.name: _parameter(each.name, hints[each.name], each.default)
        for each in fields(request)  # type: ignore[arg-type]
    }


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    optional = get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint)
    if optional:
        kept = tuple(each for each in get_args(hint) if each is not NoneType)
        hint = kept[0] if len(kept) == 1 else Union[kept]  # noqa: UP007 - made at run time
    return Parameter(name, hint, optional, get_origin(hint) is tuple, default)


def names_in(path: str) -> tuple[str, ...]:
    """Return the names between braces in an operation's path."""
    return tuple(segment[1:-1] for segment in path.split("/") if fullmatch(r"\{.+\}", segment))


def write(operation: Operation, asked: Request[Any]) -> Written:
    """Return a request as it is sent.

    Raises:
        BadInput: it contains text that is not Unicode, or an address that is none of one job.
    """
    values = {name: getattr(asked, name) for name in parameters(operation)}
    try:
        path = _filled(operation.path, values)
        if operation.method in WITH_BODY:
            return Written(operation.method, path, encode(values))
        query = urlencode(list(_query(operation, values)))
        return Written(operation.method, f"{path}?{query}" if query else path, None)
    except UnicodeEncodeError as error:
        raise BadInput(f"a value cannot be sent: {error}.") from None


def _filled(path: str, values: dict[str, Any]) -> str:
    """Return a path with its values, which are taken out of `values`."""
    segments = []
    for segment in path.split("/"):
        if not fullmatch(r"\{.+\}", segment):
            segments.append(segment)
            continue
        name, _, part = segment[1:-1].partition(".")
        text = _text(values[name])
        if part:
            parse_one_job(text)  # refused here as anywhere else: it may have no place in a path
            task, _, index = text.rpartition("/")
            text = task if part == "task" else index
        segments.append(quote(text, safe=""))
    for name in names_in(path):
        values.pop(name.partition(".")[0], None)
    return "/".join(segments)


def _query(operation: Operation, values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    known = parameters(operation)
    for name, value in values.items():
        if value is None or value == known[name].default:
            continue
        if value == ():
            yield name, ""
        for each in value if known[name].several else (value,):
            yield name, _text(each)


def _text(value: Any) -> str:
    plain = msgspec.to_builtins(value)
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def read(
    operation: Operation,
    in_path: Mapping[str, str],
    query: Iterable[tuple[str, str]],
    body: bytes | None,
) -> Request[Any]:
    """Return the request that was sent; the inverse of `write`.

    Raises:
        BadInput: a parameter is unknown, missing, or not of its type.
    """
    known = parameters(operation)
    found: dict[str, Any] = _joined(in_path)
    given = list(query)
    if operation.method in WITH_BODY:
        if given:
            raise BadInput(f'this request has no parameter "{given[0][0]}" in its address.')
        return _read_body(operation, found, body)
    for name, text in given:
        if name in known and known[name].several:
            found.setdefault(name, []).append(text)
        elif name in found:
            raise BadInput(f'the parameter "{name}" is given twice.')
        else:
            found[name] = text
    _check_names(known, found)
    values = _unset(known) | {name: _value(known[name], value) for name, value in found.items()}
    try:
        return msgspec.convert(values, operation.request, str_keys=True)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise BadInput(_sentence(error)) from None


def _read_body(operation: Operation, found: dict[str, Any], body: bytes | None) -> Request[Any]:
    """Return a request with a body, which is parsed in one step by its type: it may list a million files."""
    known = parameters(operation)
    given = decode(dict[str, msgspec.Raw], body) if body else {}
    _check_names(known, {**given, **found})
    others = _unset(known) | {name: _value(known[name], text) for name, text in found.items()}
    if not body or others:
        body = msgspec.json.encode({**others, **given, **{name: others[name] for name in found}})
    request: Request[Any] = decode(operation.request, body)
    return request


def _unset(known: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the values of fields that may be missing although they have no default."""
    return {name: None for name, each in known.items() if each.optional and each.default is MISSING}


def _joined(in_path: Mapping[str, str]) -> dict[str, Any]:
    """Return the values in a path; the two parts of an address are one value."""
    joined: dict[str, Any] = {}
    for name, text in in_path.items():
        field, _, part = name.partition(".")
        joined[field] = f"{joined[field]}/{text}" if part and field in joined else text
    return joined


def _check_names(known: Mapping[str, Parameter], found: Mapping[str, Any]) -> None:
    for name in found:
        if name not in known:
            guess = nearest(name, known)
            meant = f' Did you mean "{guess}"?' if guess else ""
            raise BadInput(f'this request has no parameter "{name}".{meant}')
    missing = [name for name, each in known.items() if each.required and name not in found]
    if missing:
        raise BadInput(f'this request needs the parameter "{missing[0]}".')


def _value(parameter: Parameter, text: Any) -> Any:
    """Return a text of a path or query as what JSON would have."""
    try:
        if parameter.several:
            text = [] if text == [""] else text  # written for an empty tuple
            kinds = [kind for kind in get_args(parameter.kind) if kind is not ...]
            return [_plain(kinds[min(at, len(kinds) - 1)], each) for at, each in enumerate(text)]
        return _plain(parameter.kind, text)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise BadInput(f'the parameter "{parameter.name}": {_sentence(error)}') from None


def _plain(kind: Any, text: str) -> Any:
    if kind in (bool, int, float):
        return msgspec.convert(text, kind, strict=False)
    return text


def _sentence(error: Exception) -> str:
    """Word an error of msgspec: "Expected `int`, got `str` - at `$.task`"."""
    text, _, place = str(error).partition(" - at ")
    text = text.replace("`", '"').rstrip(".")
    where = place.strip("`").removeprefix("$").removeprefix(".")
    if not text[:2].isupper():  # "JSON is malformed"
        text = f"{text[:1].lower()}{text[1:]}"
    return text + (f", at {where}." if where else ".")
