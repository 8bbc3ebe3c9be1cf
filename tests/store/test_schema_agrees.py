"""The schema and the domain agree: statuses, transitions, checks."""

from __future__ import annotations

import itertools

import psycopg
import pytest
from psycopg import errors

from orchestra.domain import images
from orchestra.domain.states import (
    JobState,
    JobStatus,
    PendingOperation,
    Queue,
    TaskState,
    job_status,
)
from orchestra.domain.transitions import job_transitions, task_transitions
from support.world import World


def _enum(conn: psycopg.Connection, name: str) -> list[str]:
    rows = conn.execute(
        "select enumlabel from pg_enum where enumtypid = %s::regtype order by enumsortorder", [name]
    )
    return [row[0] for row in rows]


def test_the_enums_have_the_same_members(conn: psycopg.Connection) -> None:
    assert _enum(conn, "task_state") == [s.value for s in TaskState]
    assert _enum(conn, "job_state") == [s.value for s in JobState]
    assert _enum(conn, "queue") == [q.value for q in Queue]


def test_the_status_of_every_job_is_the_same(conn: psycopg.Connection) -> None:
    truth = (False, True)
    for state, test, kill, claimed in itertools.product(JobState, truth, truth, truth):
        row = conn.execute(
            "select job_figure(%s, %s, %s, %s)", [state, test, kill, claimed]
        ).fetchone()
        assert row == (job_status(state, is_test=test, kill_requested=kill, claimed=claimed).value,)


def test_the_transitions_of_jobs_and_tasks_are_the_same(conn: psycopg.Connection) -> None:
    for before, after in itertools.permutations(JobState, 2):
        row = conn.execute("select job_may_move(%s, %s)", [before, after]).fetchone()
        assert row == ((before, after) in job_transitions(),), (before, after)
    for old, new in itertools.permutations(TaskState, 2):
        row = conn.execute("select task_may_move(%s, %s)", [old, new]).fetchone()
        assert row == ((old, new) in task_transitions(),), (old, new)


def test_postgresql_reads_the_patterns_of_images_as_python_does(conn: psycopg.Connection) -> None:
    shown = (
        "/a b.sif",
        "/root/",
        "ana/x:1",
        "localhost:5000/ana/x",
        "docker://x",
        "docker-archive:/a.tar",
        "oras://h/x",
    )
    several = [(), ("podman",), ("apptainer", "docker")]
    for image, runtimes in itertools.product(shown, several):
        row = conn.execute("select %s::text ~ %s", [image, images.pattern(runtimes)]).fetchone()
        assert row == (any(images.runs(name, image) for name in runtimes),), (image, runtimes)


def test_every_status_has_its_column(conn: psycopg.Connection) -> None:
    rows = conn.execute(
        "select column_name from information_schema.columns "
        "where table_schema = 'orchestra' and table_name = 'task_count'"
    )
    assert {row[0] for row in rows} - {"task_id", "stripe", "removed"} == {
        f.value for f in JobStatus
    }


def test_a_wrong_transition_fails_in_the_database_too(conn: psycopg.Connection) -> None:
    task = World(conn).task(jobs=2)
    with pytest.raises(errors.CheckViolation, match="may not go from registered to running"):
        conn.execute("update job set state = 'running', keeper_id = gen_random_uuid(), attempt = 1")
    with pytest.raises(errors.CheckViolation, match="may not go from REGISTERED to DONE"):
        conn.execute("update task set state = 'DONE', ended_at = now() where id = %s", [task])


@pytest.mark.parametrize(
    "change",
    [
        "update task set ended_at = now()",
        "update task set held_at = now()",
        "update task set rank = 1",
        "update task set intent = 'juggle', intent_by = 'ana'",
        "update task set deleted_at = now()",
        "update job set keeper_id = gen_random_uuid()",
        "update job set not_before = now()",
        "update node set cpu_enabled = 9",
        "update node set gpu_enabled = -1",
    ],
)
def test_times_and_marks_are_tied_to_states(conn: psycopg.Connection, change: str) -> None:
    world = World(conn)
    world.task(jobs=2)
    world.pilot()
    with pytest.raises(errors.CheckViolation):
        conn.execute(change)


@pytest.mark.parametrize("operation", PendingOperation)
def test_every_pending_operation_can_be_stored(
    conn: psycopg.Connection, operation: PendingOperation
) -> None:
    task = World(conn).task(jobs=1)
    conn.execute("update task set intent = %s, intent_by = 'ana' where id = %s", [operation, task])
