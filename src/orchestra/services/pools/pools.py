"""Pools: create, change, pause, resume, delete; each is one transaction.

What follows from them is done by the process that runs the pool: it withdraws the pending allocations of a paused pool,
and ends those of one that is to be deleted.
"""

from __future__ import annotations

import psycopg

from orchestra.domain import human
from orchestra.domain.caller import Caller
from orchestra.domain.errors import AlreadyExists, NotFound, Refused
from orchestra.domain.models.pools import AtStake, Deletion, Pool, PoolSettings
from orchestra.domain.nearest import nearest
from orchestra.domain.pools.names import check_pool_name
from orchestra.domain.pools.settings import UNCHANGED, check_engine, of_new, over
from orchestra.domain.storable import check_reason, check_text
from orchestra.domain.wording import Action, Field, words
from orchestra.services.users import users
from orchestra.services.users.rights import check_may_change
from orchestra.store.driver import channels
from orchestra.store.driver.database import in_transaction
from orchestra.store.pools import pools as store
from orchestra.store.pools.pools import LockedPool


def create(
    conn: psycopg.Connection,
    caller: Caller,
    name: str,
    engine: str,
    settings: PoolSettings = UNCHANGED,
) -> Pool:
    """Create a pool, which belongs to the caller. Nothing is submitted before a process runs it.

    Raises:
        BadInput: the name, the engine or a setting is invalid.
        AlreadyExists: the name is taken.
    """
    check_pool_name(name)
    known = check_engine(engine)
    spec, limits = of_new(known, settings)

    def work() -> int | None:
        pool = store.insert(conn, name, known, caller.user.id, spec, limits)
        if pool is not None:
            store.add_event(conn, pool, None, "OPEN", caller.name, None)
            channels.notify(conn, channels.POOL, name)
        return pool

    if in_transaction(conn, work) is None:
        raise AlreadyExists(
            f'a pool "{name}" already exists.',
            hint=words(Action.SET_POOL(name=name), " changes it."),
            kind="pool",
            name=name,
        )
    return get(conn, name)


def get(conn: psycopg.Connection, name: str) -> Pool:
    """Return the pool with a name.

    Raises:
        NotFound: there is none.
    """
    pool = find(conn, name)
    if pool is None:
        raise _missing(conn, name)
    return pool


def find(conn: psycopg.Connection, name: str) -> Pool | None:
    """Return the pool with a name, or None."""
    return store.by_name(conn, _typed(name))


def everything(conn: psycopg.Connection) -> list[Pool]:
    """Return all pools by name."""
    return store.everything(conn)


def change(
    conn: psycopg.Connection,
    caller: Caller,
    name: str,
    settings: PoolSettings = UNCHANGED,
    *,
    owner: str | None = None,
) -> Pool:
    """Change a pool; allocations that exist stay as they are.

    Where something else is asked of the engine, what it said about the earlier request is forgotten. A pool that is
    given to somebody else is paused until they resume it, since it is run with the rights of their Unix account.

    Raises:
        NotFound: there is no pool, or no user, with that name.
        Refused: it belongs to somebody else, or is being deleted.
        BadInput: a setting is invalid.
    """

    def work() -> None:
        pool = _usable(conn, caller, name)
        spec, limits = over(pool.engine, pool.spec, pool.limits, settings)
        store.set_(conn, pool.id, spec, limits)
        if (spec, limits.walltime) != (pool.spec, pool.limits.walltime):
            store.forget_back_off(conn, pool.id)
        if owner is not None:
            store.set_owner(conn, pool.id, users.get(conn, owner).id)
        store.add_event(conn, pool.id, None, None, caller.name, "changed")
        if owner is not None and owner not in (caller.name, pool.owner):
            store.pause(conn, pool.id, caller.name, f"given to {owner}")
        channels.notify(conn, channels.POOL, name)

    in_transaction(conn, work)
    return get(conn, name)


