"""The application: it finds the endpoint and who makes the request, and turns errors into answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestra.api import problems
from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint, Match, Routes
from orchestra.api.headers import SECURITY_HEADERS
from orchestra.api.identity import identify
from orchestra.api.origin import check_host
from orchestra.api.server import Server
from orchestra.domain.errors import BadInput, NotFound, NotSignedIn, OrchestraError
from orchestra.domain.identities import Identity
from orchestra.interface.remote.link import API_HEADER, API_VERSION

LARGEST_BODY = 512 << 20
"""Bytes of the largest body: a manifest of about 3,000,000 files."""
LARGEST_OF_NOBODY = 64 << 10
"""The same for callers who are not signed in."""

Problem = Callable[[HttpRequest, OrchestraError], Response]

_log = logging.getLogger(__name__)


class App:
    """The ASGI application. `problem` turns an error into an answer."""

    def __init__(self, server: Server, routes: Routes, problem: Problem) -> None:
        self._server, self._routes, self._problem = server, routes, problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = HttpRequest(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        except OrchestraError as error:
            response = self._problem(request, error)
        except Exception as error:  # noqa: BLE001 - the last line of defence
            _log.exception("%s %s failed", request.method, request.url.path)
            failed = OrchestraError(
                f"the server made a mistake: {type(error).__name__}.",
                hint="Its log says more.",
            )
            response = self._problem(request, failed)
        response.headers.setdefault(API_HEADER, API_VERSION)
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        await response(scope, receive, send)

    async def _answer(self, request: HttpRequest) -> Response:
        check_host(request.headers.get("host"), self._server.hosts)
        match = self._find(request)
        if isinstance(match, Response):
            return match
        try:
            who = await run_in_threadpool(identify, self._server, request)
        except NotSignedIn:
            if not match.endpoint.open:
                raise
            who = None
        request.state.who = who  # for the page of an error
        if who is None and not match.endpoint.open:
            raise NotSignedIn(
                "you are not signed in.", hint="Send a token: Authorization: Bearer orc_..."
            )
        call = Call(self._server, request, who, match.params, await _body(request, who))
        if match.endpoint.live:
            live: Response = await match.endpoint.run(call)
            return live
        answer: Response = await run_in_threadpool(match.endpoint.run, call)
        return answer

    def _find(self, request: HttpRequest) -> Match | Response:
        raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
        path = raw.partition(b"?")[0].decode("latin-1").removeprefix(self._server.root_path)
        found = self._routes.find(request.method, path or "/")
        if isinstance(found, Match):
            return found
        if found:
            methods = ", ".join(sorted({*found}))
            error = BadInput(f"this address does not take {request.method}, but {methods}.")
            response = self._problem(request, error)
            response.status_code = 405
            response.headers["Allow"] = methods
            return response
        return NOWHERE


def _nowhere(_call: Call) -> Response:
    raise NotFound("there is nothing at this address.")


NOWHERE = Match(Endpoint("GET", "", _nowhere), {})
"""What is found at any other address: only who is signed in learns that there is nothing."""


async def _body(request: HttpRequest, who: Identity | None) -> bytes:
    parts, size = [], 0
    most = LARGEST_OF_NOBODY if who is None else LARGEST_BODY
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise BadInput("the request is larger than the server takes.")
        parts.append(part)
    return b"".join(parts)


def make_app(
    server: Server,
    endpoints: Iterable[Endpoint],
    problem: Problem = lambda _request, error: problems.answer(error),
) -> ASGIApp:
    """Return the application that answers these endpoints."""
    return App(server, Routes(endpoints), problem)
