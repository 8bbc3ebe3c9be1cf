"""The OpenAPI document, made from the table of operations."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any

import msgspec
from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.api.operations import API
from orchestra.interface import codec
from orchestra.interface.problems import MEDIA_TYPE, Problem
from orchestra.interface.remote.link import API_VERSION
from orchestra.interface.table import OPERATIONS, Operation

PROBLEMS = {
    "4XX": "401: nobody that the server knows. 403: somebody who may not do this. 404: there is no such thing. "
    "405: not with this method. 409: not possible in the present state. 421: the server does not answer under this "
    "name. 422: the request is not valid. 429: too many failed attempts.",
    "5XX": "500: the server made a mistake; its log says more. 503: the database cannot be reached. "
    "504: it took too long.",
}


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        place = paths.setdefault(API + _address(operation.path), {})
        place[operation.method.lower()] = _operation(operation)
    _schemas, components = _schemas_of(
        [kind for each in OPERATIONS for kind in (each.answer, *_kinds(each))]
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Orchestra",
            "version": API_VERSION,
            "description": "Run one command over many configuration files. Every operation of `maestro` that does "
            "not need the machine that it runs on is here. Errors are problem details (RFC 9457).",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                status: {
                    "description": meaning,
                    "content": {MEDIA_TYPE: {"schema": _schema(Problem)}},
                }
                for status, meaning in PROBLEMS.items()
            },
        },
    }


def _kinds(operation: Operation) -> list[Any]:
    """Return the types of a request's fields, and of its errors."""
    return [Problem, *(_kind(each) for each in codec.parameters(operation).values())]


def _kind(parameter: codec.Parameter) -> Any:
    return parameter.kind | None if parameter.optional else parameter.kind


def _operation(operation: Operation) -> dict[str, Any]:
    summary, _, more = (inspect.getdoc(operation.request) or "").partition("\n")
    more = more.partition("Raises:")[0].strip()  # Python's classes; here, the statuses say it
    in_path = codec.names_in(operation.path)
    taken = {name.partition(".")[0] for name in in_path}
    left = {k: v for k, v in codec.parameters(operation).items() if k not in taken}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.name.partition(".")[0]],
        "summary": summary.rstrip("."),
        "description": f"{more}\n\nFor: {operation.who.value}.".strip(),
        "parameters": [_in_path(operation, name) for name in in_path],
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {"application/json": {"schema": _schema(operation.answer)}},
            },
            **{status: {"$ref": f"#/components/responses/{status}"} for status in PROBLEMS},
        },
    }
    if operation.method in codec.WITH_BODY:
        described["requestBody"] = _body(left)
    else:
        described["parameters"] += [_in_query(each) for each in left.values()]
    if operation.changes:
        described["parameters"].append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "Requests with the same key are carried out once, and get the same answer.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            }
        )
    return described


def _in_path(operation: Operation, name: str) -> dict[str, Any]:
    field, _, part = name.partition(".")
    schema: dict[str, Any] = (
        {"type": "string"} if part else _schema(codec.parameters(operation)[field].kind)
    )
    return {"name": part or name, "in": "path", "required": True, "schema": schema}


def _in_query(parameter: codec.Parameter) -> dict[str, Any]:
    found = {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "schema": _schema(parameter.kind),
    }
    return found | {"explode": True} if parameter.several else found


def _body(parameters: dict[str, codec.Parameter]) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: _schema(_kind(each)) for name, each in parameters.items()},
        "additionalProperties": False,
    }
    if required := [name for name, each in parameters.items() if each.required]:
        schema["required"] = required
    content = {"application/json": {"schema": schema}}
    return {"content": content, "required": "required" in schema}


def _schema(kind: Any) -> dict[str, Any]:
    (schema,), _components = _schemas_of([kind])
    return schema


def _schemas_of(kinds: list[Any]) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    return msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")


def _address(path: str) -> str:
    return re.sub(r"\{\w+\.(\w+)\}", r"{\1}", path)


def _answer(_call: Call) -> Response:
    return Response(encoded(), media_type="application/json")


@cache
def encoded() -> bytes:
    return msgspec.json.format(msgspec.json.encode(document(), order="sorted"), indent=2)


ENDPOINTS = (Endpoint("GET", f"{API}/openapi.json", _answer),)
