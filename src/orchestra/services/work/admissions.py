"""Which placements admit a node, as its agent remembers it from one claim to the next."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import psycopg

from orchestra.domain.placement import admits, labels_of
from orchestra.store.nodes import nodes
from orchestra.store.tasks import placements
from orchestra.store.work.claims import ClaimingPilot

MOST = 10_000
"""Placements that are remembered; then all are evaluated again as they are met."""


@dataclass(slots=True)
class Admissions:
    """The placements that refuse a node and those that admit it.

    A placement never changes, so each is evaluated once for the same labels (`described`) and the same database.
    """

    refused: set[int] = field(default_factory=set)
    admitted: set[int] = field(default_factory=set)
    _made_for: tuple[int, str | None] | None = None

    def renew(self, pilot: ClaimingPilot) -> None:
        """Forget everything if the labels of the node or the database have changed."""
        made_for = pilot.epoch, pilot.described
        if made_for != self._made_for or len(self.refused) + len(self.admitted) > MOST:
            self.refused, self.admitted, self._made_for = set(), set(), made_for

    def learn(self, conn: psycopg.Connection, node: str, met: Collection[int]) -> None:
        """Evaluate those of the placements that were not met before."""
        new = set(met) - self.admitted - self.refused
        if not new:
            return
        found = nodes.by_name(conn, node)
        labels = labels_of(found) if found else {}
        for place, placement in placements.some(conn, new).items():
            (self.admitted if admits(placement, node, labels) else self.refused).add(place)
        self.refused |= new - self.admitted
