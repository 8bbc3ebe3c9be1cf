"""The conductor: the life cycle of tasks, and its term, without which it does nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from orchestra.conductor import task_reader
from orchestra.conductor.conductor import Conductor
from orchestra.conductor.lifecycle import advance
from orchestra.conductor.run import run
from orchestra.conductor.term import TERM_SECONDS
from orchestra.conductor.wakeups import Wakeups
from orchestra.domain.errors import DatabaseUnavailable, Refused, Superseded
from orchestra.domain.lifecycle import ASSIGNED_AT_MOST, CHUNK
from orchestra.domain.models.tasks import Counts
from orchestra.domain.models.work import Grant
from orchestra.domain.states import Cause, JobState, Queue, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.services.tasks import lifecycle
from orchestra.store.cluster import leader
from orchestra.store.driver.database import connect, in_transaction
from orchestra.store.tasks import live_tasks, purge
from support.waiting import wait_until
from support.world import World


def test_test_jobs_run_before_the_rest(world: World) -> None:
    task = world.task(jobs=36)
    world.conduct()
    assert world.state(task) is TaskState.TESTING
    assert world.counts(task) == Counts(registered=26, assigned=10)
    pilot = world.pilot()
    grants = pilot.claim(cpu=50)
    assert len(grants) == 10
    assert all(grant.is_test for grant in grants)
    pilot.start(*grants)
    assert world.counts(task) == Counts(registered=26, testing=10)
    pilot.end(*grants)
    world.conduct(rounds=2)
    assert world.state(task) is TaskState.RUNNING
    assert world.counts(task) == Counts(assigned=26, done=10)
    rest = pilot.claim(cpu=50)
    pilot.end(*rest)
    world.conduct()
    assert world.state(task) is TaskState.DONE
    assert world.column(task, "ended_at") is not None
    assert world.column(task, "typical_seconds") == 1.0


def test_task_with_test_jobs_only(world: World) -> None:
    task = world.task(jobs=3)
    world.conduct()
    pilot = world.pilot()
    pilot.end(*pilot.claim(cpu=9))
    world.conduct(rounds=2)
    assert world.state(task) is TaskState.DONE


def test_one_failure_in_the_test_breaks_the_task(world: World) -> None:
    task = world.task(jobs=36, retries=5)
    world.conduct()
    pilot = world.pilot()
    bad, alive = pilot.claim(cpu=2)
    pilot.start(bad, alive)
    pilot.end(bad, status=1)
    world.conduct(rounds=3)
    assert world.state(task) is TaskState.TESTING
    assert world.counts(task) == Counts(registered=34, failed=1, kill=1)
    ended = world.conn.execute(
        "select count(*) from event where from_state = 'TESTING' and to_state = 'TESTING'"
    ).fetchone()
    assert ended == (1,), "not again in each round until the last one has ended"
    assert pilot.claim(cpu=9) == ()
    pilot.end(alive, cause=Cause.ENDED)
    world.conduct(rounds=2)
    assert world.state(task) is TaskState.BROKEN
    assert world.counts(task) == Counts(broken=36)
    why = world.conn.execute("select why from event where to_state = 'BROKEN'").fetchone()
    assert why == ("1 of 10 test jobs failed",)
    lifecycle.apply(world.conn, task, TaskInput.RETRY, by="ana")
    assert world.counts(task) == Counts(registered=36)
    world.conduct()
    assert world.counts(task) == Counts(registered=26, assigned=10)


def between(world: World, happens: Callable[[], object]) -> None:
    """Call `happens` between the conductor's reading of the tasks and its action."""

    def transact(step: Callable[[], bool]) -> bool:
        happens()
        return in_transaction(world.conn, step)

    advance(world.conn, transact, live_tasks.read(world.conn))


def test_a_task_does_not_break_while_a_test_job_is_being_claimed(world: World) -> None:
    task = world.task(jobs=4, test_jobs=2)
    world.conduct()
    pilot = world.pilot()
    pilot.end(*pilot.claim(cpu=1), status=1)
    claimed: list[Grant] = []
    between(world, lambda: claimed.extend(pilot.claim(cpu=1)))
    assert len(claimed) == 1
    assert world.state(task) is TaskState.TESTING
    world.conduct()
    pilot.end(*claimed, cause=Cause.RETURNED)
    world.conduct(rounds=2)
    assert world.state(task) is TaskState.BROKEN
    assert world.jobs(task) == [JobState.BROKEN] * 4


