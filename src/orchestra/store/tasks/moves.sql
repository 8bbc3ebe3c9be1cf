-- Changes to the state of a task or of many jobs. The caller holds the task's lock (see locks.sql); claims and
-- reports share it, so they are seen as a whole or not at all. A release of jobs shares it, too.

-- name: lock_task
-- For a command that holds the task's lock. The row is locked as well, because pilots of the previous version share
-- it.
select
    id, name, state, run, queue, jobs, test_jobs, test_for, retries, grace, intent, intent_from, intent_by,
    held_at is not null as held, folder
from task
where id = %(task)s and deleted_at is null
for update

-- name: shared_task
-- For a release of jobs, which runs beside claims and reports.
select
    id, name, state, run, queue, jobs, test_jobs, test_for, retries, grace, intent, intent_from, intent_by,
    held_at is not null as held, folder
from task
where id = %(task)s and deleted_at is null

-- name: move_task
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

-- name: release_test_jobs
-- The first jobs that are not done. Walks job_waiting.
update job set state = 'assigned', is_test = true, changed_at = now()
where (task_id, ordinal) in (
    select task_id, ordinal from job
    where task_id = %(task)s and state = 'registered'
    order by turn, ordinal
    limit %(limit)s
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
    and state in ('registered', 'assigned', 'failed', 'killed') and keeper_id is null

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
    and (%(all)s or state <> 'done') and keeper_id is null

-- name: lock_jobs
select ordinal, state, is_test, keeper_id is not null as claimed
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

-- name: live_tasks
-- The tasks on which the conductor decides: those that are not over, or have a pending operation. Walks task_live
-- and task_moving; the sums read at most 16 rows a task.
select
    t.id, t.name, t.state, t.queue, t.owner_id, t.priority, t.first_in_line, t.rank, t.held_at is not null as held,
    t.intent, t.jobs, t.test_jobs, t.test_for, t.max_fails, t.max_fails_percent, t.fails_forgiven, t.typical_seconds,
    slots_of(t) as slots,
    exists (select from task_after a where a.task_id = t.id) as waits, c.*
from task t
cross join lateral status_counts(t.id) as c
where (t.ended_at is null or t.intent is not null) and (%(only)s::int is null or t.id = %(only)s)
    and not exists (select from unnest(%(but)s::int[]) as but (id) where but.id = t.id)
order by t.id

-- name: test_facts
-- Walks job_test: the jobs of one task's test. Holds and releases of the task are in event_of_task, and so is who
-- killed a job. A killed job without such an event was ended by the conductor because other test jobs had failed.
select
    count(*) as jobs,
    count(*) filter (where j.keeper_id is null and j.state in ('registered', 'assigned')) as waiting,
    count(*) filter (where j.keeper_id is not null) as living,
    count(*) filter (where j.keeper_id is not null and not j.kill_requested) as unasked,
    count(*) filter (
        where j.state = 'running' and not j.kill_requested
            and a.started_at < now() - make_interval(secs => %(test_for)s)
    ) as matured,
    count(*) filter (where j.state = 'done') as done,
    count(*) filter (where j.state in ('failed', 'killed')) as failed,
    count(*) filter (where j.state = 'killed' and k.asked) as killed,
    count(*) filter (where j.state = 'killed' and not k.asked) as swept,
    coalesce(max(a.started_at) < now() - make_interval(secs => %(test_for)s), false) and not exists (
        select from event
        where task_id = %(task)s and ordinal is null and kind = 'hold'
            and at >= now() - make_interval(secs => %(test_for)s)
    ) as quiet
from job j
left join attempt a on a.task_id = j.task_id and a.ordinal = j.ordinal and a.number = j.attempt
left join lateral (
    select exists (
        select from event e
        where e.task_id = j.task_id and e.ordinal = j.ordinal and e.to_state in ('kill', 'killed')
            and e.node_id is null
            and e.at >= greatest(a.claimed_at, (select test_started_at from task where id = %(task)s))
    ) as asked
    where j.state = 'killed'
) as k on true
where j.task_id = %(task)s and j.is_test

-- name: typical_seconds
-- The median duration of some done jobs. A range of the primary key, whatever the size of the task.
select percentile_cont(0.5) within group (order by seconds)
from attempt
where task_id = %(task)s and ordinal >= %(first)s and ordinal < %(first)s + 200
    and has_succeeded(attempt)

-- name: set_typical_seconds
-- Unless the value is nearly the same, or the row is locked; then the next call sets it.
update task set typical_seconds = %(seconds)s
where id in (
    select id from task
    where id = %(task)s and abs(%(seconds)s - coalesce(typical_seconds, 'infinity')) > 0.1 * %(seconds)s
    for update skip locked
)

-- name: set_ranks
-- Only ranks that changed. A row that a command has locked keeps its rank until the next call.
update task t set rank = given.rank
from unnest(%(tasks)s::int[], %(ranks)s::int[]) as given (id, rank)
where t.id = given.id
    and t.id in (
        select id from task where id = any(%(tasks)s::int[]) and state in ('TESTING', 'RUNNING')
        for update skip locked
    )

-- name: line_up
-- A task whose first jobs were just released goes to the end of its queue until the conductor orders the tasks.
update task t set rank = 1 + coalesce((select max(rank) from task where queue = t.queue and rank is not null), 0)
where id = %(task)s and rank is null and held_at is null

-- name: lock_floors
-- Waits for callers that are replacing claim cursors.
select pg_advisory_xact_lock(731057, id) from unnest(%(tasks)s::int[]) as given (id) order by id

-- name: drop_floors
delete from job_floor where task_id = any(%(tasks)s::int[])

-- name: deleted_tasks
select id, jobs from task where deleted_at is not null order by id limit 1

-- name: mark_deleted
update task set deleted_at = now(), intent = null, intent_by = null, intent_reason = null, intent_from = 0
where id = %(task)s

-- name: purge_attempts
delete from attempt where (task_id, ordinal, number) in (
    select task_id, ordinal, number from attempt where task_id = %(task)s limit %(limit)s
)

-- name: purge_jobs
delete from job where (task_id, ordinal) in (
    select task_id, ordinal from job where task_id = %(task)s limit %(limit)s
)

-- name: lonely_versions
-- Manifests that are deleted with the task: no listed data set has them, and no other task uses them.
select v.id
from dataset_version v
left join dataset d on d.id = v.dataset_id
where v.id in (
        select config_version_id from task where id = %(task)s
        union select version_id from task_input where task_id = %(task)s
    )
    and (v.dataset_id is null or d.deleted_at is not null)
    and not exists (select from task t where t.config_version_id = v.id and t.id <> %(task)s)
    and not exists (select from task_input i where i.version_id = v.id and i.task_id <> %(task)s)

-- name: purge_files
delete from dataset_file where (version_id, ordinal) in (
    select version_id, ordinal from dataset_file where version_id = any(%(versions)s) limit %(limit)s
)

-- name: purge_metrics
delete from attempt_metrics where (task_id, ordinal, number) in (
    select task_id, ordinal, number from attempt_metrics where task_id = %(task)s limit %(limit)s
)

-- name: purge_texts
delete from dataset_text where (version_id, ordinal) in (
    select version_id, ordinal from dataset_text where version_id = any(%(versions)s) limit %(limit)s
)

-- name: purge_task
-- The task's events stay.
with counts as (delete from task_count where task_id = %(task)s),
floors as (delete from job_floor where task_id = %(task)s)
delete from task where id = %(task)s

-- name: purge_versions
delete from dataset_version where id = any(%(versions)s)

-- name: purge_datasets
delete from dataset d
where d.deleted_at is not null and not exists (select from dataset_version v where v.dataset_id = d.id)
