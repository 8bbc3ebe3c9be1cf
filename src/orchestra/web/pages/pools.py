"""The pools: what runs, what is pending and why, and the last allocations along time."""

from __future__ import annotations

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.pools import pool_text
from orchestra.interface.pools import ListPools, ShowPool
from orchestra.web.rendering import page
from orchestra.web.timeline import timeline

ENDED = 200
"""Allocations that have ended, along time."""
LISTED = 20


def show_pools(call: Call) -> Response:
    """Show all pools."""
    return page(call, "pools.html", here="Pools", pools=call.ask(ListPools()))


def show_pool(call: Call) -> Response:
    """Show one pool.

    Raises:
        NotFound: there is none of this name.
    """
    report = call.ask(ShowPool(call.params["name"], ENDED))
    pool = report.pool
    return page(
        call,
        "pool.html",
        here="Pools",
        pool=pool,
        running=pool_text.running(pool),
        pending=pool_text.pending(pool),
        ended=report.ended[:LISTED],
        timeline=timeline((*pool.live, *report.ended), report.now),
        may_change=call.identity.caller.may_change(pool.owner),
    )


ENDPOINTS = (
    Endpoint("GET", "/pools", show_pools),
    Endpoint("GET", "/pools/{name}", show_pool),
)