def test_a_task_is_not_done_while_a_job_is_being_retried(world: World) -> None:
    task = world.task(jobs=2, test_jobs=0)
    world.conduct(rounds=2)
    pilot = world.pilot()
    pilot.end(*pilot.claim(cpu=2))
    between(world, lambda: lifecycle.retry_jobs(world.conn, task, [1], by="ana"))
    assert world.state(task) is TaskState.RUNNING
    world.conduct()
    pilot.end(*pilot.claim(cpu=2))
    world.conduct()
    assert world.state(task) is TaskState.DONE
    assert world.jobs(task) == [JobState.DONE] * 2


def test_retried_test_job_returns_to_the_test_with_events(world: World, database_url: str) -> None:
    task = world.task(jobs=3, test_jobs=2)
    world.conduct()
    with connect(database_url) as listener:
        listener.execute("listen orchestra_cpu")
        lifecycle.retry_jobs(world.conn, task, [1], by="ana")
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
    assert world.jobs(task) == [JobState.ASSIGNED, JobState.ASSIGNED, JobState.REGISTERED]
    rows = world.conn.execute(
        "select ordinal, from_state, to_state, jobs from event where task_id = %s order by id desc limit 2",
        [task],
    )
    assert rows.fetchall() == [
        (None, "registered", "assigned", 1),
        (1, "assigned", "registered", None),
    ]


def test_long_test_jobs_pass_by_their_age(world: World) -> None:
    task = world.task(jobs=12, test_jobs=2, test_for=60)
    world.conduct()
    pilot = world.pilot()
    one, two = pilot.claim(cpu=2)
    pilot.start(one, two)
    pilot.end(one)
    world.conduct()
    assert world.state(task) is TaskState.TESTING
    world.conn.execute(
        "update attempt set started_at = started_at - interval '61 s' where ended_at is null"
    )
    world.conduct(rounds=2)
    assert world.state(task) is TaskState.RUNNING
    assert world.counts(task) == Counts(assigned=10, running=1, done=1)


def _time_passes(world: World, task: int, seconds: float) -> None:
    for table, column in (("attempt", "started_at"), ("event", "at")):
        world.conn.execute(
            f"update {table} set {column} = {column} - make_interval(secs => %s) where task_id = %s",
            [seconds, task],
        )


def test_test_does_not_wait_for_jobs_without_a_slot(world: World) -> None:
    """Ten long trainings on two slots: two run well, and the other eight become ordinary jobs, with retries."""
    task = world.task(jobs=12, test_for=60, retries=1)
    world.conduct()
    pilot = world.pilot()
    one, two = pilot.claim(cpu=2)
    pilot.start(one)
    _time_passes(world, task, 40)
    pilot.start(two)
    _time_passes(world, task, 40)
    world.conduct()
    assert world.state(task) is TaskState.TESTING, "the second one has started since"
    _time_passes(world, task, 40)
    world.conduct(rounds=2)
    assert world.state(task) is TaskState.RUNNING
    assert world.counts(task) == Counts(assigned=10, running=2) == world.true_counts(task)
    (why,) = world.conn.execute(
        "select why from event where task_id = %s and to_state = 'RUNNING'", [task]
    ).fetchall()
    assert why == ("2 of 10 tests running well, 8 had no slot",)

    late = pilot.claim(cpu=1)
    assert (late[0].key.index, late[0].is_test) == (2, False)
    pilot.start(*late)
    pilot.end(*late, status=3)
    pilot.end(one, status=3)
    world.conduct(rounds=2)
    assert world.state(task) is TaskState.RUNNING, "a failure is one of an ordinary job"
    assert {world.jobs(task)[g.key.index] for g in (*late, one)} == {JobState.ASSIGNED}


def test_quick_test_jobs_all_run_even_on_few_slots(world: World) -> None:
    task = world.task(jobs=12, test_for=60)
    world.conduct()
    pilot = world.pilot()
    for _ in range(9):
        (grant,) = pilot.claim(cpu=1)
        pilot.start(grant)
        _time_passes(world, task, 50)
        pilot.end(grant)
        _time_passes(world, task, 50)
        world.conduct()
        assert world.state(task) is TaskState.TESTING, "none is alive that has passed"
    pilot.end(*pilot.claim(cpu=1))
    world.conduct(rounds=2)
    assert world.state(task) is TaskState.RUNNING


def test_a_hold_does_not_make_a_test_pass(world: World) -> None:
    task = world.task(jobs=12, test_for=60)
    world.conduct()
    pilot = world.pilot()
    pilot.start(*pilot.claim(cpu=2))
    lifecycle.apply(world.conn, task, TaskInput.HOLD, by="ana", why="a look")
    _time_passes(world, task, 300)
    world.conduct()
    assert world.state(task) is TaskState.TESTING
    lifecycle.apply(world.conn, task, TaskInput.RELEASE, by="ana")
    world.conduct()
    assert world.state(task) is TaskState.TESTING, "the others may start just now"
    _time_passes(world, task, 61)
    world.conduct()
    assert world.state(task) is TaskState.RUNNING


