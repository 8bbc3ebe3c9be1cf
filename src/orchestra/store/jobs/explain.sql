-- What `job explain` reads besides the task, the job and its attempts. Each statement touches as many pages for ten
-- jobs as for ten million, except `before`, which stops counting at a limit.

-- name: turn
select turn, not_before, keeper_id from job where task_id = %(task)s and ordinal = %(index)s

-- name: before
-- How many jobs of its own task are claimed first: the claimable ones before it and, for a job that is not released
-- yet, the unreleased ones before it. Ranges of job_claimable and job_waiting, cut at a limit.
select count(*) as jobs from (
    (select from job
    where task_id = %(task)s and is_claimable(job)
        and (turn, ordinal) < (%(claimable_turn)s, %(index)s)
    limit %(limit)s)
    union all
    (select from job
    where task_id = %(task)s and state = 'registered' and (turn, ordinal) < (%(waiting_turn)s, %(index)s)
    limit %(limit)s)
) as first_ones

-- name: competitors
-- The live tasks of a queue, as the conductor orders them. Walks task_live; at most 16 count rows per task.
select
    t.id as task, p.name as owner, t.account, t.image, t.priority, t.first_in_line, t.cores, t.gpus,
    t.held_at is not null as held, t.state::text as state, t.intent is not null as moving, t.max_running,
    c.registered, c.assigned, c.testing + c.running + c.kill as living
from task t
join person p on p.id = t.owner_id
cross join lateral status_counts(t.id) as c
where t.ended_at is null and t.queue = %(queue)s
order by t.id

-- name: in_use_of
-- What the jobs of a user take that nodes hold. Walks attempt_open.
select
    count(*) as jobs, coalesce(sum(r.cpus), 0)::integer as cpus, coalesce(sum(r.gpu_milli_taken), 0)::integer as gpu_milli
from attempt a
join task t on t.id = a.task_id
join person p on p.id = t.owner_id
join revision r on r.task_id = a.task_id and r.number = a.revision
where is_open(a) and p.name = %(owner)s

-- name: at_work
-- The jobs of a queue that nodes hold, by task. Walks attempt_open: never more than the nodes have slots and claims
-- ahead.
select
    n.name as node, t.id as task, r.cores, r.gpus, t.typical_seconds, count(*) as jobs,
    count(*) filter (where a.started_at is null) as unstarted
from attempt a
join node n on n.id = a.node_id
join task t on t.id = a.task_id
join revision r on r.task_id = a.task_id and r.number = a.revision
where is_open(a) and t.queue = %(queue)s
group by n.name, t.id, r.cores, r.gpus
order by n.name, t.id

-- name: kill_request
-- The newest request up to a given time to end a job or its whole task. Two ranges of event_of_task, from their
-- ends. Events that pilots write about an end have a node.
select id, at, kind, task_id, ordinal as index, attempt, from_state, to_state, who, why, jobs from (
    (select * from event
    where task_id = %(task)s and ordinal = %(index)s and to_state in ('kill', 'killed') and node_id is null
        and at <= %(until)s
    order by id desc limit 1)
    union all
    (select * from event
    where task_id = %(task)s and ordinal is null and to_state = 'KILL' and from_state <> 'KILL' and at <= %(until)s
    order by id desc limit 1)
) as both_kinds
order by id desc
limit 1

-- name: failed_tests
-- Failed test jobs of the last run of a BROKEN task. They were its first jobs that were not done, so they are at the
-- start of a range of job_notable. LATERAL with a limit, so that attempts are found by key.
select a.ordinal as index, n.name as node, a.cause, a.exit_status, a.signal, a.reason, a.log_tail
from (
    select ordinal, attempt from job
    where task_id = %(task)s and state = 'broken'
    order by ordinal
    limit 1000
) as j
cross join lateral (
    select * from attempt
    where task_id = %(task)s and ordinal = j.ordinal and number = j.attempt
    limit 1
) as a
left join node n on n.id = a.node_id
where a.is_test and a.run = (select run from task where id = %(task)s) and a.ended_at is not null
    and a.cause not in ('ended', 'returned', 'input', 'volume', 'lease', 'closed')
    and not has_succeeded(a)
order by a.ended_at, a.ordinal
limit %(limit)s

-- name: keeper_lease
select
    extract(epoch from now() - renewed_at)::float8 as silent_for,
    case when lease_until < 'infinity' then extract(epoch from lease_until - now())::float8 end as lease_left
from keeper
where id = %(keeper)s

-- name: file_wait
-- What the pilot of a job reports about files, and the folders that the job needs.
select
    n.name as node, p.message, current_troubles(p) as troubles, p.silent,
    t.volume,
    array(
        select v.root
        from revision r join dataset_version v on v.id = r.config_version_id
        where r.task_id = a.task_id and r.number = a.revision
        union
        select v.root
        from revision_input i join dataset_version v on v.id = i.version_id
        where i.task_id = a.task_id and i.number = a.revision
    ) as needs
from job j
join keeper k on k.id = j.keeper_id
join node n on n.id = k.node_id
join pilot p on p.node_id = n.id
join task t on t.id = j.task_id
join attempt a on a.task_id = j.task_id and a.ordinal = j.ordinal and a.number = j.attempt
where j.task_id = %(task)s and j.ordinal = %(index)s

-- name: unresponsive_folders
-- Nodes on which folders do not respond; usually none.
select n.name as node, p.silent from pilot p join node n on n.id = p.node_id
where p.silent <> '{}' and p.gone_at is null
order by n.name
