"""The caller's tokens and sessions: make, revoke, end."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.errors import BadInput, NotFound, OrchestraError
from orchestra.domain.models.credentials import NewToken, Token
from orchestra.interface.problems import status_of
from orchestra.interface.sessions import EndSession, ListSessions
from orchestra.interface.tokens import CreateToken, ListTokens, RevokeToken
from orchestra.web.forms import Form, posted
from orchestra.web.rendering import go, page

DAY = 86400.0
LIVES = {"7": "7 days", "30": "30 days", "365": "1 year", "": "without end"}
"""For how many days a new token works, and how that is called."""


def show(call: Call) -> Response:
    """Show the caller's tokens and sessions, and a form for a new token."""
    return _page(call, Form({"days": ("30",), "admin": ("true",)}))


def create(call: Call) -> Response:
    """Make a token. Its secret is on the page that answers, and on no other."""
    form = posted(call)
    days = form.text("days")
    try:
        if days not in LIVES:
            raise BadInput("choose for how long the token works.", field="days")
        seconds = int(days) * DAY if days else None
        made = call.ask(
            CreateToken(name=form.text("name"), seconds=seconds, admin=form.ticked("admin"))
        )
    except BadInput as error:
        return _page(call, form, error=error)
    return _page(call, Form({}), made=made)


def _page(
    call: Call, form: Form, *, made: NewToken | None = None, error: OrchestraError | None = None
) -> Response:
    with call.server.interface(call.identity) as ask:
        tokens, sessions = ask(ListTokens()), ask(ListSessions())
    return page(
        call,
        "tokens.html",
        status=status_of(error) if error else 200,
        here="Users",
        tokens=tokens,
        sessions=sessions,
        works=lambda token: token.works(datetime.now(UTC)),
        lives=list(LIVES.items()),
        form=form,
        made=made,
        error=error,
    )


def ask_before_revocation(call: Call) -> Response:
    """Say what the revocation of a token would do.

    Raises:
        NotFound: the caller has no such token.
    """
    token = _own(call)
    return page(
        call,
        "preview.html",
        here="Users",
        question=f"Revoke token {token.start}...?",
        consequences=(
            "Programs that use it are refused at once.",
            "Browsers that signed in with it are signed out.",
        ),
        path=f"/tokens/{token.id}/revoke",
        button="Revoke",
        kind="danger",
        back="/tokens",
    )


def revoke(call: Call) -> Response:
    """Revoke a token.

    Raises:
        NotFound: the caller has no such token.
    """
    token = call.ask(RevokeToken(_own(call).id))
    return go(call, "/tokens", f"Token {token.start}... is revoked.")


def _own(call: Call) -> Token:
    for token in call.ask(ListTokens()):
        if str(token.id) == call.params["token"]:
            return token
    raise NotFound("you have no such token.")


def end_session(call: Call) -> Response:
    """End a session.

    Raises:
        NotFound: there is no such session.
        NotAllowed: it is somebody else's.
    """
    number = call.params["session"]
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise NotFound("there is no such session.")
    call.ask(EndSession(int(number)))
    return go(call, "/tokens", "The session has ended.")


ENDPOINTS = (
    Endpoint("GET", "/tokens", show),
    Endpoint("POST", "/tokens", create),
    Endpoint("GET", "/tokens/{token}/revoke", ask_before_revocation),
    Endpoint("POST", "/tokens/{token}/revoke", revoke),
    Endpoint("POST", "/sessions/{session}/end", end_session),
)
