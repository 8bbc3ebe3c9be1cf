"""The page that says what went wrong: the error's sentence and its hint, in the pages' words."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse

from orchestra.domain.errors import OrchestraError
from orchestra.web.rendering import Identity, render

HEADINGS = {
    400: "This request was not understood",
    403: "You may not do this",
    404: "There is no such page",
    405: "There is no such page",
    409: "This is not possible now",
    413: "This is too large",
    421: "This address is not served here",
    422: "This was not understood",
    429: "Too many attempts",
    500: "Something went wrong in the server",
    502: "Something went wrong between servers",
    503: "The database cannot be reached",
    504: "This took too long",
}
"""The heading of each status. Others have that of 500."""
RETRIED = (503, 504)
"""What passes by itself, so that the page tries again."""


def error_page(
    request: Request, identity: Identity | None, status: int, error: OrchestraError
) -> HTMLResponse:
    """Return the page of an error."""
    return render(
        request,
        "error.html",
        identity=identity,
        status=status,
        heading=HEADINGS.get(status, HEADINGS[500]),
        error=error,
        retried=status in RETRIED,
    )
