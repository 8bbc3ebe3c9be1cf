"""Pools, and the allocations that people look at. Every function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from orchestra.domain.models.pools import (
    Allocation,
    AllocationState,
    AtStake,
    BackOff,
    Decision,
    Deletion,
    EngineName,
    Pool,
    PoolLimits,
    PoolSpec,
)
from orchestra.domain.states import Queue
from orchestra.store.driver.columns import Ints
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("pools/pools")
_LIMITS = tuple(each.name for each in fields(PoolLimits))
_BACK_OFF = tuple(each.name for each in fields(BackOff))


@dataclass(frozen=True, slots=True)
class LockedPool:
    """A pool that only this transaction can change.

    Args:
        backs_off: submissions were refused, or allocations ended early.
        live: how many of its allocations have not ended.
    """

    id: int
    engine: EngineName
    spec: PoolSpec
    limits: PoolLimits
    owner: str | None
    is_paused: bool
    deletion: Deletion | None
    backs_off: bool
    live: int


def by_name(conn: psycopg.Connection, name: str) -> Pool | None:
    """Return the pool with a name, or None."""
    found = _pools(conn, fetch(conn, SQL.select_pools + "\n" + SQL.named, {"name": name}))
    return found[0] if found else None


def everything(conn: psycopg.Connection) -> list[Pool]:
    """Return all pools by name."""
    return _pools(conn, fetch(conn, SQL.select_pools + "\n" + SQL.in_order))


def names(conn: psycopg.Connection) -> list[str]:
    """Return the names of all pools."""
    return [row["name"] for row in fetch(conn, SQL.names)]


def _pools(conn: psycopg.Connection, rows: Sequence[dict[str, Any]]) -> list[Pool]:
    live: dict[str, list[Allocation]] = {}
    for each in live_allocations(conn, [row["id"] for row in rows]):
        live.setdefault(each.pool, []).append(each)
    return [_pool(row, tuple(live.get(row["name"], ()))) for row in rows]


def _pool(row: dict[str, Any], live: tuple[Allocation, ...]) -> Pool:
    return Pool(
        spec=spec_from_json(row.pop("spec")),
        limits=_limits(row),
        back_off=BackOff(**{name: row.pop(name) for name in _BACK_OFF}),
        decision=decision_from_json(row.pop("decision")),
        live=live,
        **row,
    )


def _limits(row: dict[str, Any]) -> PoolLimits:
    return PoolLimits(**{name: row.pop(name) for name in _LIMITS})


def live_allocations(conn: psycopg.Connection, pools: Sequence[int]) -> list[Allocation]:
    """Return the allocations of pools that have not ended, the oldest first."""
    statement = SQL.select_allocations + "\n" + SQL.live
    return [_allocation(row) for row in fetch(conn, statement, {"pools": Ints(pools)})]


def ended_allocations(conn: psycopg.Connection, pool: int, limit: int) -> list[Allocation]:
    """Return the latest allocations of a pool that have ended, the latest first."""
    statement = SQL.select_allocations + "\n" + SQL.latest
    return [_allocation(row) for row in fetch(conn, statement, {"pool": pool, "limit": limit})]


def allocations_since(
    conn: psycopg.Connection, pool: int, since: datetime, limit: int
) -> list[Allocation]:
    """Return the allocations of a pool that were there after a moment, the latest first."""
    params = {"pool": pool, "since": since, "limit": limit}
    statement = SQL.select_allocations + "\n" + SQL.since
    return [_allocation(row) for row in fetch(conn, statement, params)]


def _allocation(row: dict[str, Any]) -> Allocation:
    return Allocation(
        **row | {"state": AllocationState(row["state"]), "pilots": tuple(row["pilots"])}
    )


def spec_from_json(spec: Mapping[str, Any]) -> PoolSpec:
    """Read the column pool.spec, leaving out what a later version may have added."""
    known = {each.name: spec[each.name] for each in fields(PoolSpec) if each.name in spec}
    known["queue"] = Queue(known.get("queue", Queue.CPU))
    known["sbatch"] = tuple(known.get("sbatch", ()))
    return PoolSpec(**known)


def spec_to_json(spec: PoolSpec) -> dict[str, Any]:
    """Return a specification as the column pool.spec has it."""
    return asdict(spec) | {"sbatch": list(spec.sbatch)}


def decision_from_json(decision: Mapping[str, Any] | None) -> Decision | None:
    """Read the column pool.decision, leaving out what a later version may have added."""
    if decision is None:
        return None
    known = {each.name: decision[each.name] for each in fields(Decision) if each.name in decision}
    known["withdraw"] = tuple(map(UUID, known.get("withdraw", ())))
    if known.get("surplus_since"):
        known["surplus_since"] = datetime.fromisoformat(known["surplus_since"])
    return Decision(**known)


def decision_to_json(decision: Decision) -> dict[str, Any]:
    """Return a decision as the column pool.decision has it."""
    since = decision.surplus_since
    return asdict(decision) | {
        "withdraw": [str(each) for each in decision.withdraw],
        "surplus_since": since.isoformat() if since else None,
    }


def insert(
    conn: psycopg.Connection,
    name: str,
    engine: EngineName,
    owner: int,
    spec: PoolSpec,
    limits: PoolLimits,
) -> int | None:
    """Create a pool and return its id; None if the name is taken."""
    params = {"name": name, "engine": engine, "owner": owner, **_columns(spec, limits)}
    rows = fetch(conn, SQL.insert, params)
    return int(rows[0]["id"]) if rows else None


def _columns(spec: PoolSpec, limits: PoolLimits) -> dict[str, Any]:
    return {"spec": Jsonb(spec_to_json(spec)), **asdict(limits)}


def lock(conn: psycopg.Connection, name: str) -> LockedPool | None:
    """Lock the pool with a name; None if there is none."""
    rows = fetch(conn, SQL.lock, {"name": name})
    if not rows:
        return None
    row = rows[0]
    return LockedPool(spec=spec_from_json(row.pop("spec")), limits=_limits(row), **row)


def set_(conn: psycopg.Connection, pool: int, spec: PoolSpec, limits: PoolLimits) -> None:
    """Set what is asked of the engine, and the limits."""
    conn.execute(SQL.set, {"pool": pool, **_columns(spec, limits)})


def set_owner(conn: psycopg.Connection, pool: int, owner: int) -> None:
    """Set a pool's owner."""
    conn.execute(SQL.set_owner, {"pool": pool, "owner": owner})


