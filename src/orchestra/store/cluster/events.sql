-- Events: what changed, from what to what, who did it and why.

-- name: add_task_event
insert into event (kind, task_id, from_state, to_state, jobs, who, why)
values (%(kind)s, %(task)s, %(from)s, %(to)s, %(jobs)s, %(who)s, %(why)s)

-- name: add_job_events
-- One row for each job, in one statement. `why` differs from job to job.
insert into event (kind, task_id, ordinal, attempt, node_id, from_state, to_state, who, why)
select 'job', task_id, ordinal, attempt, %(node)s, from_state, to_state, %(who)s, why
from unnest(
    %(tasks)s::int[], %(indexes)s::int[], %(attempts)s::int[], %(from)s::text[], %(to)s::text[], %(why)s::text[]
) as given (task_id, ordinal, attempt, from_state, to_state, why)

-- name: of_task
-- The newest events of a task itself, without those of its jobs and the frequent small releases. Walks
-- event_of_task.
select id, at, kind, task_id, ordinal as index, attempt, from_state, to_state, who, why, jobs
from event
where task_id = %(task)s and ordinal is null and kind <> 'release'
order by id desc
limit %(limit)s

-- name: now
select pg_current_snapshot()::text as cursor, true as unknown_cursor, array[]::integer[] as tasks

-- name: changed_since
-- Those of the tasks that have events which the previous call did not see. The cursor is the snapshot of that call:
-- transactions that began before it and ended after it are found, and nobody waits for a running one. Walks
-- event_by_transaction from the oldest transaction that was running then. `unknown_cursor`: the cursor belongs to another
-- database, or to one that was reset to an earlier time.
select
    pg_current_snapshot()::text as cursor,
    pg_snapshot_xmax(%(cursor)s::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot()) as unknown_cursor,
    array(
        select distinct task_id from event
        where xid >= pg_snapshot_xmin(%(cursor)s::pg_snapshot)
            and xid < pg_snapshot_xmax(pg_current_snapshot())
            and not pg_visible_in_snapshot(xid, %(cursor)s::pg_snapshot)
            and task_id = any (%(tasks)s::integer[])
    ) as tasks