def test_failures_after_the_test_finalize_the_task_and_a_retry_runs_them_first(
    world: World,
) -> None:
    task = world.task(jobs=6, test_jobs=2)
    world.conduct()
    pilot = world.pilot()
    pilot.end(*pilot.claim(cpu=9))
    world.conduct(rounds=2)
    *good, bad = pilot.claim(cpu=9)
    pilot.end(*good)
    pilot.end(bad, status=3)
    world.conduct()
    assert world.state(task) is TaskState.FINALIZED
    lifecycle.apply(world.conn, task, TaskInput.RETRY, by="ana")
    assert world.state(task) is TaskState.RUNNING
    world.conduct()
    (again,) = pilot.claim(cpu=9)
    assert (again.key.index, again.key.number, again.is_test) == (5, 2, False)
    pilot.end(again)
    world.conduct()
    assert world.state(task) is TaskState.DONE
    with pytest.raises(Refused, match="none of its jobs is waiting"):
        lifecycle.apply(world.conn, task, TaskInput.HOLD, by="ana")
    lifecycle.apply(world.conn, task, TaskInput.RETRY, by="ana")
    assert world.counts(task) == Counts(registered=6)
    assert world.column(task, "run") == 3


def test_too_many_failures_hold_the_task_until_it_is_released(world: World) -> None:
    task = world.task(jobs=10, test_jobs=0, max_fails=2)
    world.conduct(rounds=2)
    pilot = world.pilot()
    pilot.end(*pilot.claim(cpu=2), status=1)
    world.conduct()
    assert world.column(task, "held_reason") == "2 of 10 jobs failed, as many as --max-fails allows"
    assert pilot.claim(cpu=9) == ()
    lifecycle.apply(world.conn, task, TaskInput.RELEASE, by="ana")
    world.conduct()
    assert world.column(task, "held_at") is None
    pilot.end(*pilot.claim(cpu=1), status=1)
    world.conduct()
    assert world.column(task, "held_at") is None
    pilot.end(*pilot.claim(cpu=1), status=1)
    world.conduct()
    assert world.column(task, "held_by") == "orchestra"


def test_transitions_come_before_operations_of_other_tasks(world: World) -> None:
    big, due = world.task(jobs=3), world.task(jobs=3, name="user.ana.due")
    world.conn.execute(
        "update task set state = 'KILL', intent = 'kill', intent_by = 'ana' where id = %s", [big]
    )
    seen = []

    def transact(step: Callable[[], bool]) -> bool:
        done = in_transaction(world.conn, step)
        seen.append((world.column(big, "intent"), world.state(due)))
        return done

    advance(world.conn, transact, live_tasks.read(world.conn))
    assert seen == [("kill", TaskState.TESTING), (None, TaskState.TESTING)]


def test_one_job_of_an_ended_task_can_start_over(world: World) -> None:
    task = world.task(jobs=3, test_jobs=0)
    world.conduct(rounds=2)
    pilot = world.pilot()
    pilot.end(*pilot.claim(cpu=3))
    world.conduct()
    lifecycle.retry_jobs(world.conn, task, [1], by="ana")
    assert (world.state(task), world.jobs(task)[1]) == (TaskState.RUNNING, JobState.REGISTERED)
    world.conduct()
    (grant,) = pilot.claim(cpu=3)
    assert (grant.key.index, grant.done_attempt) == (1, 1)


