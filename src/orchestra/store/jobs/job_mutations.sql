-- Changes to the states of many jobs, or of chosen ones. The caller holds the task's lock (see tasks/locks.sql);
-- claims and reports share it, so they are seen as a whole or not at all. A release of jobs shares it, too.

-- name: release_test_jobs
-- The first jobs that are not done. Walks job_waiting.
update job set state = 'assigned', is_test = true, changed_at = now()
where (task_id, ordinal) in (
    select task_id, ordinal from job
    where task_id = %(task)s and state = 'registered'
    order by turn, ordinal
    limit %(limit)s
)

-- name: mark_test_jobs
-- The same jobs, of a task with max_running: they are released as there are places. Walks job_waiting.
update job set is_test = true
where (task_id, ordinal) in (
    select task_id, ordinal from job
    where task_id = %(task)s and state = 'registered'
    order by turn, ordinal
    limit %(limit)s
)

-- name: replace_test_jobs
-- Marks further jobs while fewer than `limit` are of the test: the files of the others are gone. Walks job_waiting.
update job set is_test = true
where (task_id, ordinal) in (
    select task_id, ordinal from job
    where task_id = %(task)s and state = 'registered' and not is_test
    order by turn, ordinal
    limit greatest(0, %(limit)s - (select count(*) from job where task_id = %(task)s and is_test))
)

-- name: release_jobs
-- Walks job_waiting from its start. Updates rows by their place, so the new rows lie in the order of the old ones
-- and claims find neighbours on one page. The task is shared, so no command changes these jobs; a job that a pilot
-- adopts meanwhile is no longer registered.
update job set state = 'assigned', changed_at = now()
where state = 'registered' and ctid = any (array(
    select ctid from job
    where task_id = %(task)s and state = 'registered'
    order by turn, ordinal
    limit %(limit)s
))

-- name: end_test_marks
-- After the test, its jobs are ordinary jobs with retries. Walks job_test.
update job set is_test = false where task_id = %(task)s and is_test

-- name: withdraw_test_jobs
update job set state = 'registered', changed_at = now()
where task_id = %(task)s and is_test and state = 'assigned' and keeper_id is null

-- name: ask_test_jobs_to_end
update job set kill_requested = true
where task_id = %(task)s and is_test and keeper_id is not null and not kill_requested

-- name: ask_jobs_to_end
-- Walks job_claimed: never more rows than the nodes have slots and claims ahead.
update job set kill_requested = true
where task_id = %(task)s and keeper_id is not null and not kill_requested

-- name: break_jobs
update job set
    state = 'broken', is_test = false, kill_requested = false, not_before = null, changed_at = now()
where task_id = %(task)s and ordinal >= %(first)s and ordinal < %(next)s
    and state in ('registered', 'assigned', 'failed', 'killed') and keeper_id is null and not removed

-- name: kill_jobs
update job set
    state = 'killed', is_test = false, kill_requested = false, not_before = null, changed_at = now()
where task_id = %(task)s and ordinal >= %(first)s and ordinal < %(next)s
    and state in ('registered', 'assigned', 'failed', 'broken') and keeper_id is null

-- name: retry_jobs
update job set
    state = 'registered', turn = %(turn)s, is_test = false, kill_requested = false, failures = 0, losses = 0,
    not_before = null, changed_at = now()
where task_id = %(task)s and ordinal >= %(first)s and ordinal < %(next)s
    and (%(all)s or state <> 'done') and keeper_id is null and not removed

-- name: lock_jobs
select ordinal, state, is_test, keeper_id is not null as claimed, removed
from job
where task_id = %(task)s and ordinal = any(%(indexes)s)
order by ordinal
for update

-- name: retry_chosen_jobs
-- Chosen jobs go first in line.
with again as (update task set let_go = let_go + 1 where id = %(task)s)
update job set
    state = 'registered', turn = 0, kill_requested = false, failures = 0, losses = 0, not_before = null, changed_at = now()
where task_id = %(task)s and ordinal = any(%(indexes)s) and keeper_id is null

-- name: readmit_test_jobs
-- A retried test job returns to the running test at once.
update job set state = 'assigned', changed_at = now()
where task_id = %(task)s and is_test and state = 'registered'

-- name: kill_waiting_jobs
update job set state = 'killed', kill_requested = false, not_before = null, changed_at = now()
where task_id = %(task)s and ordinal = any(%(indexes)s) and keeper_id is null

-- name: ask_chosen_jobs_to_end
update job set kill_requested = true
where task_id = %(task)s and ordinal = any(%(indexes)s) and keeper_id is not null
