-- The tasks of an overview, and the jobs that ended lately. The head of the queries for tasks is in tasks.sql.

-- name: live
-- The newest live tasks. Walks task_live from its end.
where t.ended_at is null and t.deleted_at is null and (%(owner)s::text is null or p.name = %(owner)s)
order by t.id desc
limit %(limit)s

-- name: ended
-- Tasks that ended lately with jobs that are not done, which nobody has acknowledged since, and that are not forgotten.
-- Walks task_to_forget from its end.
where t.ended_at > now() - make_interval(secs => %(seconds)s) and t.ended_at is not null and t.forgotten_at is null
    and t.deleted_at is null and t.state in ('BROKEN', 'FINALIZED')
    and (t.acknowledged_at is null or t.acknowledged_at < t.ended_at)
    and (%(owner)s::text is null or p.name = %(owner)s)
order by t.ended_at desc
limit %(limit)s

-- name: reasons
-- What the event of each task's present state says. Walks event_of_task.
select t.id, e.why
from task t
cross join lateral (
    select why from event
    where task_id = t.id and ordinal is null and to_state = t.state::text
    order by id desc
    limit 1
) as e
where t.id = any(%(tasks)s::int[])

-- name: sums
-- How many tasks are live, of one person or of all, and how many jobs of everybody wait by queue. Walks task_live; at
-- most 16 rows per task.
select
    t.queue::text as queue, count(*) filter (where %(owner)s::text is null or p.name = %(owner)s) as tasks,
    sum(c.registered + c.assigned)::bigint as waiting
from task t
join person p on p.id = t.owner_id
cross join lateral status_counts(t.id) as c
where t.ended_at is null
group by t.queue

-- name: hourly_ends
-- A range of the primary key: a row for each hour and connection.
select hour, sum(done)::bigint as done, sum(failed)::bigint as failed
from ended_per_hour
where hour > now() - make_interval(hours => %(hours)s)
group by hour