def test_a_big_task_moves_in_chunks_and_is_released_in_portions(world: World) -> None:
    jobs = ASSIGNED_AT_MOST + 2 * CHUNK
    task = world.task(jobs=jobs, test_jobs=0)
    world.conduct()
    assert world.counts(task) == Counts(registered=jobs - CHUNK, assigned=CHUNK)
    world.conduct(rounds=ASSIGNED_AT_MOST // CHUNK + 2)
    assert world.counts(task).assigned < ASSIGNED_AT_MOST + CHUNK
    pilot = world.pilot()
    (grant,) = pilot.claim()
    pilot.start(grant)
    lifecycle.apply(world.conn, task, TaskInput.KILL, by="ana")
    counts = world.counts(task)
    assert (world.state(task), counts.killed, counts.kill) == (TaskState.KILL, CHUNK - 1, 1)
    assert pilot.claim(cpu=9) == ()
    world.conduct(rounds=jobs // CHUNK + 1)
    assert world.counts(task) == Counts(kill=1, killed=jobs - 1) == world.true_counts(task)
    pilot.end(grant, cause=Cause.ENDED)
    world.conduct()
    assert world.state(task) is TaskState.KILLED


def test_a_deleted_task_is_purged_and_its_events_stay(world: World) -> None:
    task = world.task(jobs=3, test_jobs=0)
    lifecycle.apply(world.conn, task, TaskInput.KILL, by="ana")
    with pytest.raises(Refused, match="it is KILL"):
        lifecycle.apply(world.conn, task, TaskInput.DELETE, by="ana")
    world.conduct()
    lifecycle.apply(world.conn, task, TaskInput.DELETE, by="ana")
    while purge.purge_deleted(world.conn, 2):
        pass
    left = world.conn.execute(
        "select (select count(*) from task), (select count(*) from job)"
    ).fetchone()
    assert left == (0, 0)
    manifests = "select (select count(*) from dataset_version), (select count(*) from dataset_file)"
    assert world.conn.execute(manifests).fetchone() == (0, 0)
    assert world.conn.execute("select from event where to_state = 'deleted'").fetchone() is not None


def test_events_name_who_and_why(world: World) -> None:
    task = world.task(jobs=3)
    lifecycle.apply(world.conn, task, TaskInput.HOLD, by="bob", why="disk is full")
    lifecycle.apply(world.conn, task, TaskInput.KILL, by="ana", why="wrong data")
    rows = world.conn.execute(
        "select kind, from_state, to_state, who, why from event order by id"
    ).fetchall()
    assert rows == [
        ("hold", None, "held", "bob", "disk is full"),
        ("task", "REGISTERED", "KILL", "ana", "wrong data"),
    ]


# The term


def test_preferred_process_takes_the_term(world: World) -> None:
    first = leader.acquire(world.conn, "a", "a", 60, preferred=False)
    assert first
    assert leader.acquire(world.conn, "b", "b", 60, preferred=False) is None
    second = leader.acquire(world.conn, "c", "c", 60, preferred=True)
    assert second
    assert second.number == first.number + 1
    assert leader.acquire(world.conn, "d", "d", 60, preferred=True) is None
    with pytest.raises(Superseded):
        first.check(world.conn)
    assert first.renew(world.conn, 60) is None
    second.check(world.conn)
    second.resign(world.conn)
    assert leader.acquire(world.conn, "a", "a", 60, preferred=False)


def test_conductor_that_wakes_up_after_its_term_changes_nothing(
    world: World, database_url: str
) -> None:
    task = world.task(jobs=3)
    stop = threading.Event()
    with connect(database_url) as sleepy_connection:
        sleepy = Conductor(stop, name="sleepy")
        sleepy._begin(sleepy_connection)
        assert sleepy._term.hold()
        world.conn.execute("update leader set expires = now() - interval '1 s'")
        assert leader.acquire(world.conn, "other", "other", 60, preferred=False)
        with pytest.raises(Superseded):
            sleepy._round()
    assert world.state(task) is TaskState.REGISTERED


@contextmanager
def _conducting(
    connect_one: Callable[[], psycopg.Connection], name: str
) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(connect_one, stop), kwargs={"name": name})
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def test_conductor_acts_at_once_and_reconnects(world: World, database_url: str) -> None:
    with _conducting(lambda: connect(database_url, name="conductor"), "one"):
        first = world.task(jobs=3, name="user.ana.one")
        wait_until(lambda: world.state(first) is TaskState.TESTING, timeout=10)
        world.conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'conductor' "
            "and datname = current_database()"
        )
        second = world.task(jobs=3, name="user.ana.two")
        wait_until(lambda: world.state(second) is TaskState.TESTING, timeout=TERM_SECONDS + 10)


def test_conductor_stopped_in_a_transaction_loses_it(world: World, database_url: str) -> None:
    task = world.task(jobs=3)
    with connect(database_url) as stopped:
        leader.set_limits(stopped)
        term = leader.acquire(stopped, "stopped", "stopped", TERM_SECONDS, preferred=False)
        assert term
        stopped.execute("begin")
        term.check(stopped)
        since = time.monotonic()
        with _conducting(lambda: connect(database_url), "heir"):
            wait_until(lambda: world.state(task) is TaskState.TESTING, timeout=20)
        assert time.monotonic() - since < 6
        with pytest.raises(DatabaseUnavailable):
            lifecycle.apply(stopped, task, TaskInput.KILL, by="stopped")
    assert world.state(task) is TaskState.TESTING


