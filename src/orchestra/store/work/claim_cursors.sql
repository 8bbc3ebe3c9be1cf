-- Claim cursors, stored in job_floor: where claims from a task start to search. Migration 0006 defines what moves
-- them.

-- name: advance
select raise_job_floor(%(task)s, %(step)s)

-- name: lock
-- Waits for callers that are replacing claim cursors.
select pg_advisory_xact_lock(731057, id) from unnest(%(tasks)s::int[]) as given (id) order by id

-- name: reset
delete from job_floor where task_id = any(%(tasks)s::int[])
