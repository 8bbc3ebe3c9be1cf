"""Locks of tasks: commands wait for earlier holders only, and nothing runs in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from orchestra.domain.caller import Caller
from orchestra.domain.errors import DatabaseUnavailable
from orchestra.domain.states import TaskState
from orchestra.services.tasks import actions
from orchestra.store.driver.database import connect
from orchestra.store.tasks import locks
from support.waiting import wait_until
from support.world import World


@contextmanager
def sharing(database_url: str, *tasks: int) -> Iterator[psycopg.Connection]:
    """Share tasks during the block, like a running claim or report."""
    with connect(database_url) as conn, conn.transaction():
        locks.share(conn, tasks)
        yield conn


class Aside(threading.Thread):
    """A call in a thread of its own; `result` returns or raises what it did."""

    def __init__(self, database_url: str, call: Callable[[psycopg.Connection], object]) -> None:
        super().__init__(daemon=True)
        self._url, self._call = database_url, call
        self._given: object = None
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            with connect(self._url, name="aside", lock_timeout=10) as conn:
                self._given = self._call(conn)
        except Exception as error:  # noqa: BLE001 - `result` raises it
            self._error = error

    def result(self) -> object:
        self.join(15)
        assert not self.is_alive()
        if self._error:
            raise self._error
        return self._given


def waits(world: World, count: int) -> bool:
    """Whether so many transactions wait for a lock of a task."""
    row = world.conn.execute(
        "select count(*) from pg_locks l join pg_stat_activity a using (pid) "
        "where a.datname = current_database() and l.locktype = 'advisory' and not l.granted"
    ).fetchone()
    assert row
    return bool(row[0] == count)


def shared_tasks(world: World) -> set[int]:
    """The tasks whose locks are shared."""
    rows = world.conn.execute(
        "select l.objid::int from pg_locks l where l.locktype = 'advisory' and l.granted and l.mode = 'ShareLock' "
        "and l.database = (select oid from pg_database where datname = current_database())"
    )
    return {row[0] for row in rows}


def test_a_later_claim_waits_for_a_waiting_command_and_takes_nothing(
    world: World, running: int, ana: Caller, database_url: str
) -> None:
    with sharing(database_url, running):
        hold = Aside(database_url, lambda conn: actions.hold(conn, ana, running, None))
        wait_until(lambda: waits(world, 1))
        claim = Aside(database_url, lambda conn: world.pilot(conn=conn).claim(cpu=4))
        wait_until(lambda: waits(world, 2))
    hold.result()
    assert claim.result() == ()
    assert world.column(running, "held_reason") == "no reason given"


def test_a_report_that_waited_for_a_command_sees_what_it_did(
    world: World, running: int, ana: Caller, database_url: str
) -> None:
    pilot = world.pilot()
    grants = pilot.claim(cpu=1)
    pilot.start(*grants)
    with sharing(database_url, running):
        kill = Aside(database_url, lambda conn: actions.kill(conn, ana, running))
        wait_until(lambda: waits(world, 1))

        def report(conn: psycopg.Connection) -> None:
            pilot.conn = conn
            pilot.end(*grants, status=1)

        end = Aside(database_url, report)
        wait_until(lambda: waits(world, 2))
    kill.result()
    end.result()
    assert world.jobs(running)[0] == "killed"


def test_pilots_of_the_version_before_share_the_row_and_are_excluded_too(
    world: World, running: int, ana: Caller, database_url: str
) -> None:
    with connect(database_url) as old:
        with old.transaction():
            old.execute("select from task where id = %s for share", [running])
            hold = Aside(database_url, lambda conn: actions.hold(conn, ana, running, None))
            wait_until(lambda: world.conn.execute(
                "select from pg_stat_activity where datname = current_database() and application_name = 'aside' "
                "and wait_event_type = 'Lock'").fetchone() is not None)  # fmt: skip
            assert not hold._given
        hold.result()


def test_a_claim_shares_the_tasks_alone_that_it_takes_jobs_from(
    world: World, database_url: str
) -> None:
    empty = world.task(jobs=1, test_jobs=0, name="user.ana.empty", priority=9)
    many = world.task(jobs=9, test_jobs=0, name="user.ana.many", priority=5)
    rest = world.task(jobs=9, test_jobs=0, name="user.ana.rest", priority=1)
    world.conduct(rounds=2)
    with connect(database_url) as conn:
        pilot = world.pilot(conn=conn)
        assert [grant.key.task_id for grant in pilot.claim(cpu=1)] == [empty]
        with conn.transaction():
            assert {grant.key.task_id for grant in pilot.claim(cpu=4)} == {many}
            assert shared_tasks(world) == {many}
            assert rest not in shared_tasks(world)


def test_a_claim_never_waits_for_a_task_below_one_that_it_shares(
    world: World, database_url: str
) -> None:
    """With a claim in the opposite order and two commands that could be a deadlock. The next claim waits for it."""
    low = world.task(jobs=3, test_jobs=0, name="user.ana.low", priority=1)
    high = world.task(jobs=3, test_jobs=0, name="user.ana.high", priority=5)
    world.conduct(rounds=2)
    with connect(database_url) as command, connect(database_url, lock_timeout=10) as conn:
        pilot = world.pilot(conn=conn)
        with command.transaction():
            locks.exclude(command, low)
            first = pilot.claim_answer(cpu=5)
            assert [grant.key.task_id for grant in first.grants] == [high] * 3
            assert first.more, "it says that there may be more"
            second = Aside(database_url, lambda _: pilot.claim_answer(cpu=2, after=first.more))
            wait_until(lambda: waits(world, 1))
        assert [grant.key.task_id for grant in second.result().grants] == [low] * 2  # type: ignore[attr-defined]


def test_a_claim_waits_for_a_task_above_those_that_it_shares(
    world: World, database_url: str
) -> None:
    low = world.task(jobs=3, test_jobs=0, name="user.ana.low", priority=5)
    high = world.task(jobs=3, test_jobs=0, name="user.ana.high", priority=1)
    world.conduct(rounds=2)
    with connect(database_url) as command, connect(database_url, lock_timeout=10) as conn:
        pilot = world.pilot(conn=conn)
        with command.transaction():
            locks.exclude(command, high)
            claim = Aside(database_url, lambda _: pilot.claim_answer(cpu=5))
            wait_until(lambda: waits(world, 1))
        answer = claim.result()
    assert [g.key.task_id for g in answer.grants] == [low] * 3 + [high] * 2  # type: ignore[attr-defined]


def test_a_command_that_gets_no_lock_reports_it(
    world: World, running: int, ana: Caller, database_url: str
) -> None:
    with (
        sharing(database_url, running),
        connect(database_url, lock_timeout=0.1) as conn,
        pytest.raises(
            DatabaseUnavailable, match="a lock that this needs was held by others"
        ) as told,
    ):
        actions.hold(conn, ana, running, None)
    assert told.value.hint == "Running jobs are not affected. Try again."
    assert world.state(running) is TaskState.RUNNING


def test_what_a_command_of_the_version_before_missed_is_ended(world: World, running: int) -> None:
    """It locks only the row, so a claim may run in between: its task is in KILL, but the job has no mark."""
    pilot = world.pilot()
    grants = pilot.claim(cpu=2)
    world.conn.execute(
        "update task set state = 'KILL', rank = null, intent = 'kill', intent_by = 'ana' where id = %s",
        [running],
    )
    from orchestra.store.work import attempts

    assert [key for key, _ in attempts.attempts_to_end(world.conn, pilot.node)] == [
        g.key for g in grants
    ]
