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

-- name: head
-- Where a reader starts that wants what happens from now on: before the oldest transaction that still runs.
select pg_snapshot_xmin(pg_current_snapshot())::text as transaction, 0::bigint as id

-- name: after
-- A page of all events in the order of their transactions, from a position on. Only transactions older than every running
-- one are read, so a row that commits late is never before a position that was given out. Walks event_by_transaction.
-- Sorted by the column and not by its text, in which 10 comes before 9. Events that came with a restored database would
-- show up when this server's numbers reach theirs, so they are left out.
select
    e.id, e.xid::text as transaction, e.at, e.kind, e.task_id, e.ordinal as index, e.attempt, n.name as node, e.from_state,
    e.to_state, e.who, e.why, e.jobs
from event e
cross join cluster c
left join node n on n.id = e.node_id
where (e.xid, e.id) > (%(transaction)s::text::xid8, %(id)s::bigint) and e.xid < pg_snapshot_xmin(pg_current_snapshot())
    and not (e.id <= coalesce(c.foreign_id, 0) and e.xid >= c.foreign_xid)
order by e.xid, e.id
limit %(limit)s

-- name: is_ahead
-- Whether a position is after everything that this database has begun: it belongs to another one, or to a later time.
select %(transaction)s::text::xid8 > pg_snapshot_xmax(pg_current_snapshot()) as is_ahead

-- name: now
select pg_current_snapshot()::text as cursor, true as unknown_cursor, array[]::integer[] as tasks

-- name: changed_since
-- Those of the tasks that have events which the previous call did not see. The cursor is the snapshot of that call: these
-- are events of transactions that have begun since (xid >= xmax) or ran then and have ended (xip), so nobody waits for a
-- running one, and one that runs for hours makes no reader read hours of events. Two walks of event_by_transaction. Events that came with a
-- restored database have numbers that are ahead.
-- `unknown_cursor`: the cursor belongs to another database, or to one that was reset to an earlier time.
select
    pg_current_snapshot()::text as cursor,
    pg_snapshot_xmax(%(cursor)s::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot()) as unknown_cursor,
    array(
        select task_id from event
        where xid >= pg_snapshot_xmax(%(cursor)s::pg_snapshot) and xid < pg_snapshot_xmax(pg_current_snapshot())
            and task_id = any (%(tasks)s::integer[])
        union
        select task_id from event
        where xid = any (array(select pg_snapshot_xip(%(cursor)s::pg_snapshot)))
            and task_id = any (%(tasks)s::integer[])
    ) as tasks
