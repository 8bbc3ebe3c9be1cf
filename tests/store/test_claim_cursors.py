"""Claims start at the first claimable job, also while an old snapshot keeps dead rows. No job is missed.

No job below a task's claim cursor is claimable: a job that becomes claimable there lowers the cursor in the same
transaction, so that the next claim finds it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from orchestra.conductor import run as conductor
from orchestra.conductor.claim_cursors import STALLED_AFTER, CursorResets
from orchestra.conductor.estimates import Estimates
from orchestra.conductor.lifecycle import advance
from orchestra.domain.models.work import Grant
from orchestra.domain.states import Cause, JobState, Queue
from orchestra.domain.transitions import TaskInput
from orchestra.services.tasks import lifecycle
from orchestra.store.driver.database import connect
from orchestra.store.tasks import live_tasks
from orchestra.store.work import claim_cursors
from orchestra.store.work import claims as claims_store
from support.waiting import wait_until
from support.world import Pilot, World

JOBS = 1_000
CLAIMED = 9 * 64 + 8
TOP = 2**31 - 1
"""The cursor of a turn without claimable jobs."""


@pytest.fixture
def pilot_conn(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection like a pilot's."""
    with connect(database_url, repeats=True) as conn:
        yield conn


def connect_apart(conn: psycopg.Connection, url: str) -> psycopg.Connection:
    """Connect so that the two connections count jobs in different stripes, which depend on the server's process id."""
    tried: list[psycopg.Connection] = []
    while not tried or tried[-1].info.backend_pid % 16 == conn.info.backend_pid % 16:
        tried.append(connect(url))
    for other in tried[:-1]:
        other.close()
    return tried[-1]


def released(world: World, jobs: int, **columns: Any) -> int:
    """A running task with only claimable jobs, whose rows are in no particular order, as after releases."""
    task = world.task(jobs, test_jobs=0, **columns)
    world.conduct()  # it is running, and its first jobs are released
    with world.conn.transaction():
        world.conn.execute("alter table job disable trigger job_changed")
        world.conn.execute("delete from job where task_id = %s", [task])
        world.conn.execute(
            "insert into job (task_id, ordinal, state) "
            "select %s, n, 'assigned' from generate_series(0, %s) n order by sha256(n::text::bytea)",
            [task, jobs - 1],
        )
        world.conn.execute("alter table job enable trigger job_changed")
        world.conn.execute("delete from task_count where task_id = %s", [task])
        world.conn.execute(
            "insert into task_count (task_id, stripe, assigned) values (%s, 0, %s)", [task, jobs]
        )
    world.conn.execute("analyze job")
    world.conduct()
    return task


