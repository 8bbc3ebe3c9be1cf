"""The page at which a browser signs in."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse

from orchestra.api import problems
from orchestra.api.server import Server
from orchestra.domain.errors import OrchestraError
from orchestra.interface.problems import status_of
from orchestra.web.rendering import render


def sign_in_page(
    server: Server, request: Request, error: OrchestraError | None = None, *, then: str = ""
) -> HTMLResponse:
    """Return the page. `then` is the path to go to afterwards, by default the one that was asked for."""
    response = render(
        request,
        server.root_path,
        "sign_in.html",
        status=status_of(error) if error else 200,
        error=error,
        then=then or _asked_for(server, request),
        user=getattr(request.state, "who", None),
    )
    if error is not None:
        response.headers.update(problems.headers(error))
    return response


def _asked_for(server: Server, request: Request) -> str:
    if request.method != "GET":
        return ""
    path = request.url.path.removeprefix(server.root_path)
    return "" if path == "/in" else f"{path}?{request.url.query}".rstrip("?")


def is_path(text: str) -> bool:
    """Whether a text is a path of this server: another site's address would lead people there."""
    return text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
