"""No change is missed, however late its transaction ends, and none is reported twice."""

from __future__ import annotations

import psycopg
import pytest

from orchestra.domain.errors import BadInput
from orchestra.domain.states import TaskState
from orchestra.interface.waiting import wait_for_tasks
from orchestra.services.database.changes import changes_since
from orchestra.store.cluster import events
from support.world import World


class Enough(Exception):
    """Ends a wait."""


def note(conn: psycopg.Connection, *tasks: int) -> None:
    for task in tasks:
        events.add_task_event(conn, task, before=None, after="TESTING", who="ana")


def test_each_change_is_reported_once(conn: psycopg.Connection) -> None:
    first = changes_since(conn, None, [1, 2])
    assert first.tasks == (1, 2), "who asks for the first time knows none of them"
    assert changes_since(conn, first.cursor, [1, 2]).tasks == ()
    note(conn, 2, 2, 3)
    second = changes_since(conn, first.cursor, [1, 2])
    assert second.tasks == (2,)
    assert changes_since(conn, second.cursor, [1, 2]).tasks == ()
    assert changes_since(conn, first.cursor, [1, 2, 3]).tasks == (2, 3), "as often as it is asked"


def test_a_late_commit_is_not_missed_and_delays_no_reader(
    conn: psycopg.Connection, database_url: str
) -> None:
    with psycopg.connect(database_url) as slow, psycopg.connect(database_url) as slower:
        note(slow, 1)
        note(slower, 2)
        note(conn, 3)
        first = changes_since(conn, None, [1, 2, 3])
        note(conn, 4)
        slow.commit()
        second = changes_since(conn, first.cursor, [1, 2, 3, 4])
        assert second.tasks == (1, 4)
        slower.commit()
        third = changes_since(conn, second.cursor, [1, 2, 3, 4])
        assert third.tasks == (2,)
        assert changes_since(conn, third.cursor, [1, 2, 3, 4]).tasks == ()


def test_a_rolled_back_change_is_not_reported(conn: psycopg.Connection, database_url: str) -> None:
    with psycopg.connect(database_url) as other:
        note(other, 1)
        before = changes_since(conn, None, [1])
        other.rollback()
    assert changes_since(conn, before.cursor, [1]).tasks == ()


def test_with_a_cursor_of_another_database_all_may_have_changed(conn: psycopg.Connection) -> None:
    assert changes_since(conn, "900000000:900000009:900000003", [1, 2]).tasks == (1, 2)


def test_restored_events_are_reported_only_once(conn: psycopg.Connection) -> None:
    conn.execute(
        "insert into event (xid, kind, task_id, who) values ('900000000', 'task', 1, 'ana')"
    )
    before = changes_since(conn, None, [1])
    assert changes_since(conn, before.cursor, [1]).tasks == ()


@pytest.mark.parametrize("cursor", ["", "x", "1", "9:3:", "3:9:5,4", "1:2:3;"])
def test_an_invalid_cursor_is_refused(conn: psycopg.Connection, cursor: str) -> None:
    with pytest.raises(BadInput, match="is not a cursor"):
        changes_since(conn, cursor, [1])


def test_who_waits_looks_only_at_what_has_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [world.task(1, name=f"user.ana.t{number}", test_jobs=0) for number in range(3)]
    interface, asked = world.interface(), []

    def ask(request):  # type: ignore[no-untyped-def]
        asked.append(type(request).__name__)
        return interface(request)

    def sleep(_: float) -> None:
        rounds.append(len(asked))
        if len(rounds) == 2:
            note(world.conn, tasks[1])
        if len(rounds) == 4:
            raise Enough

    rounds: list[int] = []
    told: list[TaskState] = []
    with pytest.raises(Enough):
        wait_for_tasks(ask, tasks, changed=lambda task: told.append(task.state), sleep=sleep)
    assert told == [TaskState.REGISTERED] * 3
    assert rounds == [4, 5, 7, 8], "one question a round, and one for a task that has changed"
