"""Carries out the requests of `interface/queues.py`."""

from __future__ import annotations

from orchestra.interface import queues as ask
from orchestra.interface.answers.order import QueueOrder
from orchestra.interface.answers.queues import QueueReport
from orchestra.interface.local import Scope
from orchestra.services.nodes import queues
from orchestra.services.tasks import order


def show_queue(scope: Scope, asked: ask.ShowQueue) -> QueueReport:
    return queues.show_queue(scope.conn, asked.queue)


def show_order(scope: Scope, _asked: ask.ShowOrder) -> QueueOrder:
    return order.show_order(scope.conn)
