"""Carries out the requests of `interface/results.py`."""

from __future__ import annotations

from orchestra.domain.models.results import Sources
from orchestra.interface import results as ask
from orchestra.interface.local import Scope
from orchestra.services.tasks import results, selection


def find_results(scope: Scope, asked: ask.FindResults) -> Sources:
    if asked.sample:
        return results.sampled(scope.conn, selection.find(scope.conn, asked.word), results.SHOWN)
    return results.look_up(scope.conn, asked.word, live=asked.live)
