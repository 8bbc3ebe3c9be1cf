"""When a node is open, and when it will be drained, in words. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.models.nodes import Node
from orchestra.domain.opening_hours import parse

DAY, WEEK = timedelta(days=1), timedelta(days=7)


def short_moment(moment: datetime, now: datetime, zone: tzinfo | None = None) -> str:
    """A moment in the future as short as it is clear: `18:00`, `Fri 18:00`, `2026-12-11 18:00`.

    `zone` is the reader's, None for that of this machine.
    """
    local = moment.astimezone(zone)
    if moment - now < DAY - timedelta(minutes=1):
        return f"{local:%H:%M}"
    return f"{local:%a %H:%M}" if moment - now < WEEK - DAY else f"{local:%Y-%m-%d %H:%M}"


def hours_now(node: Node, now: datetime) -> str | None:
    """Whether a node is open, by its own clock: `open until 07:00`, `closed until Sat 00:00`; None without hours.

    Where its pilot does not say so, only the hours: `open 19:00-07:00 every day`.
    """
    if node.open_hours is None:
        return None
    if node.online and not node.keeps_hours:
        return f"its pilot, version {node.version}, does not keep to its hours"
    zone = node.zone
    if node.online and zone and node.opens_at and node.opens_at > now:
        return f"closed until {short_moment(node.opens_at, now, zone)}"
    if node.online and zone and not node.opens_at and node.closes_at and node.closes_at > now:
        return f"open until {short_moment(node.closes_at, now, zone)}"
    return f"open {hours_in_words(node.open_hours)}"


def hours_in_words(hours: str) -> str:
    """`19:00-07:00 every day and all of sat`; hours of a later version, which cannot be read here, as they are."""
    try:
        return parse(hours).in_words
    except BadInput:
        return one_line(hours)


def planned_drain(node: Node, now: datetime, zone: tzinfo | None = None) -> str | None:
    """When a node will be drained, in the reader's zone: `drains Fri 18:00 by ana: new disk`; None for never."""
    if node.drain_at is None:
        return None
    why = f': "{one_line(node.drain_at_reason)}"' if node.drain_at_reason else ""
    return f"drains {short_moment(node.drain_at, now, zone)} by {node.drain_at_by}{why}"
