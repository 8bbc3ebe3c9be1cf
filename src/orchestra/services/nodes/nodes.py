"""Nodes: create, change, drain, stop, delete; each is one transaction."""

from __future__ import annotations

from uuid import UUID

import psycopg

from orchestra.domain import human
from orchestra.domain.caller import Caller
from orchestra.domain.errors import AlreadyExists, NotFound, Refused
from orchestra.domain.labels import with_labels
from orchestra.domain.models.nodes import UNCHANGED, Node, NodeSettings, Pilot, SlotsWanted
from orchestra.domain.naming import check_node_name
from orchestra.domain.nearest import nearest
from orchestra.domain.node_settings import checked
from orchestra.domain.opening_hours import ALWAYS
from orchestra.domain.storable import check_reason, check_text
from orchestra.domain.wording import Action, Field, words
from orchestra.services.nodes import fencing
from orchestra.services.users import users
from orchestra.services.users.rights import check_may_change, may_change
from orchestra.store.driver import channels
from orchestra.store.driver.database import in_transaction
from orchestra.store.nodes import nodes as store
from orchestra.store.nodes.nodes import LockedNode
from orchestra.store.work import pilots as pilot_store


def create(
    conn: psycopg.Connection,
    caller: Caller,
    name: str,
    cpu: SlotsWanted,
    gpu: SlotsWanted,
    settings: NodeSettings = UNCHANGED,
) -> Node:
    """Create a node, which belongs to the caller.

    Raises:
        BadInput: the name, the number of slots or a setting is invalid.
        AlreadyExists: the name is taken.
    """
    check_node_name(name)
    cpu_slots, gpu_slots = cpu.new(), gpu.new()
    settings, labels = checked(settings), with_labels({}, settings.labels)
    owner = caller.user.id

    def work() -> bool:
        node = store.insert(conn, name, owner, cpu_slots, gpu_slots)
        if node is not None:
            store.set_labels(conn, node, labels)
            store.set_settings(conn, node, settings)
        return node is not None

    if not in_transaction(conn, work):
        raise AlreadyExists(
            f'a node "{name}" already exists.',
            hint=words(Action.SET_NODE(name=name), " changes its slots."),
            kind="node",
            name=name,
        )
    return get(conn, name)


def get(conn: psycopg.Connection, name: str) -> Node:
    """Return the node with a name.

    Raises:
        NotFound: there is none.
    """
    node = find(conn, name)
    if node is None:
        raise _missing(conn, name)
    return node


def find(conn: psycopg.Connection, name: str) -> Node | None:
    """Return the node with a name, or None."""
    return store.by_name(conn, _typed(name))


def everything(conn: psycopg.Connection) -> list[Node]:
    """Return all nodes by name."""
    return store.everything(conn)


def pilots(conn: psycopg.Connection) -> list[Pilot]:
    """Return the latest pilot of each node that ever had one."""
    return store.pilots(conn)


def change(
    conn: psycopg.Connection,
    caller: Caller,
    name: str,
    cpu: SlotsWanted,
    gpu: SlotsWanted,
    settings: NodeSettings = UNCHANGED,
    *,
    owner: str | None = None,
) -> Node:
    """Change a node's slots, its owner or settings; running jobs stay, its pilot is notified at once.

    Raises:
        NotFound: there is no node, or no user, with that name.
        Refused: the node belongs to somebody else, or its pilot is too old to keep hours.
        BadInput: the number of slots or a setting is invalid.
    """
    settings = checked(settings)

    def work() -> None:
        node = locked(conn, caller, name)
        store.set_slots(conn, node.id, cpu.over(node.cpu), gpu.over(node.gpu))
        if settings.labels:
            store.set_labels(conn, node.id, with_labels(node.labels, settings.labels))
        if settings.open_hours not in (None, ALWAYS):
            check_keeps_hours(name, node)
        store.set_settings(conn, node.id, settings)
        if owner is not None:
            store.set_owner(conn, node.id, users.get(conn, owner).id)
        channels.notify(conn, channels.NODE, str(node.id))

    in_transaction(conn, work)
    return get(conn, name)


def check_keeps_hours(name: str, node: LockedNode) -> None:
    """Refuse hours for a node whose pilot would not keep to them.

    Raises:
        Refused: its pilot is of an older version.
    """
    if node.ignores_hours:
        raise Refused(
            f'the pilot of node "{name}" is of version {node.version}, which does not keep to hours.',
            hint="Upgrade orchestra-hpc on that machine. Running jobs are not affected.",
        )


def stop(conn: psycopg.Connection, caller: Caller, name: str, *, now: bool = False) -> bool:
    """Ask a node's pilot to claim nothing and to exit when its jobs have ended; `now` ends the jobs.

    Returns False if the node has no pilot. Allowed to the node's owner and to the user who started the pilot.

    Raises:
        NotFound: there is none with that name.
        Refused: both belong to somebody else.
    """

    def work() -> bool:
        node = _found(conn, name)
        if caller.name != node.started_by:
            check_may_change(caller, node.owner, f'node "{name}"')
        asked = store.ask_to_leave(conn, node.id, now=now)
        if asked:
            channels.notify(conn, channels.NODE, str(node.id))
        return asked

    return in_transaction(conn, work)


