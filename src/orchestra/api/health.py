"""Whether a server lives, whether it can work, and its figures for a monitoring system."""

from __future__ import annotations

from ipaddress import ip_address

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

import orchestra
from orchestra.api import metrics
from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.errors import NotSignedIn

_PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-real-ip")


def alive(_call: Call) -> Response:
    """Answer that the process serves, whatever the database does."""
    return PlainTextResponse("ok\n")


def ready(call: Call) -> Response:
    """Answer that requests can be carried out.

    Raises:
        DatabaseUnavailable: they cannot; the answer is 503.
    """
    call.server.check()
    return PlainTextResponse("ready\n")


def show_metrics(call: Call) -> Response:
    """Return the figures, to whoever is signed in and to programs of this machine.

    Raises:
        NotSignedIn: it is neither.
    """
    if call.who is None and not _is_of_this_machine(call.request):
        raise NotSignedIn(
            "figures are for users, and for programs of this machine.",
            hint="Send a token: Authorization: Bearer orc_...",
        )
    server = call.server
    text = metrics.render(
        server.figures(),
        server.requests,
        streams=server.hub.listeners,
        version=orchestra.__version__,
    )
    return Response(text, media_type=metrics.MEDIA_TYPE)


def _is_of_this_machine(request: Request) -> bool:
    """Whether a request comes over the loopback, and not from a proxy there that this server was not told of."""
    if request.client is None or any(each in request.headers for each in _PASSED_ON):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False


ENDPOINTS = (
    Endpoint("GET", "/healthz", alive, open=True),
    Endpoint("GET", "/readyz", ready, open=True),
    Endpoint("GET", "/metrics", show_metrics, open=True),
)
