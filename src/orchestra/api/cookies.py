"""The cookie of a session."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from orchestra.api.server import Server
from orchestra.domain.models.credentials import NewSession


def cookie_name(server: Server, request: HttpRequest) -> str:
    """Return the name of the cookie: one for each cluster, since browsers send cookies to all ports of a host.

    With TLS, the prefix has browsers refuse one that another host, or a page without TLS, has set.
    """
    name = f"orchestra-{server.cluster[:8]}" if server.cluster else "orchestra"
    return f"__Host-{name}" if _is_encrypted(request) else name


def session_cookie(server: Server, request: HttpRequest) -> str | None:
    """Return the value of the cookie of a request."""
    return request.cookies.get(cookie_name(server, request)) or None


def keep(server: Server, request: HttpRequest, response: Response, begun: NewSession) -> None:
    """Have the browser keep a session's cookie until the session ends."""
    left = begun.session.ends_at - datetime.now(UTC)
    response.set_cookie(
        cookie_name(server, request),
        begun.secret,
        max_age=max(0, int(left.total_seconds())),
        path=_path(server, request),
        secure=_is_encrypted(request),
        httponly=True,
        samesite="lax",
    )


def forget(server: Server, request: HttpRequest, response: Response) -> None:
    """Have the browser delete the cookie."""
    response.delete_cookie(
        cookie_name(server, request),
        path=_path(server, request),
        secure=_is_encrypted(request),
        httponly=True,
        samesite="lax",
    )


def _is_encrypted(request: HttpRequest) -> bool:
    return request.url.scheme == "https"


def _path(server: Server, request: HttpRequest) -> str:
    """Return the paths to which the cookie is sent; __Host- wants all."""
    return "/" if _is_encrypted(request) else f"{server.root_path}/"
