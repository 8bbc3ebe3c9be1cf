-- What has changed, for readers that show the present: nothing waits for a transaction that still runs.

-- name: begin
select pg_current_snapshot()::text as cursor

-- name: fresh
-- What has become visible since the previous call. The cursor is the snapshot of that call, so these are the events of
-- transactions that began after it (xid >= xmax) or ran then and have ended (xip): each is seen once, when it commits,
-- and a transaction that stays open anywhere costs nothing. Two walks of event_by_transaction; events that came with a restored
-- database have numbers that are ahead. `everything`: the
-- cursor belongs to another database or to an earlier time of this one, or there is more than anybody can name.
with news as materialized (
    (
        select kind, task_id, node_id, ordinal is not null or kind = 'release' as of_jobs from event
        where xid >= pg_snapshot_xmax(%(cursor)s::pg_snapshot) and xid < pg_snapshot_xmax(pg_current_snapshot())
        limit %(limit)s
    )
    union all
    (
        select kind, task_id, node_id, ordinal is not null or kind = 'release' from event
        where xid = any (array(select pg_snapshot_xip(%(cursor)s::pg_snapshot)))
        limit %(limit)s
    )
)
select
    pg_current_snapshot()::text as cursor,
    pg_snapshot_xmax(%(cursor)s::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot())
        or count(*) >= %(limit)s or count(*) filter (where kind = 'cluster') > 0 as everything,
    coalesce(array_agg(distinct task_id) filter (where task_id is not null and not of_jobs), '{}') as tasks,
    coalesce(array_agg(distinct task_id) filter (where task_id is not null and of_jobs), '{}') as jobs,
    count(*) filter (where node_id is not null) > 0 as nodes
from news

-- name: counts
-- Where the jobs of living tasks are; the start of a job changes these and has no event. Walks task_live; the sums read
-- at most 16 rows per task.
select t.id, c.*
from task t
cross join lateral status_counts(t.id) as c
where t.ended_at is null and (%(all)s or t.id = any (%(tasks)s::integer[]))

-- name: nodes
-- A mark of each node, and of each pool (by its negative id), that differs when what is shown of it does. A pilot that
-- falls silent has no event, either. Nodes of allocations that have ended are not shown.
select n.id, hashtextextended(
    concat_ws(' ', n::text, is_online(p), p.leave, p.leave_now, p.version, p.host, p.message, current_troubles(p)), 0
) as mark
from node n
left join pilot p on p.node_id = n.id
where n.gone_at is null
union all
select -g.id, hashtextextended(
    concat_ws(
        ' ', g.spec, g.max_pilots, g.min_pilots, g.paused_at, g.pause_reason, g.not_before, g.trouble, g.silence, g.deletion,
        g.decision ->> 'why',
        (
            select string_agg(concat_ws(' ', a.id, a.state, a.word, a.reason, a.ends_at), ',' order by a.id)
            from allocation a
            where a.pool_id = g.id and a.ended_at is null
        )
    ), 0
)
from pool g
