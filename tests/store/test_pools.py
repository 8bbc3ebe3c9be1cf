"""Pools: what they are made of, and who may change them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from orchestra.domain.errors import AlreadyExists, BadInput, NotAllowed, NotFound, Refused
from orchestra.domain.models.pools import AllocationState, AtStake, Decision, PoolSettings
from orchestra.services.pools import pools
from orchestra.store.driver.columns import Ints
from orchestra.store.pools import allocations
from orchestra.store.pools import pools as store
from support.people import as_admin, caller
from support.plans import plan


def allocation(conn: psycopg.Connection, pool: str, state: str = "PENDING") -> UUID:
    """Add an allocation of a pool."""
    new = uuid4()
    conn.execute(
        "insert into allocation (id, pool_id, engine_id, state, ended_at)"
        " select %s, id, '17', %s, case when %s = 'ENDED' then now() end from pool where name = %s",
        [new, state, state, pool],
    )
    return new


def events(conn: psycopg.Connection) -> list[tuple[str | None, ...]]:
    return conn.execute(
        "select from_state, to_state, who, why from event where kind = 'pool' order by id"
    ).fetchall()


def test_a_pool_with_nothing_but_a_name_and_an_engine(conn: psycopg.Connection) -> None:
    pool = pools.create(conn, caller(conn), "long", "slurm")
    assert (pool.name, pool.engine, pool.owner, pool.run_by, pool.live) == (
        "long",
        "slurm",
        "ana",
        None,
        (),
    )
    assert pools.everything(conn) == [pool]
    with pytest.raises(AlreadyExists, match='a pool "long" already exists'):
        pools.create(conn, caller(conn), "long", "slurm")


@pytest.mark.parametrize("name", ["", "a b", "-x", "a/b", "x" * 41, "a\0"])
def test_names_that_cannot_be(conn: psycopg.Connection, name: str) -> None:
    with pytest.raises(BadInput, match="cannot be the name of a pool"):
        pools.create(conn, caller(conn), name, "slurm")
    assert pools.everything(conn) == []


def test_a_missing_pool_is_guessed(conn: psycopg.Connection) -> None:
    pools.create(conn, caller(conn), "long", "slurm")
    with pytest.raises(NotFound, match=r'there is no pool "lnog"\. Did you mean "long"\?'):
        pools.get(conn, "lnog")


def test_settings_survive_the_database(conn: psycopg.Connection) -> None:
    asked = PoolSettings(
        gpus=2, gres="gpu:a100:2", sbatch=("--exclude", "n1"), walltime=3600.0, idle=30.0
    )
    pool = pools.create(conn, caller(conn), "gpu", "slurm", asked)
    assert (pool.spec.gpus, pool.spec.sbatch) == (2, ("--exclude=n1",))
    assert (pool.limits.walltime, pool.limits.idle) == (3600.0, 30.0)
    pool = pools.change(conn, caller(conn), "gpu", PoolSettings(max_pilots=3, min_pilots=1))
    assert (pool.limits.max_pilots, pool.limits.min_pilots, pool.spec.gpus) == (3, 1, 2)
    with pytest.raises(BadInput):
        pools.change(conn, caller(conn), "gpu", PoolSettings(max_pilots=0))
    assert pools.get(conn, "gpu") == pool


def test_only_the_owner_and_admins_change_a_pool(conn: psycopg.Connection) -> None:
    as_admin(conn, "root")
    pools.create(conn, caller(conn), "long", "slurm")
    bob = caller(conn, "bob")
    for act in (
        lambda: pools.change(conn, bob, "long", PoolSettings(cpus=2)),
        lambda: pools.pause(conn, bob, "long"),
        lambda: pools.resume(conn, bob, "long"),
        lambda: pools.delete(conn, bob, "long"),
        lambda: pools.at_stake(conn, bob, "long"),
    ):
        with pytest.raises(NotAllowed, match='pool "long" belongs to user "ana"'):
            act()
    assert pools.change(conn, as_admin(conn, "root"), "long", owner="bob").owner == "bob"
    pools.pause(conn, bob, "long")


def test_a_pool_that_was_given_to_somebody_runs_in_their_account_only_once_they_resume_it(
    conn: psycopg.Connection,
) -> None:
    as_admin(conn, "root")
    bob, carl = caller(conn, "bob"), caller(conn, "carl")
    pools.create(conn, bob, "long", "slurm")
    assert pools.change(conn, bob, "long", owner="bob").paused_at is None
    given = pools.change(conn, bob, "long", PoolSettings(sbatch=("--exclusive",)), owner="carl")
    assert (given.owner, given.paused_by, given.pause_reason) == ("carl", "bob", "given to carl")
    with pytest.raises(NotAllowed):
        pools.resume(conn, bob, "long")
    assert pools.resume(conn, carl, "long")


def test_a_pause_says_who_and_why(conn: psycopg.Connection) -> None:
    ana = caller(conn)
    pools.create(conn, ana, "long", "slurm")
    paused = pools.pause(conn, ana, "long", "the cluster moves")
    assert (paused.paused_by, paused.pause_reason) == ("ana", "the cluster moves")
    assert paused.paused_at is not None
    assert pools.resume(conn, ana, "long")
    assert not pools.resume(conn, ana, "long")
    assert pools.get(conn, "long").paused_at is None
    assert events(conn) == [
        (None, "OPEN", "ana", None),
        ("OPEN", "PAUSED", "ana", "the cluster moves"),
        ("PAUSED", "OPEN", "ana", None),
    ]


def test_a_person_who_resumes_a_pool_or_changes_it_does_not_wait_for_its_back_off(
    conn: psycopg.Connection,
) -> None:
    ana = caller(conn)
    pools.create(conn, ana, "long", "slurm")
    back_off = "update pool set refusals = 3, not_before = now() + interval '4 min', trouble = 'no such QOS'"
    conn.execute(back_off)
    assert pools.get(conn, "long").back_off.trouble == "no such QOS"
    pools.change(conn, ana, "long", PoolSettings(max_pilots=2))
    assert pools.get(conn, "long").back_off.refusals == 3, "nothing else is asked of the engine"
    assert pools.resume(conn, ana, "long")
    assert pools.get(conn, "long").back_off.not_before is None
    conn.execute(back_off)
    pools.change(conn, ana, "long", PoolSettings(qos="normal"))
    assert pools.get(conn, "long").back_off.trouble is None


def test_a_pool_without_allocations_is_deleted_at_once(conn: psycopg.Connection) -> None:
    ana = caller(conn)
    pools.create(conn, ana, "long", "slurm")
    allocation(conn, "long", "ENDED")
    conn.execute("insert into leader (duty, holder) values ('pool:long', 'x')")
    assert pools.delete(conn, ana, "long") is None
    assert pools.everything(conn) == []
    assert conn.execute("select duty from leader").fetchall() == [("conductor",)]


def test_a_pool_with_allocations_needs_a_word_about_them(conn: psycopg.Connection) -> None:
    ana = caller(conn)
    pools.create(conn, ana, "long", "slurm")
    allocation(conn, "long")
    allocation(conn, "long", "SERVING")
    with pytest.raises(Refused) as error:
        pools.delete(conn, ana, "long")
    assert "2 allocations (1 running and 1 pending)" in str(error.value)
    assert "drain" in str(error.value)
    assert "now" in str(error.value)
    assert pools.at_stake(conn, ana, "long") == AtStake(1, 1, 0)
    left = pools.delete(conn, ana, "long", "drain")
    assert left is not None
    assert left.deletion == "drain"
    with pytest.raises(Refused, match='pool "long" is being deleted'):
        pools.resume(conn, ana, "long")
    left = pools.delete(conn, ana, "long", "now")
    assert left is not None
    assert left.deletion == "now"


def test_live_allocations_with_their_pilots_and_the_ended_ones(conn: psycopg.Connection) -> None:
    ana = caller(conn)
    pools.create(conn, ana, "long", "slurm")
    pools.create(conn, ana, "other", "slurm")
    waits, serves = allocation(conn, "long"), allocation(conn, "long", "SERVING")
    over = allocation(conn, "long", "ENDED")
    conn.execute(
        "insert into node (name, allocation_id, cpu_enabled, cpu_max, gpu_enabled, gpu_max)"
        " values ('long-17-n1', %s, 1, 1, 0, 0)",
        [serves],
    )
    pool = pools.get(conn, "long")
    assert {each.id: (each.state, each.pilots) for each in pool.live} == {
        waits: (AllocationState.PENDING, ()),
        serves: (AllocationState.SERVING, ("long-17-n1",)),
    }
    assert [each.id for each in store.ended_allocations(conn, pool.id, 5)] == [over]
    assert len(store.allocations_since(conn, pool.id, datetime.min.replace(tzinfo=UTC), 10)) == 3
    assert pools.get(conn, "other").live == ()


def test_who_runs_a_pool(conn: psycopg.Connection) -> None:
    pools.create(conn, caller(conn), "long", "slurm")
    conn.execute(
        "insert into leader (duty, holder, holder_name, expires)"
        " values ('pool:long', 'h', 'ana@login1', now() + interval '5 s')"
    )
    assert pools.get(conn, "long").run_by == "ana@login1"
    conn.execute("update leader set expires = now() where duty = 'pool:long'")
    assert pools.get(conn, "long").run_by is None


def test_since_when_an_engine_is_silent(conn: psycopg.Connection) -> None:
    pool = pools.create(conn, caller(conn), "long", "slurm")
    store.note_silence(conn, pool.id, "Unable to contact slurm controller")
    silent = pools.get(conn, "long")
    store.note_silence(conn, pool.id, "Socket timed out")
    assert pools.get(conn, "long").silence == "Socket timed out"
    assert pools.get(conn, "long").silent_since == silent.silent_since is not None
    store.note_silence(conn, pool.id, None)
    assert pools.get(conn, "long") == pool


def test_decisions_survive_the_database(conn: psycopg.Connection) -> None:
    pools.create(conn, caller(conn), "long", "slurm")
    made = Decision(2, (uuid4(),), 3, "40 jobs wait.", datetime.now(UTC))
    conn.execute(
        "update pool set decision = %s", [psycopg.types.json.Jsonb(store.decision_to_json(made))]
    )
    assert pools.get(conn, "long").decision == made


def test_the_usual_wait_is_that_of_the_last_that_started_lately(conn: psycopg.Connection) -> None:
    pool = pools.create(conn, caller(conn), "long", "slurm")
    assert allocations.usual_wait(conn, pool.id) is None
    for age, wait in ((1000, 10), (900, 20), (800, 300), (3 * 3600, 3600)):
        conn.execute(
            "update allocation set submitted_at = now() - make_interval(secs => %s),"
            " started_at = now() - make_interval(secs => %s) where id = %s",
            [age, age - wait, allocation(conn, "long", "SERVING")],
        )
    allocation(conn, "long")
    assert allocations.usual_wait(conn, pool.id) == pytest.approx(20)
    conn.execute("update allocation set started_at = started_at - interval '2 hours'")
    assert allocations.usual_wait(conn, pool.id) is None


def test_old_allocations_and_nodes_cost_nothing(conn: psycopg.Connection) -> None:
    """What a pool's process reads every second, and what a list of pools and a page read."""
    pool = pools.create(conn, caller(conn), "long", "slurm")
    conn.execute(
        "insert into allocation (id, pool_id, engine_id, state, submitted_at, ended_at)"
        " select gen_random_uuid(), %s, n, case when n > 5 then 'ENDED' else 'PENDING' end,"
        " now() - make_interval(secs => n), case when n > 5 then now() end from generate_series(1, 20000) n",
        [pool.id],
    )
    conn.execute(
        "insert into node (name, allocation_id, pool_id, cpu_enabled, cpu_max, gpu_enabled, gpu_max)"
        " select 'long-' || engine_id, id, pool_id, 1, 1, 0, 0 from allocation"
    )
    conn.execute("analyze")
    live = plan(
        conn, f"{store.SQL.select_allocations}\n{store.SQL.live}", {"pools": Ints([pool.id])}
    )
    assert {"allocation_live", "node_of_allocation"} <= live.indexes
    assert live.buffers < 100, live.buffers
    latest = plan(
        conn, f"{store.SQL.select_allocations}\n{store.SQL.latest}", {"pool": pool.id, "limit": 5}
    )
    assert "allocation_of_pool" in latest.indexes
    assert latest.buffers < 100, latest.buffers
    assert len(pools.get(conn, "long").live) == 5
