"""Who a request is from."""

from __future__ import annotations

import pwd

from starlette.requests import Request as HttpRequest

from orchestra.api.peers import peer_of
from orchestra.api.server import Server
from orchestra.domain.identities import Identity, Via


def identify(server: Server, request: HttpRequest) -> Identity | None:
    """Return who a request is from, or None if it does not say.

    Raises:
        NotSignedIn: it says so in a way that is not valid, or not valid any more.
        TooManyAttempts: there were too many of these.
    """
    if peer := peer_of(request):
        user = server.user_of(peer.uid)
        return Identity(user, user.is_admin, Via.SOCKET, account=account_name(peer.uid))
    return None


def account_name(uid: int) -> str:
    """Return the name of a Unix account, or "uid1234" for one that has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid{uid}"
