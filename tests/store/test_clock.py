"""After the clock was set back by a day, nothing waits for timestamps that are now in the future."""

from __future__ import annotations

from orchestra.conductor import leases
from orchestra.services.database import recovery
from orchestra.store.cluster import clock, leader
from orchestra.store.driver.database import in_transaction
from support.world import World


def _seconds(world: World, expression: str, table: str) -> float:
    return float(world._one(f"select extract(epoch from {expression} - now()) from {table}"))


def test_a_retry_waits_no_longer_than_its_policy_allows(world: World, running: int) -> None:
    pilot = world.pilot()
    world.conn.execute("update task set retries = 3 where id = %s", [running])
    grants = pilot.claim(cpu=2)
    pilot.start(*grants)
    pilot.end(*grants, status=1)
    clock.bring_back(world.conn)
    world.conduct()
    assert _seconds(world, "max(not_before)", "job") > 0, "what is as it should be stays"
    for step in ("1 day", "4 seconds", "400 days"):
        world.conn.execute(
            "update job set not_before = now() + %s::interval where task_id = %s and ordinal < 2",
            [step, running],
        )
        clock.bring_back(world.conn)
        world.conduct()
        assert world._one("select count(*) from job where not_before is not null") == 0


def test_a_dead_keeper_is_given_up_after_its_lease_counted_from_the_step(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    pilot.start(*pilot.claim())
    world.age(-86_400)
    world.conn.execute("update pilot set seen_at = now() + interval '1 day'")
    leader.acquire(world.conn, "me", "me", 4.0, preferred=True)
    clock.bring_back(world.conn)
    assert abs(_seconds(world, "renewed_at", "keeper")) < 5
    assert 43_100 < _seconds(world, "lease_until", "keeper") < 43_300
    assert abs(_seconds(world, "seen_at", "pilot")) < 5


def test_a_term_that_goes_on_over_the_step_is_held_since_then(world: World) -> None:
    term = leader.acquire(world.conn, "me", "me", 4.0, preferred=True)
    assert term
    world.conn.execute("update leader set held_since = now() + interval '1 day'")
    assert term.renew(world.conn, 4.0)
    assert abs(_seconds(world, "held_since", "leader")) < 5


def test_a_fenced_keeper_is_closed_out_soon(world: World, running: int) -> None:
    pilot = world.pilot()
    pilot.start(*pilot.claim())
    world.conn.execute("update keeper set fenced_at = now() + interval '1 day', fence_reason = 'x'")
    clock.bring_back(world.conn)
    world.conn.execute("update keeper set fenced_at = fenced_at - interval '11 s'")
    leases.expire(world.conn, lambda step: in_transaction(world.conn, step), margin=120)
    assert (
        world._one("select count(*) from attempt where lost_at is null and ended_at is null") == 0
    )


def test_tests_that_run_count_from_the_step(world: World, running: int) -> None:
    pilot = world.pilot()
    pilot.start(*pilot.claim())
    world.conn.execute("update attempt set started_at = now() + interval '1 day'")
    clock.bring_back(world.conn)
    assert abs(_seconds(world, "max(started_at)", "attempt")) < 5


def test_mail_waits_no_longer_than_its_longest_pause(world: World) -> None:
    world.conn.execute(
        "insert into outbox (message_id, kind, next_try) values ('<a>', 'task', now() + interval '1 day'), "
        "('<b>', 'task', now() + interval '20 minutes')"
    )
    clock.bring_back(world.conn)
    rows = world.conn.execute("select next_try <= now() from outbox order by message_id").fetchall()
    assert rows == [(True,), (False,)]


def test_a_recovery_ends_after_the_clock_was_set_back(world: World) -> None:
    recovery.begin(world.conn, recovery.OLDER, who="test")
    world.conn.execute("update cluster set settling_since = now() + interval '1 day'")
    assert recovery.settle(world.conn)