def claim(pilot: Pilot, jobs: int) -> list[Grant]:
    """Claim so many jobs, eight at a time."""
    return [grant for _ in range(jobs // 8) for grant in pilot.claim(8)]


def cursors(conn: psycopg.Connection, task: int) -> dict[int, int]:
    rows = conn.execute(
        "select distinct on (turn) turn, ordinal from job_floor where task_id = %s order by turn, id desc",
        [task],
    )
    return dict(rows.fetchall())


def pages(conn: psycopg.Connection, observer: psycopg.Connection, act: Callable[[], object]) -> int:
    """Return the lowest number of pages that a connection touches for a call: vacuum adds some."""

    def touched() -> int:
        conn.execute("select pg_stat_force_next_flush()")
        conn.execute("select 1")
        row = observer.execute(
            "select sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::int from pg_statio_user_tables"
        ).fetchone()
        assert row
        return int(row[0])

    seen = []
    for _ in range(4):
        before = touched()
        act()
        seen.append(touched() - before)
    return min(seen)


def test_what_was_claimed_costs_later_claims_little_while_a_snapshot_is_open(
    conn: psycopg.Connection, pilot_conn: psycopg.Connection, database_url: str
) -> None:
    world = World(conn)
    task = released(world, 8_000)
    pilot = world.pilot(conn=pilot_conn)
    with connect(database_url) as old:
        old.execute("set idle_in_transaction_session_timeout = 0")
        old.execute("begin isolation level repeatable read")
        old.execute("select count(*) from node")
        pilot.end(*pilot.claim(4))
        fresh = pages(pilot_conn, conn, lambda: pilot.claim(4))
        for _ in range(110):
            assert len(pilot.claim(64)) == 64
        later = pages(pilot_conn, conn, lambda: pilot.claim(4))
        look = pages(pilot_conn, conn, lambda: claims_store.tasks_with_jobs(pilot_conn, [task]))
    assert later < 5 * fresh
    assert look < fresh
    assert len(pilot.claim(1)) == 1


def test_what_has_ended_costs_later_claims_and_reports_nothing(
    conn: psycopg.Connection, pilot_conn: psycopg.Connection
) -> None:
    """Although their plans were made before anything was claimed."""
    world = World(conn)
    released(world, 4_000)
    pilot = world.pilot(conn=pilot_conn)
    conn.execute("vacuum analyze attempt")
    grants: list[Grant] = []
    pilot.end(*pilot.claim(4))
    claims = [pages(pilot_conn, conn, lambda: grants.extend(pilot.claim(4)))]
    reports = [pages(pilot_conn, conn, lambda: pilot.end(*[grants.pop() for _ in range(4)]))]
    for _ in range(40):
        pilot.end(*pilot.claim(64))
    claims.append(pages(pilot_conn, conn, lambda: grants.extend(pilot.claim(4))))
    reports.append(pages(pilot_conn, conn, lambda: pilot.end(*[grants.pop() for _ in range(4)])))
    assert claims[1] < 1.2 * claims[0] + 20
    assert reports[1] < 1.2 * reports[0] + 20


def test_many_small_claims_are_passed_by_as_well(
    conn: psycopg.Connection, pilot_conn: psycopg.Connection, database_url: str
) -> None:
    """A cursor is replaced as often as needed, and its dead rows cost nothing."""
    world = World(conn)
    task = released(world, JOBS)
    pilot = world.pilot(conn=pilot_conn)
    with connect(database_url) as old:
        old.execute("begin isolation level repeatable read")
        old.execute("select count(*) from node")
        pilot.claim(1)
        fresh = pages(pilot_conn, conn, lambda: pilot.claim(1))
        for _ in range(300):
            conn.execute("select raise_job_floor(%s, 1)", [task])
            assert cursors(conn, task)[1] == 5
            conn.execute("select lower_job_floor(%s, 1::smallint, 0)", [task])
        assert pages(pilot_conn, conn, lambda: pilot.claim(1)) < fresh + 20


@pytest.fixture
def worked(conn: psycopg.Connection) -> Iterator[tuple[World, Pilot, int, list[Grant]]]:
    """A task of which so many jobs were claimed that its cursors were advanced."""
    world = World(conn)
    task = released(world, JOBS, retries=2)
    pilot = world.pilot()
    grants = [grant for _ in range(9) for grant in pilot.claim(64)] + list(pilot.claim(8))
    assert cursors(conn, task) == {0: TOP, 1: CLAIMED}
    yield world, pilot, task, grants
    assert world.counts(task) == world.true_counts(task)


Worked = tuple[World, Pilot, int, list[Grant]]


def indexes(grants: list[Grant] | tuple[Grant, ...]) -> list[int]:
    return [grant.key.index for grant in grants]


def test_claims_go_on_where_they_were(worked: Worked) -> None:
    _, pilot, _, grants = worked
    assert indexes(grants) == list(range(CLAIMED))
    assert indexes(pilot.claim(3)) == [CLAIMED, CLAIMED + 1, CLAIMED + 2]


@pytest.mark.parametrize("cause", [Cause.RETURNED, Cause.LOST])
def test_what_comes_back_is_claimed_next(worked: Worked, cause: Cause) -> None:
    _, pilot, _, grants = worked
    back = [grants[7], grants[3], grants[500]]
    pilot.end(*back, cause=cause)
    assert indexes(pilot.claim(4)) == [3, 7, 500, CLAIMED]
    pilot.end(grants[5], cause=cause)
    assert indexes(pilot.claim(2)) == [5, CLAIMED + 1]


def test_a_failed_job_is_claimed_when_its_delay_is_over(worked: Worked) -> None:
    world, pilot, _, grants = worked
    pilot.end(grants[3], grants[400], status=1)
    assert indexes(pilot.claim(1)) == [CLAIMED]
    world.wait_out_back_off()
    assert indexes(pilot.claim(3)) == [3, 400, CLAIMED + 1]


def test_a_job_of_a_lost_node_is_claimed_next(worked: Worked) -> None:
    world, _, task, grants = worked
    world.conn.execute("update keeper set fenced_at = now() - interval '1 h', fence_reason = 'x'")
    world.guard()
    other = world.pilot("noether")
    assert world.counts(task).assigned == JOBS
    assert indexes(other.claim(8)) == indexes(grants[:8])
    assert indexes(claim(other, CLAIMED)) == list(range(8, CLAIMED + 8))


def test_a_retry_of_chosen_jobs_below_the_cursor_is_claimed_next(worked: Worked) -> None:
    world, pilot, task, grants = worked
    pilot.end(*grants)
    with world.conn.transaction():
        lifecycle.kill_jobs(world.conn, task, [999], by="ana")
    lifecycle.retry_jobs(world.conn, task, [4, 999], by="ana")
    world.conduct()
    assert indexes(pilot.claim(3)) == [4, 999, CLAIMED]


@pytest.mark.parametrize("given", [TaskInput.RETRY, TaskInput.RETRY_ALL])
def test_a_retried_task_is_claimed_from_its_beginning(worked: Worked, given: TaskInput) -> None:
    world, pilot, task, grants = worked
    pilot.end(*grants)
    lifecycle.apply(world.conn, task, TaskInput.KILL, by="ana")
    world.conduct(rounds=3)
    lifecycle.apply(world.conn, task, given, by="ana", bypass=True)
    world.conduct(rounds=4)
    first = 0 if given is TaskInput.RETRY_ALL else CLAIMED
    assert indexes(pilot.claim(8)) == list(range(first, first + 8))


def test_withdrawn_test_jobs_are_claimed_after_a_retry(conn: psycopg.Connection) -> None:
    world = World(conn)
    task = world.task(JOBS, test_jobs=500)
    world.conduct()
    pilot = world.pilot()
    grants = claim(pilot, 400)
    assert cursors(conn, task)[1] >= 384
    pilot.start(grants[0])
    pilot.end(grants[0], status=1)
    world.conduct(rounds=2)  # the other test jobs are withdrawn
    pilot.end(*grants[1:], cause=Cause.RETURNED)
    world.conduct(rounds=3)
    assert world.state(task).value == "BROKEN"
    lifecycle.apply(conn, task, TaskInput.RETRY, by="ana")
    world.conduct(rounds=3)
    again = claim(pilot, 496)
    assert sorted(indexes(again)) == list(range(496))


def test_jobs_that_are_released_in_chunks_are_claimed_one_chunk_after_the_other(
    conn: psycopg.Connection,
) -> None:
    world = World(conn)
    task = world.task(5_200, test_jobs=0)
    world.conduct()
    pilot = world.pilot()
    seen: list[int] = []
    for _ in range(3):
        while grants := pilot.claim(64):
            seen += indexes(grants)
        claim_cursors.advance(conn, task, 64)
        assert cursors(conn, task) == {0: TOP, 1: TOP}
        world.conduct()
    assert seen == list(range(5_200))


def test_jobs_are_released_while_pilots_claim_and_report(
    conn: psycopg.Connection, database_url: str
) -> None:
    """Even if pilots hold a task's lock alternately without a gap."""
    world = World(conn)
    task = world.task(12_000, test_jobs=0)
    world.conduct()
    before = world.counts(task)
    assert (before.assigned, before.registered) == (5_000, 7_000)
    with connect_apart(conn, database_url) as busy:
        pilot = world.pilot(conn=busy)
        pilot.end(*pilot.claim(8))
        with busy.transaction():
            pilot.end(*pilot.claim(8))
            tasks = live_tasks.read(conn)
            assert advance(conn, lambda step: step(), tasks) == {Queue.CPU}
            Estimates().tick(conn, live_tasks.read(conn))
    assert world.counts(task).registered == 2_000
    assert world.counts(task) == world.true_counts(task)


def test_a_job_that_comes_back_while_the_cursors_advance_is_claimed_next(
    worked: Worked, database_url: str
) -> None:
    """The transaction that requeues it waits for the cursor to advance, and lowers it."""
    world, pilot, task, grants = worked
    with connect(database_url) as advancer, connect(database_url, name="hands back") as returner:
        other = Pilot(returner, pilot.node, pilot.agent, pilot.keeper)
        with advancer.transaction():
            advancer.execute("select raise_job_floor(%s, 1)", [task])
            thread = threading.Thread(
                target=lambda: other.end(grants[2], cause=Cause.RETURNED), daemon=True
            )
            thread.start()
            waiting = (
                "select count(*) from pg_stat_activity where application_name = 'hands back' "
                "and wait_event_type = 'Lock'"
            )
            wait_until(lambda: world.conn.execute(waiting).fetchone() == (1,))
        thread.join(10)
    assert indexes(pilot.claim(2)) == [2, CLAIMED]


def test_the_cursors_do_not_advance_while_a_job_comes_back(
    worked: Worked, database_url: str
) -> None:
    _, pilot, task, grants = worked
    with connect(database_url) as returner, connect(database_url) as advancer:
        other = Pilot(returner, pilot.node, pilot.agent, pilot.keeper)
        with returner.transaction():
            other.end(grants[2], cause=Cause.RETURNED)
            advancer.execute("select raise_job_floor(%s, 1)", [task])  # without waiting
            assert cursors(advancer, task) == {0: TOP, 1: CLAIMED}
        advancer.execute("select raise_job_floor(%s, 1)", [task])
        assert cursors(advancer, task) == {0: 2, 1: CLAIMED}
    assert indexes(pilot.claim(2)) == [2, CLAIMED]


def test_a_claim_that_is_taken_back_leaves_its_jobs_to_the_next_one(
    worked: Worked, database_url: str
) -> None:
    """A job that is being claimed is not below a cursor until the claim is committed."""
    _, pilot, task, _ = worked
    with connect(database_url) as dying, connect(database_url) as advancer:
        other = Pilot(dying, pilot.node, pilot.agent, pilot.keeper, pilot.request)
        with dying.transaction(force_rollback=True):
            assert indexes(other.claim(8)) == list(range(CLAIMED, CLAIMED + 8))
            advancer.execute("select raise_job_floor(%s, 1)", [task])
    assert indexes(pilot.claim(2)) == [CLAIMED, CLAIMED + 1]


def test_a_wrong_cursor_is_removed_if_no_job_is_claimed(worked: Worked) -> None:
    """Orchestra never sets such a cursor; a manual change with the trigger disabled may."""
    world, pilot, task, _ = worked
    world.conn.execute("update job_floor set ordinal = %s where task_id = %s", [TOP, task])
    assert pilot.claim(2) == ()
    resets = CursorResets()

    def look(now: float) -> set[Queue]:
        return resets.tick(world.conn, lambda step: step(), live_tasks.read(world.conn), now)

    assert (look(0.0), look(STALLED_AFTER - 1)) == (set(), set())
    assert cursors(world.conn, task) == {0: TOP, 1: TOP}
    assert look(STALLED_AFTER) == {Queue.CPU}, "pilots that found nothing are told"
    assert indexes(pilot.claim(2)) == [CLAIMED, CLAIMED + 1]
    assert cursors(world.conn, task)[0] == TOP, "they are advanced again"
    look(STALLED_AFTER + 1)
    look(STALLED_AFTER * 3)
    assert cursors(world.conn, task)[0] == TOP, "once, as long as nothing has changed"


def test_the_conductor_removes_wrong_cursors(
    worked: Worked, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, pilot, task, _ = worked
    monkeypatch.setattr("orchestra.conductor.claim_cursors.STALLED_AFTER", 0.5)
    world.conn.execute("update job_floor set ordinal = %s where task_id = %s", [TOP, task])
    stop = threading.Event()
    thread = threading.Thread(
        target=conductor.run, args=(lambda: connect(database_url), stop), kwargs={"name": "x"}
    )
    thread.start()
    try:
        wait_until(lambda: cursors(world.conn, task) == {}, timeout=30)
    finally:
        stop.set()
        thread.join(10)
    assert indexes(pilot.claim(2)) == [CLAIMED, CLAIMED + 1]


def test_pilots_that_claim_and_hand_back_at_the_same_time_leave_nothing(
    conn: psycopg.Connection, database_url: str
) -> None:
    world = World(conn)
    task = released(world, 480)
    pilots = []
    for number in range(4):
        own = connect(database_url, repeats=True)
        pilots.append(world.pilot(f"node{number}", conn=own))

    def serve(pilot: Pilot, number: int) -> None:
        turns = 0
        while grants := pilot.claim(8):
            turns += 1
            back = [grant for grant in grants if (grant.key.index + turns) % 5 == number]
            done = [grant for grant in grants if grant not in back]
            pilot.end(*back, cause=Cause.RETURNED)
            pilot.end(*done)
            conn_free.execute("select raise_job_floor(%s, 1)", [task])

    with connect(database_url) as conn_free:
        threads = [
            threading.Thread(target=serve, args=(pilot, number), daemon=True)
            for number, pilot in enumerate(pilots)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        # Jobs that the last pilot returned after the others had found none.
        while grants := pilots[0].claim(8):
            pilots[0].end(*grants)
    for pilot in pilots:
        pilot.conn.close()
    assert set(world.jobs(task)) == {JobState.DONE}
    assert world.counts(task) == world.true_counts(task)
