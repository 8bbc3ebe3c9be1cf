"""The page that says what went wrong: the error's sentence and its hint, in the pages' words."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from orchestra.api import problems
from orchestra.api.server import Server
from orchestra.domain.errors import NotSignedIn, OrchestraError
from orchestra.interface.problems import status_of
from orchestra.web.rendering import render
from orchestra.web.sign_in import sign_in_page

HEADINGS = {
    401: "You are not signed in",
    403: "You may not do this",
    404: "There is no such page",
    409: "This is not possible now",
    421: "This address is not served here",
    422: "This was not understood",
    429: "Too many attempts",
    500: "Something went wrong in the server",
    503: "The database cannot be reached",
    504: "This took too long",
}
"""The heading of each status. Others have that of 500."""
RETRIED = (503, 504)
"""What passes by itself, so that the page tries again."""


def answer(server: Server, request: Request, error: OrchestraError) -> Response:
    """Return an error as a page where a person reads it, and as problem details for programs."""
    if is_for_people(request):
        if isinstance(error, NotSignedIn):
            return sign_in_page(server, request, error)
        return error_page(request, server.root_path, error)
    return problems.answer(error)


def is_for_people(request: Request) -> bool:
    """Whether a browser asks for a page, rather than a program or a script for data."""
    return "text/html" in request.headers.get("accept", "")


def error_page(request: Request, root: str, error: OrchestraError) -> HTMLResponse:
    """Return the page of an error, with the status and the headers that programs get."""
    status = status_of(error)
    response = render(
        request,
        root,
        "error.html",
        who=getattr(request.state, "who", None),
        status=status,
        heading=HEADINGS.get(status, HEADINGS[500]),
        error=error,
        retried=status in RETRIED,
    )
    response.headers.update(problems.headers(error))
    return response
