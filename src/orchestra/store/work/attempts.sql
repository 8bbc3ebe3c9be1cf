-- Attempts that keepers hold.

-- name: lock_keeper
select k.node_id, n.name as node, k.last_request, k.report_sequence, k.fenced_at is not null as fenced, k.fence_reason
from keeper k
join node n on n.id = k.node_id
where k.id = %(keeper)s
for update of k

-- name: open_attempts
-- The attempts that a keeper was granted. Walks attempt_open.
select task_id, ordinal, number, token, request, started_at is not null as started
from attempt
where node_id = %(node)s and keeper_id = %(keeper)s and is_open(attempt)
order by task_id, ordinal
limit %(limit)s

-- name: known
-- Those of the attempts that this database granted, in any state.
select a.task_id, a.ordinal, a.number, a.token
from unnest(%(tasks)s::int[], %(indexes)s::int[], %(numbers)s::int[], %(tokens)s::uuid[])
    as given (task_id, ordinal, number, token)
join attempt a on a.task_id = given.task_id and a.ordinal = given.ordinal and a.number = given.number
    and a.token = given.token

-- name: adopt
-- Attempts that this database granted before it was replaced become the latest ones of their jobs, as if just
-- claimed.
with free as materialized (
    select j.task_id, j.ordinal, j.state as before, j.is_test, t.run, t.revision, given.number, given.token, given.folder
    from unnest(
        %(tasks)s::int[], %(indexes)s::int[], %(numbers)s::int[], %(tokens)s::uuid[], %(folders)s::int[]
    ) as given (task_id, ordinal, number, token, folder)
    join job j on j.task_id = given.task_id and j.ordinal = given.ordinal and j.attempt < given.number
    join task t on t.id = j.task_id and t.state in ('REGISTERED', 'TESTING', 'RUNNING') and t.intent is null
    where j.keeper_id is null and j.state in ('registered', 'assigned')
    order by j.task_id, j.ordinal
    for update of j
),
taken as (
    update job j set
        state = 'assigned', keeper_id = %(keeper)s, attempt = free.number, not_before = null, changed_at = now()
    from free
    where j.task_id = free.task_id and j.ordinal = free.ordinal
),
granted as (
    insert into attempt
        (task_id, ordinal, number, token, keeper_id, node_id, request, run, revision, is_test, folder_number)
    select task_id, ordinal, number, token, %(keeper)s, %(node)s, 0, run, revision, is_test, folder from free
)
select task_id, ordinal, number, token, before from free

-- name: deleted_tasks
-- Those of the tasks that were deleted. Their events outlive the purge. One range of event_of_task for each.
select distinct task_id from event
where task_id = any(%(tasks)s) and ordinal is null and kind = 'task' and to_state = 'deleted'

-- name: nodes_of_losses
-- The nodes on which the last attempts of a job were lost, latest first. A range of the primary key.
select n.name as node
from attempt a
join node n on n.id = a.node_id
where a.task_id = %(task)s and a.ordinal = %(index)s and a.lost_at is not null and a.ended_at is null
order by a.number desc
limit %(limit)s

-- name: tasks_with_due_jobs
-- The tasks of jobs whose delay before a retry is over, but not those with max_running: such a job waits for a place
-- as well (jobs/running_limit.sql). Walks job_not_before.
select distinct task_id from (
    select j.task_id
    from job j
    join task t on t.id = j.task_id
    where j.not_before <= now() and t.max_running is null
    order by j.not_before
    limit %(limit)s
) as due

-- name: end_back_off
-- Makes jobs of these tasks claimable whose delay before a retry is over, and returns their queues. The tasks are
-- shared, so that none gets max_running meanwhile. Walks job_not_before. Locked jobs are left for the next call.
with due as materialized (
    select j.task_id, j.ordinal
    from job j
    join task t on t.id = j.task_id
    where j.not_before <= now() and j.task_id = any(%(tasks)s::int[]) and t.max_running is null
    order by j.not_before
    limit %(limit)s
    for update of j skip locked
),
freed as (
    update job j set not_before = null
    from due d
    where j.task_id = d.task_id and j.ordinal = d.ordinal
    returning j.task_id
)
select distinct t.queue from freed join task t on t.id = freed.task_id

-- name: attempts_to_end
-- The attempts of a node that must end. A kill marks every claimed job. A job that a pilot of the previous version
-- claimed during a kill has no mark, because that version does not use locks.sql; the state of its task shows it.
-- Jobs without a kill event belong to a test that failed.
select
    a.task_id, a.ordinal, a.number, a.token, t.state = 'KILL' as whole_task,
    j.is_test and not exists (
        select from event e
        where e.task_id = a.task_id and e.ordinal = a.ordinal and e.to_state = 'kill' and e.node_id is null
            and e.at >= a.claimed_at
    ) as for_test
from attempt a
join job j on j.task_id = a.task_id and j.ordinal = a.ordinal and j.attempt = a.number
join task t on t.id = a.task_id
where a.node_id = %(node)s and is_open(a) and (j.kill_requested or t.state = 'KILL')

-- name: attempts_to_recall
-- The attempts of a node that have not reported a start, and whose task is held or was changed after the claim. Walks
-- attempt_open.
select a.task_id, a.ordinal, a.number, a.token, t.held_at is not null as held
from attempt a
join job j on j.task_id = a.task_id and j.ordinal = a.ordinal and j.attempt = a.number
join task t on t.id = a.task_id
where a.node_id = %(node)s and is_open(a) and a.started_at is null and j.state = 'assigned'
    and (t.held_at is not null or a.revision < t.revision)
