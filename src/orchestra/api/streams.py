"""Open streams over HTTP (server-sent events): hints for pages, and all events for programs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.api.hub import BEAT_EVERY, RECONNECT_AFTER, STREAM_ENDS_AFTER
from orchestra.api.operations import API, carry_out
from orchestra.domain.errors import BadInput, DatabaseUnavailable
from orchestra.domain.hints import parse_topics
from orchestra.interface import codec
from orchestra.interface.answers.events import EventPage
from orchestra.interface.events import ListEvents
from orchestra.interface.table import OPERATIONS

MEDIA_TYPE = "text/event-stream"
FEED_EVERY = 0.5
"""Seconds between two looks for new events."""
_HEADERS = {
    "Cache-Control": "no-store, no-transform",  # a proxy that compresses would hold frames back
    "X-Accel-Buffering": "no",
}
(_EVENTS,) = (each for each in OPERATIONS if each.request is ListEvents)


async def stream(call: Call) -> Response:
    """Open a stream of hints: `jobs`, `task`, `node`, `resync`, and `beat` as a sign of life.

    Raises:
        BadInput: a parameter is unknown or invalid.
    """
    query = dict(call.request.query_params)
    if unknown := query.keys() - {"topics", "last", "age"}:
        raise BadInput(f'this request has no parameter "{min(unknown)}".')
    try:
        age = float(query.get("age", 0))
    except ValueError:
        raise BadInput('the parameter "age" is a number of seconds.') from None
    last = _last_id(call.request) or query.get("last", "")
    topics = parse_topics(query.get("topics", ""))
    return _streamed(call, call.server.hub.listen(topics, last, age))


async def events(call: Call) -> Response:
    """Answer with a page of events, or with a stream of pages for whoever accepts one."""
    if MEDIA_TYPE not in call.request.headers.get("accept", ""):
        return await run_in_threadpool(carry_out, _EVENTS, call)
    asked = codec.read(_EVENTS, {}, call.request.query_params.multi_items(), None)
    assert isinstance(asked, ListEvents)
    if last := _last_id(call.request):
        asked = replace(asked, after=last)
    # The first page is read before the answer begins, so that its errors have a status.
    first = await run_in_threadpool(call.ask, asked)
    return _streamed(call, _feed(call, asked, first))


async def _feed(call: Call, asked: ListEvents, page: EventPage) -> AsyncIterator[bytes]:
    """Yield pages of events as they come. Each has the cursor that continues after it as its id."""
    began = beat = time.monotonic()
    yield f"retry: {RECONNECT_AFTER}\nid: {page.cursor}\n\n".encode()
    while time.monotonic() < began + STREAM_ENDS_AFTER:
        if page.events or page.resync:
            kind = "resync" if page.resync else "events"
            data = codec.encode(page).decode()
            yield f"id: {page.cursor}\nevent: {kind}\ndata: {data}\n\n".encode()
            beat = time.monotonic()
        elif time.monotonic() >= beat + BEAT_EVERY:
            yield b": still here\n\n"
            beat = time.monotonic()
        full = len(page.events) == asked.limit
        if await call.server.hub.closes_within(0 if full else FEED_EVERY):
            return
        asked = replace(asked, after=page.cursor)
        page = await run_in_threadpool(_ask, call, asked)


def _ask(call: Call, asked: ListEvents) -> EventPage:
    """Return the next page; an empty one while the database is away."""
    try:
        return call.ask(asked)
    except DatabaseUnavailable:
        return EventPage((), asked.after or "")


def _last_id(request: Request) -> str:
    return request.headers.get("last-event-id", "")


def _streamed(call: Call, chunks: AsyncIterator[bytes]) -> Response:
    if call.request.method == "HEAD":  # otherwise it would wait for the end
        return Response(media_type=MEDIA_TYPE, headers=_HEADERS)
    return StreamingResponse(chunks, media_type=MEDIA_TYPE, headers=_HEADERS)


ENDPOINTS = (
    Endpoint("GET", f"{API}/stream", stream, live=True),
    Endpoint("GET", f"{API}{_EVENTS.path}", events, live=True),
)
REPLACED = frozenset({_EVENTS.name})
"""The operations whose endpoints are here."""
