"""Databases full of tasks and jobs, without the files that they would read."""

from __future__ import annotations

from typing import LiteralString

import psycopg

OWNER, ACCOUNT = "ana", "bench"


def owner(conn: psycopg.Connection) -> int:
    """Make the owner of everything, and return its id."""
    conn.execute(
        "insert into person (name, email) values (%s, %s) on conflict do nothing",
        [OWNER, "ana@example.org"],
    )
    return _one(conn, "select id from person where name = %s", OWNER)


def dataset(conn: psycopg.Connection, name: str, files: int, root: str) -> int:
    """Register a made-up manifest, and return the version's id."""
    made = _one(
        conn,
        "insert into dataset (name, owner_id) values (%s, %s) returning id",
        f"user.{OWNER}.{name}",
        owner(conn),
    )
    version = _one(
        conn,
        "insert into dataset_version (dataset_id, root, is_folder, files, bytes) values (%s, %s, true, %s, %s) "
        "returning id",
        made, root, files, files * 10,
    )  # fmt: skip
    conn.execute(
        "insert into dataset_file (version_id, ordinal, path, size, mtime_ns, sha256) "
        "select %s, n, 'config.' || n || '.json', 10, 0, sha256(n::text::bytea) from generate_series(0, %s) n",
        [version, files - 1],
    )
    return version


def tasks(
    conn: psycopg.Connection, name: str, count: int, jobs: int, version: int, *, released: int
) -> None:
    """Make RUNNING tasks: their first `released` jobs wait for pilots, the others for the conductor; none has run."""
    made = conn.execute(
        "insert into task (name, owner_id, account, queue, command, config_version_id, volume, folder, jobs, state, "
        "rank, work_started_at, test_jobs) "
        "select format('user.%%s.%%s%%s', %(owner)s::text, %(name)s::text, n), %(id)s, %(account)s, 'cpu', "
        "'true %%DATA %%IN %%OUT', %(version)s, '/v', '/v/' || n, %(jobs)s, 'RUNNING', n, now(), 0 "
        "from generate_series(1, %(count)s) n returning id",
        {
            "owner": OWNER, "name": name, "id": owner(conn), "account": ACCOUNT, "version": version,
            "jobs": jobs, "count": count,
        },
    ).fetchall()  # fmt: skip
    ids = [row[0] for row in made]
    data = dataset(conn, f"{name}-input", 1, f"/v/{name}-input")
    values = {"tasks": ids, "last": jobs - 1, "released": released, "jobs": jobs, "data": data}
    # Triggers do not count inserted jobs, as in `task create`.
    conn.execute(
        "insert into job (task_id, ordinal, state) "
        "select t, n, case when n < %(released)s then 'assigned' else 'registered' end::job_state "
        "from unnest(%(tasks)s::int[]) t, generate_series(0, %(last)s) n",
        values,
    )
    conn.execute(
        "insert into task_count (task_id, stripe, assigned, registered) "
        "select t, 0, least(%(released)s, %(jobs)s), greatest(0, %(jobs)s - %(released)s) "
        "from unnest(%(tasks)s::int[]) t",
        values,
    )
    conn.execute(
        "insert into task_input (task_id, tag, version_id) select t, 'DATA', %(data)s from unnest(%(tasks)s::int[]) t",
        values,
    )


def has_ended(conn: psycopg.Connection, name: str, *, done: int, failed: int) -> None:
    """Make attempts, events and counts as if the first jobs of those tasks had run."""
    values = {
        "name": f"user.{OWNER}.{name}%",
        "done": done,
        "failed": failed,
        "both": done + failed,
    }
    with conn.transaction():
        for statement in _ENDED:
            conn.execute(statement, values)


_ENDED: tuple[LiteralString, ...] = (
    "alter table job disable trigger job_changed",
    """
    update job j set attempt = 1, done_attempt = case when ordinal < %(done)s then 1 end,
        state = case when ordinal < %(done)s then 'done' else 'failed' end::job_state
    from task t where t.name like %(name)s and j.task_id = t.id and j.ordinal < %(both)s
    """,
    "alter table job enable trigger job_changed",
    """
    update task_count c set done = %(done)s, failed = %(failed)s, assigned = assigned - %(both)s
    from task t where t.name like %(name)s and c.task_id = t.id
    """,
    """
    insert into attempt (task_id, ordinal, number, token, keeper_id, node_id, request, run, is_test, folder_number,
        started_at, ended_at, cause, exit_status, accepted, seconds, cpu_seconds)
    select t.id, n, 1, gen_random_uuid(), gen_random_uuid(), 0, 0, 1, false, 1, now() - interval '1 s', now(),
        'exit', case when n < %(done)s then 0 else 1 end, true, 1, 0.9
    from task t, generate_series(0, %(both)s - 1) n where t.name like %(name)s
    """,
    """
    insert into event (kind, task_id, ordinal, attempt, from_state, to_state, who)
    select 'job', t.id, n, 1, 'running', case when n < %(done)s then 'done' else 'failed' end, 'pilot bench'
    from task t, generate_series(0, %(both)s - 1) n where t.name like %(name)s
    """,
)


def _one(conn: psycopg.Connection, statement: LiteralString, *params: object) -> int:
    row = conn.execute(statement, params).fetchone()
    assert row
    return int(row[0])
