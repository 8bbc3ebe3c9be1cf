"""A failure in one task is reported and does not stop the conductor from serving the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from orchestra.conductor import run as conductor
from orchestra.conductor.isolation import WHY_AT_MOST, Isolation
from orchestra.domain import troubles
from orchestra.domain.errors import DatabaseBusy, DatabaseUnavailable
from orchestra.domain.states import TaskState
from orchestra.domain.troubles import Stuck, Trouble
from orchestra.services.jobs import explain
from orchestra.services.tasks import views
from orchestra.store.cluster import leader
from orchestra.store.driver.database import connect
from orchestra.store.tasks import live_tasks
from support.waiting import wait_until
from support.world import World

BUSY = "the database is busy: a lock that this needs was held by others for too long"


@contextmanager
def conducting(database_url: str, said: list[Trouble | None]) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        conductor.run(
            lambda: connect(database_url, name="conductor", lock_timeout=0.3),
            stop,
            name="one",
            say=said.append,
        )

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(15)
        assert not thread.is_alive()


def test_locked_task_does_not_stop_others(world: World, database_url: str) -> None:
    locked = world.task(jobs=2, name="user.ana.locked", test_jobs=0)
    behind = world.task(jobs=2, name="user.ana.behind", test_jobs=0)
    said: list[Trouble | None] = []
    with connect(database_url) as other, conducting(database_url, said):
        with other.transaction():
            other.execute("select from task where id = %s for update", [locked])
            wait_until(lambda: world.state(behind) is TaskState.RUNNING)
            wait_until(
                lambda: any(s and f"task {locked}: the database is busy" in s.text for s in said)
            )
            assert world.state(locked) is TaskState.REGISTERED
            assert [each.what for each in leader.troubles(world.conn).stuck] == [locked]
            stuck = f"The conductor (one) cannot continue with this task, and tries again: {BUSY}."
            assert stuck in views.show(world.conn, str(locked)).waiting
            assert stuck in explain.explain(world.conn, f"{locked}/0").explanation.sentences
            assert stuck not in views.show(world.conn, str(behind)).waiting
            assert stuck not in explain.explain(world.conn, f"{behind}/0").explanation.sentences
        wait_until(lambda: world.state(locked) is TaskState.RUNNING)
        wait_until(lambda: said[-1] is None)
        wait_until(lambda: not leader.troubles(world.conn).stuck)


def test_troubles_of_an_earlier_term_are_cleared(conn: psycopg.Connection) -> None:
    first = leader.acquire(conn, "a", "one", 60, preferred=False)
    assert first
    first.note_stuck(conn, [Stuck(3, "busy")])
    assert leader.troubles(conn).of_task(3)
    assert leader.troubles(conn).of_task(33) is None
    second = leader.acquire(conn, "b", "two", 60, preferred=True)
    assert second
    assert leader.troubles(conn).stuck == ()
    first.note_stuck(conn, [Stuck(3, "too late")])
    assert leader.troubles(conn).stuck == ()
    second.note_stuck(conn, [Stuck("mail", "no")])
    assert leader.troubles(conn).stuck == (Stuck("mail", "no"),)
    second.resign(conn)
    assert leader.troubles(conn).stuck == ()


def test_value_of_a_newer_schema_affects_only_its_task(world: World, database_url: str) -> None:
    strange = world.task(jobs=2, name="user.ana.strange", test_jobs=0)
    world.conn.execute("alter table task drop constraint task_intent_check")
    world.conn.execute(
        "update task set intent = 'shuffle', intent_by = 'ana' where id = %s", [strange]
    )
    behind = world.task(jobs=2, name="user.ana.behind", test_jobs=0)
    said: list[Trouble | None] = []
    with conducting(database_url, said):
        wait_until(lambda: world.state(behind) is TaskState.RUNNING)
        wait_until(lambda: any(s and f"task {strange}: 'shuffle'" in s.text for s in said))


def test_failed_conductor_starts_again(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = world.task(jobs=2, test_jobs=0)
    usual, failed = live_tasks.read, troubles.conductor_failed("a mistake")
    said: list[Trouble | None] = []

    def failing(*args: Any, **options: Any) -> object:
        if said in ([], [failed, None]):
            raise RuntimeError("a mistake")
        return usual(*args, **options)

    monkeypatch.setattr(live_tasks, "read", failing)
    with conducting(database_url, said):
        wait_until(lambda: world.state(task) is TaskState.RUNNING)
        wait_until(lambda: len(said) >= 4)
    assert said == [failed, None, failed, None]


def test_pause_after_failures_grows(conn: psycopg.Connection) -> None:
    now = 0.0
    tried = []
    isolation = Isolation(lambda: now)

    def fail() -> None:
        tried.append(now)
        raise DatabaseBusy("the database is busy.")

    for second in range(200):
        now = float(second)
        isolation.attempt(conn, 7, fail)
        if second == 0:
            assert not isolation.stuck, "a single lock conflict is not reported"
    assert tried == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert isolation.stuck == (Stuck(7, "the database is busy"),)
    now = 1000
    assert isolation.attempt(conn, 7, lambda: 3) == 3
    assert not isolation.stuck


def test_error_with_any_characters_can_be_stored(conn: psycopg.Connection) -> None:
    isolation, term = Isolation(lambda: 0.0), leader.acquire(conn, "a", "one", 60, preferred=False)
    assert term
    for _ in range(2):
        isolation.note(3, DatabaseBusy("no \0 and \udc80 \x1b[31m " + "x" * 10_000))
    term.note_stuck(conn, isolation.stuck)
    assert len(leader.troubles(conn).stuck[0].why) <= WHY_AT_MOST


def test_unavailable_server_is_not_a_trouble_of_one_task(
    conn: psycopg.Connection,
) -> None:
    def fail() -> None:
        raise DatabaseUnavailable("the database has no space left on its disk.")

    with pytest.raises(DatabaseUnavailable):
        Isolation().attempt(conn, 7, fail)


def test_obsolete_failures_are_forgotten(conn: psycopg.Connection) -> None:
    """A deleted task is not reported any more, and a year of failures takes no memory."""
    now = [0.0]
    isolation = Isolation(clock=lambda: now[0])

    def fails() -> None:
        raise ValueError("odd")

    for task in range(50):
        for _ in range(2):
            now[0] += 1000
            isolation.attempt(conn, task, fails)
    assert len(isolation._failures) == 50
    assert len(isolation.stuck) < 6
    assert len(isolation._failures) < 6
    now[0] += 10_000
    assert not isolation.stuck
