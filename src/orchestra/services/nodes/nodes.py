"""What can be done with machines: make, change, drain, stop, delete; each one transaction."""

from __future__ import annotations

from uuid import UUID

import psycopg

from orchestra.domain import human
from orchestra.domain.caller import Caller
from orchestra.domain.errors import AlreadyExists, NotFound, Refused
from orchestra.domain.models.nodes import Node, Pilot, SlotsWanted
from orchestra.domain.naming import check_node_name
from orchestra.domain.nearest import nearest
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
    conn: psycopg.Connection, caller: Caller, name: str, cpu: SlotsWanted, gpu: SlotsWanted
) -> Node:
    """Make a node, which belongs to the caller.

    Raises:
        BadInput: the name or the slots cannot be.
        AlreadyExists: the name is taken.
    """
    check_node_name(name)
    cpu_slots, gpu_slots = cpu.new(), gpu.new()
    owner = caller.user.id
    if not in_transaction(conn, lambda: store.insert(conn, name, owner, cpu_slots, gpu_slots)):
        raise AlreadyExists(
            f'there is a node "{name}" already.',
            hint=words(Action.SET_NODE(name=name), " changes its slots."),
            kind="node",
            name=name,
        )
    return get(conn, name)


def get(conn: psycopg.Connection, name: str) -> Node:
    """Give the node of that name.

    Raises:
        NotFound: there is none.
    """
    node = find(conn, name)
    if node is None:
        raise _missing(conn, name)
    return node


def find(conn: psycopg.Connection, name: str) -> Node | None:
    """Give the node of that name, None where there is none."""
    return store.by_name(conn, _typed(name))


def everything(conn: psycopg.Connection) -> list[Node]:
    """Give all nodes by name."""
    return store.everything(conn)


def pilots(conn: psycopg.Connection) -> list[Pilot]:
    """Give the last pilot of each node that ever had one."""
    return store.pilots(conn)


def change(
    conn: psycopg.Connection,
    caller: Caller,
    name: str,
    cpu: SlotsWanted,
    gpu: SlotsWanted,
    *,
    owner: str | None = None,
) -> Node:
    """Change how many slots a node has, or whose it is; running jobs stay, its pilot learns it at once.

    Raises:
        NotFound: there is no node, or no user, of that name.
        Refused: it is somebody else's.
        BadInput: the slots cannot be.
    """

    def work() -> None:
        node = _locked(conn, caller, name)
        store.set_slots(conn, node.id, cpu.over(node.cpu), gpu.over(node.gpu))
        if owner is not None:
            store.give(conn, node.id, users.get(conn, owner).id)
        channels.notify(conn, channels.NODE, str(node.id))

    in_transaction(conn, work)
    return get(conn, name)


def drain(conn: psycopg.Connection, caller: Caller, name: str, *, reason: str | None) -> None:
    """Let no new job start on a node; the running ones go on. May be repeated, with another reason.

    Raises:
        BadInput: the reason cannot be kept.
        NotFound: there is none of that name.
        Refused: it is somebody else's.
    """

    check_reason(reason)

    def work() -> None:
        node = _locked(conn, caller, name)
        store.drain(conn, node.id, caller.name, reason)
        channels.notify(conn, channels.NODE, str(node.id))

    in_transaction(conn, work)


def resume(conn: psycopg.Connection, caller: Caller, name: str) -> bool:
    """Let jobs start on a node again; False where it was not drained.

    Raises:
        NotFound: there is none of that name.
        Refused: it is somebody else's.
    """

    def work() -> bool:
        node = _locked(conn, caller, name)
        if node.drained:
            store.resume(conn, node.id, caller.name)
            channels.notify(conn, channels.NODE, str(node.id))
        return node.drained

    return in_transaction(conn, work)


def stop(conn: psycopg.Connection, caller: Caller, name: str, *, now: bool = False) -> bool:
    """Ask a node's pilot to take nothing new and to leave when its jobs have ended; `now` has them ended.

    Gives False where no pilot is there.

    Who started the pilot may ask it as well as the node's owner.

    Raises:
        NotFound: there is none of that name.
        Refused: both are somebody else's.
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
    """Whether `stop` lets a caller end a pilot: who started it may, and who may change its node."""
    return caller.name == pilot.started_by or may_change(caller, pilot.owner)


def check_may_stop(caller: Caller, pilot: Pilot) -> None:
    """Refuse to end a pilot before anybody is asked whether to.

    Raises:
        Refused: it and its node are somebody else's, and the caller is no admin.
    """
    if not may_stop(caller, pilot):
        check_may_change(caller, pilot.owner, f'node "{pilot.node}"')


def at_stake(conn: psycopg.Connection, caller: Caller, name: str, *, force: bool = False) -> int:
    """Give how many attempts `lose` would give away.

    Raises:
        NotFound, Refused: as it does.
    """

    def work() -> int:
        jobs, online = store.busy(conn, _locked(conn, caller, name).id)
        _refuse_online(name, online and not force)
        return jobs

    return in_transaction(conn, work)


def _refuse_online(name: str, online: bool) -> None:
    if online:
        raise Refused(
            f'the pilot of node "{name}" is online.',
            hint=words(
                Action.STOP_PILOT_NOW(name=name),
                " has its jobs ended and given to others.\n",
                Field.FORCE(True),
                " gives them away at once; until it hears of it they run twice.",
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
    """Declare a node lost: whatever ran there is given to others at once; gives how many attempts that were.

    To be said of a machine that is known to be off, or a job may run twice at the same time. What its pilot still
    reports counts as long as no other attempt has begun; it gets a new keeper if it comes back.

    Raises:
        BadInput: the reason cannot be kept.
        NotFound: there is none of that name.
        Refused: it is somebody else's; or its pilot is online, and `force` is not given.
    """
    check_reason(why)
    by = caller.name

    def work() -> list[UUID]:
        node = _locked(conn, caller, name)
        _refuse_online(name, store.busy(conn, node.id)[1] and not force)
        reason = f"its node was declared lost by {by}" + (f": {why}" if why else "")
        keepers = pilot_store.fence_node(conn, node.id, reason)
        fencing.note(conn, keepers, reason, who=by)
        store.lose(conn, node.id, by, why)
        channels.notify(conn, channels.NODE, str(node.id))
        return keepers

    keepers = in_transaction(conn, work)
    return sum(fencing.give_away(conn, keeper, who=by) for keeper in keepers)


def delete(conn: psycopg.Connection, caller: Caller, name: str) -> None:
    """Delete a node that holds no job and whose pilot is gone.

    Raises:
        NotFound: there is none of that name.
        Refused: it is somebody else's, or in use.
    """

    def work() -> None:
        node = _locked(conn, caller, name)
        jobs, online = store.busy(conn, node.id)
        if jobs:
            raise Refused(
                f'node "{name}" still holds {human.count(jobs, "job")}.',
                hint=words(Action.STOP_NODE(name=name), " lets them end and takes no more."),
            )
        if online:
            raise Refused(
                f'the pilot of node "{name}" is online.',
                hint=words(Action.STOP_NODE(name=name), " first."),
            )
        store.delete(conn, node.id)

    in_transaction(conn, work)


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
        hint=words(Action.CREATE_NODE_NAMED(name=name), " makes one."),
        kind="node",
        name=name,
    )
