"""A cluster at a glance."""

from __future__ import annotations

from itertools import islice

import psycopg

from orchestra.domain.attention import Facts, needs
from orchestra.domain.caller import Caller
from orchestra.domain.estimates import estimate_end
from orchestra.domain.models.nodes import Node
from orchestra.domain.models.overview import QueueUse, last_hours
from orchestra.domain.states import Queue
from orchestra.interface.answers.overview import Overview
from orchestra.interface.answers.tasks import TaskLine
from orchestra.services.prospects import prospects
from orchestra.services.tasks import standstill
from orchestra.services.users import users
from orchestra.store.cluster import leader
from orchestra.store.mail import mails
from orchestra.store.nodes import nodes as node_store
from orchestra.store.nodes import queues
from orchestra.store.tasks import overview as store

LIVE = 500
"""Live tasks that are looked at, the newest ones."""
ENDED = 20
"""Tasks with failures that are told, the latest ones."""
ATTENTION = 50
"""Things that need attention that are told."""


def show(conn: psycopg.Connection, caller: Caller, owner: str | None) -> Overview:
    """Return what needs attention and what runs, of one user's tasks or of everybody's.

    Raises:
        NotFound: there is no such user.
    """
    if owner is not None:
        users.get(conn, owner)
    seen = store.read(conn, owner=owner, live=LIVE, ended=ENDED)
    nodes = node_store.everything(conn)
    pools = {queue: prospects(conn, queue) for queue in Queue}
    facts = Facts(
        now=seen.now,
        recovery=standstill.state(conn),
        conductor=queues.conductor_alive(conn),
        stuck=leader.troubles(conn).stuck,
        live=seen.live,
        ended=seen.ended,
        pilots=node_store.pilots(conn),
        offers={queue: queues.offers(conn, queue) for queue in Queue},
        pools=pools,
        mail=mails.late(conn, None if caller.admin else caller.user.id),
    )
    lines = (TaskLine(task, estimate_end(task, seen.now)) for task in seen.live)
    return Overview(
        now=seen.now,
        attention=tuple(islice(needs(facts), ATTENTION)),
        live=tuple(lines),
        live_tasks=seen.live_tasks,
        queues=tuple(
            QueueUse(queue, _enabled(nodes, queue), _in_use(nodes, queue), seen.waiting[queue])
            for queue in Queue
        ),
        nodes=len(nodes),
        nodes_online=sum(node.online for node in nodes),
        hours=last_hours(store.hourly_ends(conn), seen.now),
        pools=tuple(each.pool for queue in Queue for each in pools[queue]),
    )


def _enabled(nodes: list[Node], queue: Queue) -> int:
    there = [node for node in nodes if node.online and node.drained_at is None]
    return sum((node.cpu if queue is Queue.CPU else node.gpu).enabled for node in there)


def _in_use(nodes: list[Node], queue: Queue) -> int:
    return sum(node.cpu_in_use if queue is Queue.CPU else node.gpu_in_use for node in nodes)
