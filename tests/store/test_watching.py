"""What watchers are told, and that readers of all events miss none, whatever else writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from orchestra.domain.errors import BadInput, DatabaseUnavailable
from orchestra.domain.hints import Changed, Topics
from orchestra.interface import events as ask
from orchestra.interface.answers.events import EventPage
from orchestra.services.database import watching
from orchestra.services.database.event_feed import events_after
from orchestra.services.database.watching import Watcher
from orchestra.store.cluster import cluster, events
from orchestra.store.driver.database import connect
from support.waiting import wait_until
from support.world import World

ALL = Topics(all_tasks=True, nodes=True)
NOTHING = Changed()


def note(conn: psycopg.Connection, *tasks: int) -> None:
    for task in tasks:
        events.add_task_event(conn, task, before=None, after="TESTING", who="ana")


@contextmanager
def writing(url: str) -> Iterator[psycopg.Connection]:
    """A transaction that has written something, and stays open."""
    with psycopg.connect(url) as other:
        other.execute("select pg_current_xact_id()")
        yield other


@pytest.fixture
def watcher(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    monkeypatch.setattr(watching, "COUNT_EVERY", 0.0)
    monkeypatch.setattr(watching, "SHARE", 0)
    watcher = Watcher(lambda: connect(database_url, repeats=True))
    assert watcher.look(ALL) == NOTHING
    yield watcher
    watcher.close()


def test_each_change_is_seen_once_whoever_else_writes(
    watcher: Watcher, conn: psycopg.Connection, database_url: str, empty_database_url: str
) -> None:
    with writing(empty_database_url), psycopg.connect(database_url) as slow:
        note(slow, 1)
        note(conn, 2)
        assert watcher.look(ALL).tasks == {2}
        assert watcher.look(ALL) == NOTHING
        note(conn, 3)
        slow.commit()
        assert watcher.look(ALL).tasks == {1, 3}
        assert watcher.look(ALL) == NOTHING


def test_starts_and_ends_of_jobs_are_seen_though_a_start_has_no_event(
    watcher: Watcher, world: World
) -> None:
    task = world.task(jobs=2, test_jobs=0)
    pilot = world.pilot()
    world.conduct(rounds=2)
    assert task in watcher.look(ALL).tasks
    [grant] = pilot.claim()
    watcher.look(ALL)
    pilot.start(grant)
    assert watcher.look(ALL) == Changed(jobs=frozenset({task}), nodes=True)
    pilot.end(grant)
    assert task in watcher.look(ALL).jobs
    assert watcher.look(ALL) == NOTHING


def test_a_node_that_falls_silent_is_seen(watcher: Watcher, world: World) -> None:
    pilot = world.pilot()
    assert watcher.look(ALL).nodes
    assert watcher.look(ALL) == NOTHING
    world.conn.execute("update pilot set seen_at = now() where node_id = %s", [pilot.node])
    assert watcher.look(ALL) == NOTHING, "a heartbeat alone changes nothing that is shown"
    world.conn.execute(
        "update pilot set seen_at = now() - interval '2 minutes' where node_id = %s", [pilot.node]
    )
    assert watcher.look(ALL) == Changed(nodes=True)


def test_a_lost_connection_loses_no_change(watcher: Watcher, conn: psycopg.Connection) -> None:
    conn.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    note(conn, 4)
    with pytest.raises(DatabaseUnavailable):
        watcher.look(ALL)
    assert watcher.look(ALL).tasks == {4}


def test_counts_are_not_read_more_often_than_they_may_cost(
    database_url: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = world.task(jobs=2, test_jobs=0)
    world.conduct(rounds=2)
    world.pilot().claim()
    monkeypatch.setattr(watching, "COUNT_EVERY", 3600.0)
    watcher = Watcher(lambda: connect(database_url))
    watcher.look(ALL)
    world.conn.execute(
        "update job set state = 'running' where task_id = %s and attempt = 1", [task]
    )
    assert watcher.look(ALL) == NOTHING
    watcher.close()


# All events


def read(conn: psycopg.Connection, cursor: str, *, count: int = 0) -> tuple[list[int | None], str]:
    """The tasks of the events after a cursor, and the next cursor. Other tests' transactions delay this reader, too."""
    found: list[int | None] = []

    def enough() -> bool:
        nonlocal cursor
        page = events_after(conn, cursor, 2)
        assert not page.resync
        assert len(page.events) <= 2
        found.extend(event.task_id for event in page.events)
        cursor = page.cursor
        return len(found) >= count

    wait_until(enough, timeout=60, describe=lambda: f"{found} after {cursor}")
    return found, cursor


def test_no_event_is_missed_after_a_writer_in_another_database(
    conn: psycopg.Connection, database_url: str, empty_database_url: str
) -> None:
    cursor = events_after(conn, None, 100).cursor
    with writing(empty_database_url) as elsewhere, psycopg.connect(database_url) as slow:
        note(slow, 1)
        note(conn, 2)
        assert read(conn, cursor) == ([], cursor), "an older transaction could still write"
        slow.commit()
        note(conn, 3)
        assert read(conn, cursor) == ([], cursor)
        elsewhere.rollback()
        found, cursor = read(conn, cursor, count=3)
        assert found == [1, 2, 3]
        assert read(conn, cursor) == ([], cursor)


def test_the_first_events_and_those_from_now_on(conn: psycopg.Connection) -> None:
    with conn.transaction():
        note(conn, 1, 2)
    note(conn, 3)
    assert read(conn, "first", count=3)[0] == [1, 2, 3]
    assert events_after(conn, None, 2).events == ()


def test_a_cursor_of_another_state_of_the_database_is_told(conn: psycopg.Connection) -> None:
    note(conn, 1)
    cursor = read(conn, "first", count=1)[1]
    database, epoch, transaction, event = cursor.split("-")
    for other in (
        f"{'f' * 8}-{epoch}-{transaction}-{event}",
        f"{database}-{int(epoch) + 1}-{transaction}-{event}",
        f"{database}-{epoch}-{int(transaction) + 10**9}-{event}",
    ):
        page = events_after(conn, other, 100)
        assert (page.events, page.resync) == ((), True)
        assert events_after(conn, page.cursor, 100) == EventPage((), page.cursor)


def test_events_that_came_with_a_restored_database_never_show_up_as_new(
    watcher: Watcher, conn: psycopg.Connection
) -> None:
    row = conn.execute("select pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
    assert row
    soon = str(int(row[0]) + 3)
    conn.execute(
        "insert into event (xid, kind, task_id, who) values (%s, 'task', 1, 'ana')", [soon]
    )
    cluster.raise_epoch(conn, "restored", 0)
    cursor = events_after(conn, None, 100).cursor
    note(conn, 2, 3, 4, 5, 6)
    assert read(conn, cursor, count=5)[0] == [2, 3, 4, 5, 6]
    assert watcher.look(ALL).tasks >= {2, 3, 4, 5, 6}


@pytest.mark.parametrize("cursor", ["", "1-2", "0" * 8 + "-1-2-3; drop", "latest"])
def test_what_is_no_cursor_is_refused(conn: psycopg.Connection, cursor: str) -> None:
    with pytest.raises(BadInput, match="is not a cursor"):
        events_after(conn, cursor, 100)


def test_a_page_has_a_limit(world: World) -> None:
    for limit in (0, 5001):
        with pytest.raises(BadInput, match="1 to 5000"):
            world.interface()(ask.ListEvents(limit=limit))
