"""What a change of a node's hours would end."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.models.nodes import NodeSettings, clock_zone
from orchestra.domain.node_settings import checked
from orchestra.domain.opening_hours import ALWAYS, parse
from orchestra.services.nodes.nodes import check_keeps_hours, locked
from orchestra.store.driver.database import in_transaction
from orchestra.store.nodes import nodes as store


def ended_by_hours(conn: psycopg.Connection, caller: Caller, name: str, hours: str) -> int:
    """Return how many attempts would be ended if a node had these hours from now on.

    Raises:
        NotFound, Refused, BadInput: as `change` with these hours.
    """
    asked = parse(checked(NodeSettings(open_hours=hours)).open_hours or ALWAYS)

    def work() -> int:
        node = locked(conn, caller, name)
        if asked.is_always:
            return 0
        check_keeps_hours(name, node)
        zone = clock_zone(node.utc_offset)
        if zone is None or asked.is_open(datetime.now(UTC), zone):
            return 0
        return store.running(conn, node.id)

    return in_transaction(conn, work)
