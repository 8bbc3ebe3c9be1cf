-- Events: what changed, from what to what, who did it and why.

-- name: add_task_event
insert into event (kind, task_id, from_state, to_state, jobs, who, why)
values (%(kind)s, %(task)s, %(from)s, %(to)s, %(jobs)s, %(who)s, %(why)s)

-- name: add_job_events
-- One row a job, in one statement. `why` differs from job to job.
insert into event (kind, task_id, ordinal, attempt, node_id, from_state, to_state, who, why)
select 'job', task_id, ordinal, attempt, %(node)s, from_state, to_state, %(who)s, why
from unnest(
    %(tasks)s::int[], %(ordinals)s::int[], %(attempts)s::int[], %(from)s::text[], %(to)s::text[], %(why)s::text[]
) as given (task_id, ordinal, attempt, from_state, to_state, why)

-- name: wake
select pg_notify(%(channel)s, %(payload)s)

-- name: of_task
-- The newest events of a task itself, without those of its jobs and the many small releases. Walks event_of_task.
select id, at, kind, task_id, ordinal, attempt, from_state, to_state, who, why, jobs
from event
where task_id = %(task)s and ordinal is null and kind <> 'release'
order by id desc
limit %(limit)s