def forget_back_off(conn: psycopg.Connection, pool: int) -> None:
    """Let the next submission be made at once."""
    conn.execute(SQL.forget_back_off, {"pool": pool})


def note_silence(conn: psycopg.Connection, pool: int, words: str | None) -> None:
    """Note that the engine of a pool does not answer, with what its commands said, or None: it has answered."""
    conn.execute(SQL.note_silence, {"pool": pool, "words": words})


def pause(conn: psycopg.Connection, pool: int, by: str, reason: str | None) -> None:
    """Submit nothing for a pool, and withdraw what is pending."""
    conn.execute(SQL.pause, {"pool": pool, "by": by, "reason": reason})
    add_event(conn, pool, "OPEN", "PAUSED", by, reason)


def resume(conn: psycopg.Connection, pool: int, by: str) -> None:
    """Submit for a pool again."""
    conn.execute(SQL.resume, {"pool": pool})
    add_event(conn, pool, "PAUSED", "OPEN", by, None)


def at_stake(conn: psycopg.Connection, pool: int) -> AtStake:
    """Return what a deletion would end."""
    return AtStake(**fetch(conn, SQL.at_stake, {"pool": pool})[0])


def plan_deletion(conn: psycopg.Connection, pool: int, how: Deletion, by: str) -> None:
    """Have a pool deleted once its allocations have ended."""
    conn.execute(SQL.plan_deletion, {"pool": pool, "how": how})
    add_event(conn, pool, None, "DELETING", by, how)


def delete(conn: psycopg.Connection, pool: int, by: str) -> None:
    """Delete a pool, with its allocations, which have ended. The nodes of their pilots stay."""
    add_event(conn, pool, None, "DELETED", by, None)
    conn.execute(SQL.delete, {"pool": pool})


def add_event(
    conn: psycopg.Connection,
    pool: int,
    was: str | None,
    becomes: str | None,
    who: str,
    why: str | None,
) -> None:
    """Record what has become of a pool."""
    params = {"pool": pool, "from": was, "to": becomes, "who": who, "why": why}
    conn.execute(SQL.add_event, params)
