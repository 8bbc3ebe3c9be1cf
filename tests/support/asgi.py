"""Requests to the server's application in this process, with all that it checks, but without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from urllib.parse import urlencode

import psycopg

from orchestra.api.app import make_app
from orchestra.config import Settings
from orchestra.interface import codec
from orchestra.interface.operation import Request
from orchestra.interface.remote.link import API
from orchestra.interface.table import OPERATIONS
from orchestra.web import errors
from orchestra.wiring.server import Database, endpoints, make_server
from support.site import OneConnection


@dataclass(frozen=True)
class Answer:
    """What came back. Of several cookies, `headers` has the last."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def cookie(self) -> str:
        """The cookie that it sets, as a browser sends it back."""
        return self.headers["set-cookie"].partition(";")[0]


class InProcess:
    """The application over one connection."""

    def __init__(self, conn: psycopg.Connection, **options: Any) -> None:
        database = cast("Database", OneConnection(conn))
        self.server = make_server(Settings(), database, **options)
        self._app = make_app(self.server, endpoints(), partial(errors.answer, self.server))

    def __call__(
        self,
        method: str,
        target: str,
        *,
        token: str | None = None,
        body: bytes = b"",
        form: Mapping[str, str] | None = None,
        scheme: str = "http",
        **headers: str,
    ) -> Answer:
        """Make a request; `sec_fetch_site="none"` is the header Sec-Fetch-Site."""
        sent = {"host": "127.0.0.1:8765"}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        if form is not None:
            body = urlencode(form).encode()
            sent["content-type"] = "application/x-www-form-urlencoded"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "scheme": scheme,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 50000),
            "state": {},
        }
        return asyncio.run(self._exchange(scope, body))

    async def _exchange(self, scope: dict[str, Any], body: bytes) -> Answer:
        heads: list[Any] = []
        parts: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                heads.append(message)
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        (head,) = heads
        headers = {name.decode(): value.decode() for name, value in head["headers"]}
        return Answer(head["status"], headers, b"".join(parts))

    def ask(self, asked: Request[Any], token: str | None) -> Answer:
        """Make a request of the interface as its operation is offered."""
        operation = next(each for each in OPERATIONS if each.request is type(asked))
        sent = codec.write(operation, asked)
        return self(sent.method, API + sent.target, token=token, body=sent.body or b"")
