"""An agent attaches to its node, renews its keepers' leases, and detaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import psycopg

from orchestra.domain import human
from orchestra.domain.errors import (
    DatabaseReplaced,
    KeeperFenced,
    NotFound,
    Refused,
    SchemaMismatch,
)
from orchestra.domain.models.cluster import KnownDatabase
from orchestra.domain.models.nodes import FoundResources
from orchestra.domain.models.pilots import (
    AllocationNews,
    HeartbeatReply,
    KeeperHello,
    PilotHello,
    Window,
)
from orchestra.domain.states import Queue
from orchestra.domain.storable import storable as made_storable
from orchestra.domain.storable import with_storable_texts
from orchestra.domain.troubles import Trouble
from orchestra.domain.wording import Action, Field, words
from orchestra.services.database import recovery
from orchestra.services.nodes import fencing
from orchestra.services.work import joining
from orchestra.store.driver.database import in_transaction
from orchestra.store.nodes import nodes
from orchestra.store.nodes.nodes import LockedNode
from orchestra.store.schema import migrate
from orchestra.store.work import attempts, pilots

PROTOCOL = 1
LEASE_SECONDS = 12 * 3600.0


def attach(
    conn: psycopg.Connection,
    hello: PilotHello,
    *,
    lease: float = LEASE_SECONDS,
    known: KnownDatabase | None = None,
) -> HeartbeatReply:
    """Make this agent the one that decides for its node.

    It supersedes an agent on the same machine (which learns it at its next renewal). An agent on another machine under
    the same node name is refused while that one is alive. May be repeated. In an allocation, the node is made.

    Keepers from before the machine's last boot are dead and fenced at once. Their jobs are requeued by `close_out`,
    once their outcomes are reported, or soon after by the conductor.

    `known` is what this pilot remembers of the database. A database that knows less was replaced by an older one: its
    epoch is raised, and it settles (see `services/database/recovery.py`).

    Raises:
        NotFound: there is no node with that name.
        Refused: a pilot of another machine serves this node or has jobs on it, or one of another account serves it
            here; or the allocation has ended.
        SchemaMismatch: the database has no schema, or this pilot is too old for it.
        ForeignDatabase: the database belongs to another cluster.
    """

    hello = with_storable_texts(hello)
    if hello.found is not None:
        hello = replace(hello, found=_storable_found(hello.found))

    def work() -> HeartbeatReply:
        migrate.check(conn, newer_allowed=1)
        identity = recovery.recognise(conn, known, who=f"pilot {hello.node}")
        _check_protocol(conn, hello)
        node, idle = _node(conn, hello)
        _refuse_second_machine(conn, node.id, hello)
        pilots.attach(conn, node.id, hello)
        reason = "its node was restarted"
        fenced = pilots.fence_older_boots(conn, node.id, hello, reason)
        fencing.note(conn, fenced, reason, who=f"pilot {hello.node}")
        return HeartbeatReply(
            node.id,
            lease,
            node.enabled,
            identity=identity,
            memory_bytes=node.memory_bytes,
            open_hours=node.open_hours,
            drain_in=node.drain_in,
            nice=node.nice,
            idle=idle,
        )

    return in_transaction(conn, work)


def _node(conn: psycopg.Connection, hello: PilotHello) -> tuple[LockedNode, float | None]:
    """Return the locked node, and for one in an allocation, the seconds after which an idle pilot may leave it."""
    if hello.allocation:
        return joining.join(conn, hello, hello.allocation)
    node = nodes.lock(conn, hello.node)
    if node is None:
        raise NotFound(
            f'there is no node "{hello.node}".',
            hint=words(Action.CREATE_NODE_NAMED(name=hello.node)),
            kind="node",
            name=hello.node,
        )
    joining.refuse_stranger(conn, hello, node.id)
    return node, None


def _storable_found(found: FoundResources) -> FoundResources:
    devices = found.devices
    named = None if devices is None else tuple(with_storable_texts(device) for device in devices)
    return replace(with_storable_texts(found), devices=named)


def _refuse_second_machine(conn: psycopg.Connection, node_id: int, hello: PilotHello) -> None:
    serving = pilots.serving_pilot(conn, node_id)
    if serving is None:
        return
    if serving.is_on_machine_of(hello):
        _refuse_second_account(serving, hello)
        return
    if serving.alive:
        raise Refused(
            f'node "{hello.node}" is served by a pilot on {serving.host}.',
            hint="Give this machine a node of its own, or stop that pilot first.",
        )
    if jobs := pilots.jobs_elsewhere(conn, node_id, hello):
        raise Refused(
            f'node "{hello.node}" has {human.count(jobs, "job")} on {serving.host}, which was last seen '
            f"{human.relative(-serving.silent_for)}.",
            hint=words("If that machine is gone: ", Action.LOSE_NODE(name=hello.node)),
        )


def _refuse_second_account(serving: pilots.ServingPilot, hello: PilotHello) -> None:
    """Refuse another account: it cannot adopt the other's keepers, which would start an agent of their own."""
    if serving.alive and serving.account != hello.account:
        raise Refused(
            f'node "{hello.node}" is served by a pilot of {serving.account} on this machine.',
            hint=words(
                "Two pilots on one machine need two nodes: create one with another name for yours (",
                Action.CREATE_NODE,
                f"), or have {serving.account} start theirs with ",
                Field.SERVE_ALL(True),
                ".",
            ),
        )


