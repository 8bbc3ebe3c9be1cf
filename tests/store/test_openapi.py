"""The API against its own description: requests that schemathesis makes from it, valid and invalid ones."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from orchestra.api import app as application
from orchestra.api import openapi
from orchestra.api.app import App
from orchestra.api.problems import answer as problem_answer
from orchestra.interface import codec, problems
from orchestra.interface.table import OPERATIONS, Operation
from support.rights import scene
from support.site import Site
from support.world import World

GOLDEN = Path(__file__).parents[2] / "docs" / "openapi.json"
EXAMPLES = 4
SEED = 7


def test_the_document_is_the_published_one() -> None:
    """Programs of users rely on it, so a change may only add. tools/openapi writes it."""
    assert openapi.encoded().decode() + "\n" == GOLDEN.read_text()


@pytest.fixture
def schemathesis() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own libraries
        import schemathesis

        yield schemathesis


@pytest.mark.servers("debian15")
def test_every_answer_is_one_that_the_document_describes(
    world: World, schemathesis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene(world)
    site = Site(world.conn, "root")
    monkeypatch.setattr(application, "identify", lambda *_: site.identity)
    app = App(site.server, site.routes, lambda _request, error: problem_answer(error))
    described = schemathesis.openapi.from_dict(openapi.document())
    by_name = {each.name: each for each in OPERATIONS}
    tried = set()
    for found in described.get_all_operations():
        row = found.ok()
        operation = by_name.get(row.definition.raw["operationId"])
        if operation is None:
            continue
        tried.add(operation.name)
        for mode in schemathesis.GenerationMode:
            _try(app, operation, row.as_strategy(generation_mode=mode))
    assert tried == set(by_name)


def _try(app: App, operation: Operation, cases: Any) -> None:
    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def check(case: Any) -> None:
        status, headers, body = asyncio.run(_send(app, case))
        where = f"{case.method} {case.formatted_path}: {status} {body[:300]!r}"
        assert status == 200 or 400 <= status < 500, where
        if status == 200:
            codec.decode(operation.answer, body)
            assert headers[b"content-type"] == b"application/json"
        else:
            assert headers[b"content-type"] == problems.MEDIA_TYPE.encode()
            problem = codec.decode(problems.Problem, body)
            assert problem.status == status, where
            assert problem.detail, where

    check()


async def _send(app: App, case: Any) -> tuple[int, dict[bytes, bytes], bytes]:
    path = case.formatted_path
    sent = getattr(case, "body", None)
    body = msgspec.json.encode(sent) if isinstance(sent, dict | list | str | int | float) else b""
    query = urlencode(case.query or {}, doseq=True)
    headers = [
        (name.lower().encode(), str(value).encode()) for name, value in (case.headers or {}).items()
    ]
    answer: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        answer.append(message)

    scope = {
        "type": "http",
        "method": case.method.upper(),
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
    }
    await app(scope, receive, send)
    return (
        answer[0]["status"],
        dict(answer[0]["headers"]),
        b"".join(m.get("body", b"") for m in answer),
    )