def pause(conn: psycopg.Connection, caller: Caller, name: str, reason: str | None = None) -> Pool:
    """Submit nothing more for a pool, and withdraw what is pending; what runs goes on. May be repeated.

    Raises:
        BadInput: the reason cannot be stored.
        NotFound: there is none with that name.
        Refused: it belongs to somebody else, or is being deleted.
    """
    check_reason(reason)

    def work() -> None:
        pool = _usable(conn, caller, name)
        store.pause(conn, pool.id, caller.name, reason)
        channels.notify(conn, channels.POOL, name)

    in_transaction(conn, work)
    return get(conn, name)


def resume(conn: psycopg.Connection, caller: Caller, name: str) -> bool:
    """Submit for a pool again, at once, also where a refusal has made it wait; return False if nothing held it back.

    Raises:
        NotFound: there is none with that name.
        Refused: it belongs to somebody else, or is being deleted.
    """

    def work() -> bool:
        pool = _usable(conn, caller, name)
        if pool.is_paused:
            store.resume(conn, pool.id, caller.name)
        if pool.backs_off:
            store.forget_back_off(conn, pool.id)
        channels.notify(conn, channels.POOL, name)
        return pool.is_paused or pool.backs_off

    return in_transaction(conn, work)


def delete(
    conn: psycopg.Connection, caller: Caller, name: str, how: Deletion | None = None
) -> Pool | None:
    """Delete a pool, at once if it has no allocation, else once they have ended; return it in that case.

    Args:
        how: "drain" lets its pilots end their jobs, "now" ends the allocations with their jobs, which are requeued.

    Raises:
        NotFound: there is none with that name.
        Refused: it belongs to somebody else, or has allocations and `how` is None.
    """

    def work() -> bool:
        pool = locked(conn, caller, name)
        if not pool.live:
            store.delete(conn, pool.id, caller.name)
        elif how is None:
            raise _in_use(name, store.at_stake(conn, pool.id))
        elif pool.deletion != "now":
            store.plan_deletion(conn, pool.id, how, caller.name)
        channels.notify(conn, channels.POOL, name)
        return bool(pool.live)

    return find(conn, name) if in_transaction(conn, work) else None


def at_stake(conn: psycopg.Connection, caller: Caller, name: str) -> AtStake:
    """Return what a deletion would end.

    Raises:
        NotFound, Refused: there is none with that name, or it belongs to somebody else.
    """
    return in_transaction(conn, lambda: store.at_stake(conn, locked(conn, caller, name).id))


def locked(conn: psycopg.Connection, caller: Caller, name: str) -> LockedPool:
    """Lock a pool that the caller may change, for the rest of the transaction.

    Raises:
        NotFound: there is none with that name.
        Refused: it belongs to somebody else.
    """
    pool = store.lock(conn, _typed(name))
    if pool is None:
        raise _missing(conn, name)
    check_may_change(caller, pool.owner, f'pool "{name}"')
    return pool


def _usable(conn: psycopg.Connection, caller: Caller, name: str) -> LockedPool:
    pool = locked(conn, caller, name)
    if pool.deletion:
        raise Refused(f'pool "{name}" is being deleted.')
    return pool


def _in_use(name: str, stake: AtStake) -> Refused:
    parts = [f"{stake.running:,} running"] if stake.running else []
    parts += [f"{stake.pending:,} pending"] if stake.pending else []
    what = human.count(stake.running + stake.pending, "allocation")
    return Refused(
        words(
            f'pool "{name}" has {what} ({human.listed(parts)}): use ',
            Field.DRAIN(True),
            " to let running jobs end first, or ",
            Field.NOW(True),
            " to end them.",
        ),
        kind="pool",
        name=name,
    )


def _typed(name: str) -> str:
    return check_text(f'the pool name "{human.one_line(name)}"', name)


def _missing(conn: psycopg.Connection, name: str) -> NotFound:
    guess = nearest(name, [pool.name for pool in store.everything(conn)])
    return NotFound(
        f'there is no pool "{human.one_line(name)}".'
        + (f' Did you mean "{guess}"?' if guess else ""),
        hint=words(Action.CREATE_POOL(name=name), " creates one."),
        kind="pool",
        name=name,
    )