def _check_protocol(conn: psycopg.Connection, hello: PilotHello) -> None:
    protocol, oldest = pilots.protocols(conn)
    if hello.protocol < oldest:
        raise SchemaMismatch(
            f"this pilot speaks protocol {hello.protocol}, the database supports {oldest} to {protocol}.",
            hint="Upgrade orchestra-hpc on this node. Running jobs are not affected.",
        )


def register_keeper(
    conn: psycopg.Connection,
    node_id: int,
    keeper: KeeperHello,
    *,
    lease: float = LEASE_SECONDS,
    expires: bool = True,
) -> None:
    """Register a keeper, so that attempts can be granted to it. May be repeated.

    With `expires=False` its jobs outlive its lease: they are never requeued because it is silent.

    Raises:
        KeeperFenced: it has been fenced; start another one.
    """

    def work() -> bool:
        return pilots.register_keeper(
            conn, node_id, with_storable_texts(keeper), lease, expires=expires
        )

    if not in_transaction(conn, work):
        raise KeeperFenced(f"keeper {keeper.id} has been fenced")


def renew(
    conn: psycopg.Connection,
    node_id: int,
    agent: UUID,
    keepers: Sequence[UUID],
    *,
    lease: float = LEASE_SECONDS,
    expires: bool = True,
    troubles: Sequence[Trouble] = (),
    silent: Sequence[str] = (),
    found: FoundResources | None = None,
    window: Window | None = None,
    epoch: int | None = None,
    news: AllocationNews | None = None,
) -> HeartbeatReply:
    """Renew the leases of an agent's keepers, and return what is requested of the node. May be repeated.

    Args:
        expires: as for `register_keeper`.
        troubles: what the pilot reports about itself, for `node list`.
        silent: folders and files that do not respond on its machine.
        found: what it finds on its machine, None for no change.
        window: when the node opens and closes, by its clock; None if it has no hours, as far as the pilot knows.
        epoch: as returned by `attach`.
        news: what the pilot has learnt of its allocation.

    Raises:
        DatabaseReplaced: the database was replaced in the meantime; attach again. Nothing was renewed.
    """

    said = [with_storable_texts(trouble) for trouble in troubles]
    dead = [made_storable(path) for path in silent]
    changed = None if found is None else _storable_found(found)

    def work() -> HeartbeatReply:
        if epoch is not None and pilots.epoch(conn) != epoch:
            raise DatabaseReplaced
        if news:
            joining.note_news(conn, node_id, news)
            if changed:
                joining.fit(conn, node_id, news.id, changed)
        requests = pilots.renew_pilot(conn, node_id, agent, said, dead, changed, window)
        if requests is None:
            return HeartbeatReply(node_id, lease, {Queue.CPU: 0, Queue.GPU: 0}, superseded=True)
        pilots.renew_keepers(conn, node_id, keepers, lease, expires=expires)
        return HeartbeatReply(
            node_id,
            lease,
            requests.enabled,
            leave=requests.leave or requests.leave_now,
            leave_now=requests.leave_now,
            end=tuple(attempts.attempts_to_end(conn, node_id)),
            recall=tuple(attempts.attempts_to_recall(conn, node_id)),
            fenced=pilots.fenced_keepers(conn, keepers),
            generation=requests.generation,
            memory_bytes=requests.memory_bytes,
            open_hours=requests.open_hours,
            drain_in=requests.drain_in,
            nice=requests.nice,
            idle=requests.idle,
        )

    return in_transaction(conn, work)


def detach(
    conn: psycopg.Connection,
    node_id: int,
    agent: UUID,
    keepers: Sequence[UUID],
    news: AllocationNews | None = None,
) -> None:
    """Detach an agent: its node is shown as offline at once, and keepers without attempts are deleted.

    The node of an allocation is gone then, and with the last one the allocation has ended. `news` as for `renew`.
    """

    def work() -> None:
        if news:
            joining.note_news(conn, node_id, news)
            joining.leave(conn, node_id, agent)
        pilots.detach(conn, node_id, agent, keepers)

    in_transaction(conn, work)