def may_stop(caller: Caller, pilot: Pilot) -> bool:
    """Whether a caller may stop a pilot: the user who started it may, and so may the node's owner and admins."""
    return caller.name == pilot.started_by or may_change(caller, pilot.owner)


def check_may_stop(caller: Caller, pilot: Pilot) -> None:
    """Refuse to stop a pilot, before the user is asked to confirm.

    Raises:
        Refused: the pilot and its node belong to somebody else, and the caller is not an admin.
    """
    if not may_stop(caller, pilot):
        check_may_change(caller, pilot.owner, f'node "{pilot.node}"')


def at_stake(conn: psycopg.Connection, caller: Caller, name: str, *, force: bool = False) -> int:
    """Return how many attempts `lose` would requeue.

    Raises:
        NotFound, Refused: as `lose`.
    """

    def work() -> int:
        jobs, online = store.busy(conn, locked(conn, caller, name).id)
        _refuse_online(name, online and not force)
        return jobs

    return in_transaction(conn, work)


def _refuse_online(name: str, online: bool) -> None:
    if online:
        raise Refused(
            f'the pilot of node "{name}" is online.',
            hint=words(
                Action.STOP_PILOT_NOW(name=name),
                " ends its jobs and requeues them.\n",
                Field.FORCE(True),
                " requeues them at once; they may run twice until the pilot is notified.",
            ),
        )


def lose(
    conn: psycopg.Connection,
    caller: Caller,
    name: str,
    *,
    why: str | None = None,
    force: bool = False,
) -> int:
    """Declare a node lost: its jobs are requeued at once; return how many attempts were lost.

    Only for a machine that is known to be off: otherwise a job may run twice at the same time. What its pilot still
    reports counts as long as no other attempt has begun; if it comes back, it starts a new keeper.

    Raises:
        BadInput: the reason cannot be stored.
        NotFound: there is none with that name.
        Refused: it belongs to somebody else, or its pilot is online and `force` is False.
    """
    check_reason(why)
    by = caller.name

    def work() -> list[UUID]:
        node = locked(conn, caller, name)
        _refuse_online(name, store.busy(conn, node.id)[1] and not force)
        reason = f"its node was declared lost by {by}" + (f": {why}" if why else "")
        keepers = pilot_store.fence_node(conn, node.id, reason)
        fencing.note(conn, keepers, reason, who=by)
        store.mark_lost(conn, node.id, by, why)
        channels.notify(conn, channels.NODE, str(node.id))
        return keepers

    keepers = in_transaction(conn, work)
    return sum(fencing.requeue(conn, keeper, who=by) for keeper in keepers)


def delete(conn: psycopg.Connection, caller: Caller, name: str) -> None:
    """Delete a node that has no jobs and no pilot.

    Raises:
        NotFound: there is none with that name.
        Refused: it belongs to somebody else, or is in use.
    """

    def work() -> None:
        node = _locked(conn, caller, name)
        jobs, online = store.busy(conn, node.id)
        if jobs:
            raise Refused(
                f'node "{name}" still has {human.count(jobs, "job")}.',
                hint=words(Action.STOP_NODE(name=name), " lets them end and starts no new ones."),
            )
        if online:
            raise Refused(
                f'the pilot of node "{name}" is online.',
                hint=words(Action.STOP_NODE(name=name), " first."),
            )
        store.delete(conn, node.id)

    in_transaction(conn, work)


def locked(conn: psycopg.Connection, caller: Caller, name: str) -> LockedNode:
    """Lock a node that the caller may change, for the rest of the transaction.

    Raises:
        NotFound: there is none with that name.
        Refused: it belongs to somebody else, or is gone.
    """
    node = _locked(conn, caller, name)
    if node.gone_at:
        raise Refused(f'node "{name}" is gone: its allocation has ended.')
    return node


def _locked(conn: psycopg.Connection, caller: Caller, name: str) -> LockedNode:
    node = _found(conn, name)
    check_may_change(caller, node.owner, f'node "{name}"')
    return node


def _found(conn: psycopg.Connection, name: str) -> LockedNode:
    node = store.lock(conn, _typed(name))
    if node is None:
        raise _missing(conn, name)
    return node


def _typed(name: str) -> str:
    return check_text(f'the node name "{human.one_line(name)}"', name)


def _missing(conn: psycopg.Connection, name: str) -> NotFound:
    names = [node.name for node in store.everything(conn)]
    guess = nearest(name, names)
    return NotFound(
        f'there is no node "{name}".' + (f' Did you mean "{guess}"?' if guess else ""),
        hint=words(Action.CREATE_NODE_NAMED(name=name), " creates one."),
        kind="node",
        name=name,
    )
