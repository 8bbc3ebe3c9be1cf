"""Who a request is from: by its token, by its session's cookie, or by the Unix socket that it came through."""

from __future__ import annotations

from starlette.requests import Request as HttpRequest

from orchestra.api.cookies import session_cookie
from orchestra.api.origin import check_origin
from orchestra.api.peers import check_peer, peer_of
from orchestra.api.server import Server
from orchestra.domain.access_secrets import start_of
from orchestra.domain.errors import NotSignedIn
from orchestra.domain.identities import Identity


def identify(server: Server, request: HttpRequest) -> Identity | None:
    """Return who a request is from, or None if it does not say.

    A token counts before a cookie, and both before the socket. A browser adds a cookie by itself, also to what another
    site has it send; a token it does not.

    Raises:
        NotSignedIn: it says so in a way that is not valid, or not valid any more.
        TooManyAttempts: there were too many of these.
        CrossSite: another site has a browser make it.
    """
    authorization = request.headers.get("authorization")
    if authorization is not None:
        return _of_token(server, request, authorization)
    cookie = session_cookie(server, request)
    check_origin(request.method, request.headers, ambient=cookie is not None)
    if cookie is not None and (who := server.accounts.of_session(cookie)):
        return who
    if peer := peer_of(request):
        check_peer(peer, request.headers, trust_ssh=server.settings.trust_ssh)
        return server.accounts.of_peer(peer.uid)
    return None


def _of_token(server: Server, request: HttpRequest, authorization: str) -> Identity:
    kind, _, secret = authorization.partition(" ")
    try:
        if kind.lower() != "bearer":
            raise NotSignedIn(
                "the header Authorization has no token.",
                hint="It looks like this: Authorization: Bearer orc_...",
            )
        return server.accounts.of_token(secret.strip())
    except NotSignedIn:
        note_failure(server, request, secret.strip())
        raise


def note_failure(server: Server, request: HttpRequest, secret: str) -> None:
    """Note that something that should prove a caller did not.

    Raises:
        TooManyAttempts: there were too many from this address, or with this beginning.
    """
    server.failures.note(f"from {address_of(request)}", f"with {start_of(secret)}")


def address_of(request: HttpRequest) -> str:
    """Return where a request comes from: an address, or the account at the other end of the Unix socket."""
    if peer := peer_of(request):
        return f"uid {peer.uid}"
    return request.client.host if request.client else ""
