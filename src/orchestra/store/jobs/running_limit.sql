-- Releases and withdrawals of jobs of tasks with max_running. They choose jobs like release_jobs (job_mutations.sql):
-- by their place, and none that another transaction has locked.

-- name: places
-- Those of the tasks that have a limit. `is_open`: their jobs may be released. Reads at most 16 rows of counts per
-- task, its delayed jobs (job_delayed) and, while it is tested, its test jobs (job_test).
select
    t.id, t.max_running, t.queue, t.state = 'TESTING' as testing,
    c.assigned + c.testing + c.running + c.kill - delays.jobs as taken, c.assigned - delays.jobs as unclaimed,
    t.held_at is null and t.intent is null and case t.state
        when 'RUNNING' then true
        when 'TESTING' then not exists (
            select from job where task_id = t.id and is_test and state in ('failed', 'killed')
        )
        else false
    end as is_open
from task t
cross join lateral status_counts(t.id) as c
cross join lateral (
    select count(*) as jobs from job where task_id = t.id and not_before > '-infinity'
) as delays
where t.id = any(%(tasks)s::int[]) and t.max_running is not null
order by t.id

-- name: limited_tasks
-- Walks task_live.
select id from task where ended_at is null and max_running is not null order by id

-- name: first_claimable
-- The first job that a claim may take of each task, and since when it may. One look in job_claimable for each.
select given.id, job.changed_at
from unnest(%(tasks)s::int[]) as given (id)
cross join lateral (
    select changed_at from job where task_id = given.id and is_claimable(job) order by turn, ordinal limit 1
) as job

-- name: release_due_jobs
-- Jobs that have waited long enough before a retry. Walks job_delayed.
update job set not_before = null, changed_at = now()
where not_before is not null and ctid = any (array(
    select ctid from job
    where task_id = %(task)s and not_before > '-infinity' and not_before <= now()
    order by not_before
    limit %(limit)s
    for update skip locked
))

-- name: release_next_jobs
-- Walks job_waiting from its start.
update job set state = 'assigned', changed_at = now()
where state = 'registered' and ctid = any (array(
    select ctid from job
    where task_id = %(task)s and state = 'registered'
    order by turn, ordinal
    limit %(limit)s
    for update skip locked
))

-- name: release_next_test_jobs
-- Walks job_test.
update job set state = 'assigned', changed_at = now()
where state = 'registered' and ctid = any (array(
    select ctid from job
    where task_id = %(task)s and is_test and state = 'registered'
    order by turn, ordinal
    limit %(limit)s
    for update skip locked
))

-- name: withdraw_jobs
-- The last ones in line that no pilot has claimed. Walks job_claimable backwards.
update job set state = 'registered', changed_at = now()
where state = 'assigned' and ctid = any (array(
    select ctid from job
    where task_id = %(task)s and is_claimable(job)
    order by turn desc, ordinal desc
    limit %(limit)s
    for update skip locked
))
