"""Signing in and out."""

from __future__ import annotations

from starlette.responses import Response

from orchestra.api import cookies
from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.api.identity import note_failure
from orchestra.domain.errors import NotSignedIn, TooManyAttempts
from orchestra.web.forms import posted
from orchestra.web.rendering import go
from orchestra.web.sign_in import is_path, sign_in_page


def show(call: Call) -> Response:
    """Show how to sign in."""
    return sign_in_page(call.server, call.request)


def sign_in(call: Call) -> Response:
    """Begin a session with a one-time code or a token, and go on to the page that was asked for."""
    form = posted(call)
    code, token, then = form.text("code"), form.text("token"), form.text("then")
    then = then if is_path(then) else "/"
    try:
        try:
            begun = call.server.accounts.sign_in(code=code or None, token=None if code else token)
        except NotSignedIn:
            note_failure(call.server, call.request, code or token)
            raise
    except (NotSignedIn, TooManyAttempts) as error:
        return sign_in_page(call.server, call.request, error, then=then)
    if older := cookies.session_cookie(call.server, call.request):
        call.server.accounts.sign_out(older)
    response = go(call, then)
    cookies.keep(call.server, call.request, response, begun)
    return response


def sign_out(call: Call) -> Response:
    """End the session of this browser."""
    if cookie := cookies.session_cookie(call.server, call.request):
        call.server.accounts.sign_out(cookie)
    response = go(call, "/in", "You are signed out.")
    cookies.forget(call.server, call.request, response)
    return response


ENDPOINTS = (
    Endpoint("GET", "/in", show, open=True),
    Endpoint("POST", "/in", sign_in, open=True),
    Endpoint("POST", "/sign-out", sign_out, open=True),
)
