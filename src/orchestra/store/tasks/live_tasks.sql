-- The tasks on which the conductor decides, and what it records about them.

-- name: live_tasks
-- The tasks on which the conductor decides: those that are not over, or have a pending operation. Walks task_live
-- and task_moving; the sums read at most 16 rows per task. Delayed jobs matter only to a task with max_running: walks
-- job_delayed.
select
    t.id, t.name, t.state, t.queue, t.owner_id, t.priority, t.first_in_line, t.rank, t.held_at is not null as held,
    t.intent, t.jobs, t.test_jobs, t.test_for, t.max_fails, t.max_fails_percent, t.fails_forgiven, t.typical_seconds,
    t.max_running, delays.delayed, delays.due,
    t.account, t.image, t.cores, t.gpus, t.memory_bytes, t.cpus_gpu_job, t.gpu_milli, t.vram_bytes, t.scratch_bytes,
    t.exclusive, t.placement_id, t.walltime, t.timeout, t.grace, t.p95_seconds,
    p.name as owner, p.shares, p.limit_cpus, p.limit_gpu_milli, p.limit_running,
    used.cpus_used, used.gpu_milli_used, used.memory_used, used.exclusive_used,
    exists (select from task_after a where a.task_id = t.id) as waits, gone.removed, c.*
from task t
cross join lateral status_counts(t.id) as c
cross join lateral removed_jobs(t.id) as gone
join person p on p.id = t.owner_id
-- What the living jobs take: where nothing was ever changed, all take the same. Else walks job_claimed.
cross join lateral (
    select
        living * cpus_taken(t.queue, t.cores, t.cpus_gpu_job) as cpus_used,
        living * gpu_milli_taken(t.queue, t.gpus, t.gpu_milli) as gpu_milli_used,
        living * coalesce(t.memory_bytes, 0) as memory_used, living * t.exclusive::integer as exclusive_used
    from (values (c.testing + c.running + c.kill)) as jobs (living)
    where t.revision = 1
    union all
    select
        coalesce(sum(r.cpus), 0), coalesce(sum(r.gpu_milli_taken), 0), coalesce(sum(r.memory_bytes), 0)::bigint,
        count(*) filter (where r.exclusive)
    from job j
    join attempt a on a.task_id = j.task_id and a.ordinal = j.ordinal and a.number = j.attempt
    join revision r on r.task_id = a.task_id and r.number = a.revision
    where t.revision > 1 and j.task_id = t.id and j.keeper_id is not null
        and (j.state = 'running' or j.kill_requested)
    having t.revision > 1
) as used
cross join lateral (
    select count(*) as delayed, count(*) filter (where not_before <= now()) as due
    from job
    where t.max_running is not null and task_id = t.id and not_before > '-infinity'
) as delays
where (t.ended_at is null or t.intent is not null) and (%(only)s::int is null or t.id = %(only)s)
    and not exists (select from unnest(%(but)s::int[]) as but (id) where but.id = t.id)
order by t.id

-- name: test_facts
-- Walks job_test: the jobs of one task's test. Holds and releases of the task are in event_of_task, and so is who
-- killed a job. A killed job without such an event was ended by the conductor because other test jobs had failed.
select
    count(*) as jobs,
    count(*) filter (where j.keeper_id is null and j.state in ('registered', 'assigned')) as waiting,
    count(*) filter (where j.state = 'registered') as unreleased,
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

-- name: durations
-- The median and the 95th percentile of the durations of some done jobs. A range of the primary key, whatever the size
-- of the task.
select
    percentile_cont(0.5) within group (order by seconds) as typical,
    percentile_cont(0.95) within group (order by seconds) as p95
from attempt
where task_id = %(task)s and ordinal >= %(first)s and ordinal < %(first)s + 200
    and has_succeeded(attempt)

-- name: set_durations
-- Only values that are not nearly the same; none if the row is locked: then the next call sets them.
update task t set
    typical_seconds = coalesce(fresh.typical, t.typical_seconds), p95_seconds = coalesce(fresh.p95, t.p95_seconds)
from (
    select
        id,
        case when abs(%(typical)s - coalesce(typical_seconds, 'infinity')) > 0.1 * %(typical)s then %(typical)s end as typical,
        case when abs(%(p95)s - coalesce(p95_seconds, 'infinity')) > 0.1 * %(p95)s then %(p95)s end as p95
    from task
    where id = %(task)s
    for update skip locked
) fresh
where t.id = fresh.id and (fresh.typical is not null or fresh.p95 is not null)

-- name: set_ranks
-- Only ranks that changed. A row that a command has locked keeps its rank until the next call.
update task t set rank = given.rank
from unnest(%(tasks)s::int[], %(ranks)s::int[]) as given (id, rank)
where t.id = given.id
    and t.id in (
        select id from task where id = any(%(tasks)s::int[]) and state in ('TESTING', 'RUNNING')
        for update skip locked
    )
