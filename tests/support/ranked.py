"""Many tasks that can be claimed from at once, without a conductor."""

from __future__ import annotations

from typing import Any

from support.world import World


def ranked_tasks(
    world: World, count: int, *, name: str = "small", owner: str = "ana", **columns: Any
) -> list[int]:
    """RUNNING tasks of one job each, or of `jobs`, ranked in order; `columns` are those of their rows."""
    values: dict[str, Any] = {"account": "ana", "queue": "cpu", "cores": 1, "jobs": 1, **columns}
    jobs = values["jobs"]
    names = ", ".join(values)
    marks = ", ".join(f"%({column})s" for column in values)
    version = world.dataset_version(jobs)
    rows = world.conn.execute(
        "insert into task (name, owner_id, command, config_version_id, volume, folder, test_jobs, state, "
        f"work_started_at, {names}) "
        f"select 'user.{owner}.' || %(name)s || n, %(owner)s, 'run %%DATA %%IN %%OUT', %(version)s, '/v', '/v/' || n, "
        f"0, 'RUNNING', now(), {marks} from generate_series(1, %(count)s) n returning id",
        {"name": name, "owner": world.person(owner), "version": version, "count": count, **values},
    ).fetchall()
    ids = sorted(row[0] for row in rows)
    world.conn.execute(
        "insert into job (task_id, ordinal, state) "
        "select t, n, 'assigned' from unnest(%s::int[]) t, generate_series(0, %s) n",
        [ids, jobs - 1],
    )
    world.conn.execute(
        "insert into task_count (task_id, stripe, assigned) select t, 0, %s from unnest(%s::int[]) t",
        [jobs, ids],
    )
    world.conn.execute("update task set rank = id where id = any(%s)", [ids])
    return ids