def test_a_second_conductor_takes_over_within_five_seconds(world: World, database_url: str) -> None:
    """The first one disappears in the middle of its term, as in a power failure."""
    assert leader.acquire(world.conn, "dead", "dead", TERM_SECONDS, preferred=False)
    task = world.task(jobs=3)
    since = time.monotonic()
    with _conducting(lambda: connect(database_url), "heir"):
        wait_until(lambda: world.state(task) is TaskState.TESTING, timeout=20)
    assert TERM_SECONDS - 1 <= time.monotonic() - since < 5.5


def test_new_task_is_claimable_before_it_is_ranked(world: World) -> None:
    """Pilots are woken with the step that releases its first jobs."""
    first = world.task(3, "user.ana.first", test_jobs=0)
    world.conduct(rounds=2)
    second = world.task(3, "user.ana.second", test_jobs=0)
    told: list[Queue] = []
    tasks = live_tasks.read(world.conn)
    advance(world.conn, lambda step: in_transaction(world.conn, step), tasks, Wakeups(told.append))
    assert told == [Queue.CPU]
    assert world.column(second, "rank") == world.column(first, "rank") + 1
    assert [g.key.task_id for g in world.pilot().claim(cpu=6)] == [first] * 3 + [second] * 3


def test_pilots_are_woken_for_all_work_of_a_round(world: World, database_url: str) -> None:
    """They may have claimed between the start of the first task and that of the second, and do so again when woken."""
    with connect(database_url) as mine, connect(database_url) as listener:
        listener.execute("listen orchestra_cpu")
        conductor = Conductor(threading.Event(), name="test")
        conductor._begin(mine)
        conductor._tick()
        tasks = [world.task(3, f"user.ana.{n}", test_jobs=0) for n in range(3)]
        conductor._tick()
        assert [world.state(task) for task in tasks] == [TaskState.RUNNING] * 3
        assert len(list(listener.notifies(timeout=5, stop_after=2))) >= 2


def test_user_with_more_slots_waits(world: World) -> None:
    """Fair share counts slots: one job of eight slots weighs more than three of one."""
    wide = world.task(jobs=4, name="user.ana.wide", test_jobs=0, cores=8)
    narrow = world.task(jobs=9, name="user.bea.narrow", owner="bea", test_jobs=0)
    world.conduct(rounds=2)
    big, small = world.pilot("big"), world.pilot("small", account="bea")
    big.start(*big.claim(cpu=8))
    small.start(*small.claim(cpu=3))
    assert (world.counts(wide).running, world.counts(narrow).running) == (1, 3)
    world.conduct()
    assert world.column(narrow, "rank") < world.column(wide, "rank")
    gpus = world.task(jobs=4, name="user.ana.gpus", test_jobs=0, queue="gpu", gpus=2, cores=1)
    one = world.task(jobs=4, name="user.bea.gpu", owner="bea", test_jobs=0, queue="gpu", gpus=0)
    world.conduct(rounds=2)
    big.start(*big.claim(cpu=0, gpu=2))
    small.start(*small.claim(cpu=0, gpu=1))
    world.conduct()
    assert world.column(one, "rank") < world.column(gpus, "rank")


def test_idle_tasks_are_not_read_until_they_may_have_changed(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A held task and one that waits for another still continue at once."""
    monkeypatch.setattr(task_reader, "READ_ALL_EVERY", 3600.0)
    parent = world.task(1, "user.ana.parent", test_jobs=0)
    child = world.task(1, "user.ana.child", test_jobs=0)
    world.conn.execute(
        "insert into task_after (task_id, after_id, after_name) values (%s, %s, 'user.ana.parent')",
        [child, parent],
    )
    held = world.task(1, "user.ana.held", test_jobs=0)
    lifecycle.apply(world.conn, held, TaskInput.HOLD, by="ana")
    with connect(database_url) as mine:
        conductor = Conductor(threading.Event(), name="test")
        conductor._begin(mine)
        conductor._tick()
        conductor._tick()
        assert conductor._reader._idle == {child, held}
    with _conducting(lambda: connect(database_url), "one"):
        wait_until(lambda: world.column(parent, "rank") is not None, 10)
        lifecycle.apply(world.conn, held, TaskInput.RELEASE, by="ana")
        wait_until(lambda: world.state(held) is TaskState.RUNNING, 10)
        pilot = world.pilot()
        pilot.end(*[g for g in pilot.claim(2) if g.key.task_id == parent])
        wait_until(lambda: world.state(child) is TaskState.RUNNING, 10)
