-- Changes to the state of a task. The caller holds the task's lock (see locks.sql).

-- name: lock_task
-- For a command that holds the task's lock. The row is locked as well, because pilots of the previous version share
-- it.
select
    id, name, state, run, queue, jobs, test_jobs, test_for, retries, grace, intent, intent_from, intent_by,
    held_at is not null as held, folder, max_running
from task
where id = %(task)s and deleted_at is null
for update

-- name: shared_task
-- For a release of jobs, which runs beside claims and reports.
select
    id, name, state, run, queue, jobs, test_jobs, test_for, retries, grace, intent, intent_from, intent_by,
    held_at is not null as held, folder, max_running
from task
where id = %(task)s and deleted_at is null

-- name: change_state
-- `state = from` rejects a wrong transition here even if Python is wrong; the trigger checks the pair again. Marks
-- of live tasks (hold, rank, first in line) are removed when the task ends.
update task set
    state = %(to)s::task_state,
    ended_at = case when %(ends)s then now() end,
    rank = case when %(claimable)s then rank end,
    held_at = case when %(ends)s then null else held_at end,
    held_by = case when %(ends)s then null else held_by end,
    held_reason = case when %(ends)s then null else held_reason end,
    first_in_line = first_in_line and not %(ends)s,
    let_go = let_go + %(claimable)s::int,
    test_started_at = case when %(to)s::task_state = 'TESTING' then now() else test_started_at end,
    work_started_at = case when %(to)s::task_state = 'RUNNING' then coalesce(work_started_at, now()) else work_started_at end
where id = %(task)s and state = %(from)s

-- name: begin_run
-- A retry: the task's counters start over, and it goes before tasks of the same priority.
update task set
    run = run + 1, let_go = let_go + 1, fails_forgiven = 0, first_in_line = true,
    test_started_at = null, work_started_at = null,
    test_jobs = case when %(bypass)s then 0 else test_jobs end
where id = %(task)s

-- name: hold_task
update task set
    held_at = now(), held_by = %(by)s, held_reason = %(why)s, held_cause = %(cause)s, held_cause_at = now(), rank = null
where id = %(task)s and held_at is null

-- name: release_task
-- Failures before the release no longer count towards --max-fails.
update task set
    held_at = null, held_by = null, held_reason = null, let_go = let_go + 1,
    fails_forgiven = (select failed from status_counts(%(task)s))
where id = %(task)s and held_at is not null

-- name: set_pending_operation
update task set intent = %(intent)s, intent_from = 0, intent_by = %(by)s, intent_reason = %(why)s
where id = %(task)s

-- name: advance_operation
update task set intent_from = %(next)s where id = %(task)s

-- name: finish_operation
update task set intent = null, intent_from = 0, intent_by = null, intent_reason = null where id = %(task)s

-- name: append_to_queue
-- A task whose first jobs were just released goes to the end of its queue until the conductor orders the tasks.
update task t set rank = 1 + coalesce((select max(rank) from task where queue = t.queue and rank is not null), 0)
where id = %(task)s and rank is null and held_at is null

-- name: set_max_running
update task set max_running = %(limit)s where id = %(task)s

-- name: acknowledge
update task set acknowledged_at = now() where id = %(task)s and ended_at is not null

-- name: mark_deleted
update task set deleted_at = now(), intent = null, intent_by = null, intent_reason = null, intent_from = 0
where id = %(task)s

-- name: change_settings
-- All but max_running, which running_limit.py keeps.
update task set
    priority = %(priority)s, retries = %(retries)s, max_fails = %(max_fails)s,
    max_fails_percent = %(max_fails_percent)s, timeout = %(timeout)s, grace = %(grace)s, cores = %(cores)s,
    gpus = %(gpus)s, memory_bytes = %(memory_bytes)s, goal = %(goal)s, cpus_gpu_job = %(cpus_gpu_job)s,
    gpu_milli = %(gpu_milli)s, vram_bytes = %(vram_bytes)s, scratch_bytes = %(scratch_bytes)s, exclusive = %(exclusive)s,
    walltime = %(walltime)s, placement_id = %(placement)s
where id = %(task)s

-- name: failures
-- The failures that count for max_fails: those since the last release or retry.
select c.failed - t.fails_forgiven as failures
from task t
cross join lateral status_counts(t.id) as c
where t.id = %(task)s
