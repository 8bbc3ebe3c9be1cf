"""What a server notes of each request: a line of its access log, and the figures of its metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.api.identity import address_of
from orchestra.api.request_figures import RequestFigures
from orchestra.domain.access_secrets import without_tokens

Say = Callable[[str], None]


class Noted:
    """The application, with a note of each request when its answer begins: a stream may last for hours.

    `say` gets the lines of the access log. They have no query and no header, where secrets could be.
    """

    def __init__(self, app: ASGIApp, figures: RequestFigures, say: Say | None = None) -> None:
        self._app, self._figures, self._say = app, figures, say

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began = time.monotonic()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = time.monotonic() - began
                self._figures.note(message["status"], seconds)
                if self._say:
                    self._say(line(scope, message["status"], seconds, datetime.now(UTC)))
            await send(message)

        return await self._app(scope, receive, noting)


def line(scope: Scope, status: int, seconds: float, now: datetime) -> str:
    """Return a line of the access log: when, from where, who, what, the status, milliseconds."""
    who = scope.get("state", {}).get("who")
    # The path as it is in the address, so that no character of it ends the line; a token has no business there.
    path = without_tokens(quote(scope["path"], safe="/:@!$&'()*+,;=~", errors="surrogateescape"))
    words = (
        now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        address_of(Request(scope)).replace(" ", ":") or "-",
        quote(who.user.name, safe="@.") if who else "-",
        scope["method"],
        path,
        str(status),
        f"{seconds * 1000:.0f}ms",
    )
    return " ".join(words)
