"""Carries out the requests of `interface/cluster.py`."""

from __future__ import annotations

from orchestra.domain.models.cluster import Recovery
from orchestra.interface import cluster as ask
from orchestra.interface.local import Scope
from orchestra.services.tasks import standstill


def why_settling(scope: Scope, _asked: ask.WhySettling) -> Recovery | None:
    return standstill.state(scope.conn)
