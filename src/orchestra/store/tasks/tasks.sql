-- Tasks: creating and reading them. task_mutations.sql changes their state.

-- name: select_task
-- The head of every query for whole tasks. The counts are sums of at most 16 rows per task, whatever its size. Empty
-- JSON is null, because parsing it costs most of the time of a long list.
select
    t.id, t.name, p.name as owner, t.account, t.queue::text as queue, t.state::text as state, t.command, t.image, t.volume,
    t.folder, t.complete_file, t.metrics_file, t.config_version_id, nullif(t.env, '{}') as env, t.test_jobs, t.test_for, t.retries,
    t.timeout, t.grace, t.priority, t.max_fails, t.max_fails_percent, t.resume, t.cores, t.gpus, t.memory_bytes, t.jobs,
    t.cpus_gpu_job, t.gpu_milli, t.vram_bytes, t.scratch_bytes, t.exclusive, t.walltime, t.p95_seconds,
    l.constraint_text, l.nodes, l.not_nodes,
    t.run, t.created_at, t.state_at, t.held_at, t.held_by, t.held_reason,
    case when t.held_cause_at = t.held_at then t.held_cause end as held_cause, t.intent, t.rank, t.test_started_at,
    t.work_started_at, t.ended_at, t.typical_seconds, t.binds, t.revision, t.max_running, t.goal, t.attach_report,
    t.origin, w.after, r.removed, c.*
from task t
join person p on p.id = t.owner_id
left join placement l on l.id = t.placement_id
cross join lateral status_counts(t.id) as c
cross join lateral removed_jobs(t.id) as r
cross join lateral (
    select jsonb_agg(
        jsonb_build_object(
            'id', a.after_id, 'name', a.after_name, 'state', o.state, 'gives_configs', a.gives_configs
        )
        order by a.after_id
    ) as after
    from task_after a
    left join task o on o.id = a.after_id and (o.deleted_at is null or o.state = 'DONE' and not a.gives_configs)
    where a.task_id = t.id
) as w

-- name: with_id
where t.id = %(task)s and t.deleted_at is null

-- name: with_name
where t.name = %(name)s and t.deleted_at is null

-- name: listed
-- For `task list`: one person's tasks or everybody's, without DONE ones unless all are requested.
where t.deleted_at is null
    and (%(owner)s::text is null or p.name = %(owner)s)
    and (%(all)s or t.state <> 'DONE')
order by t.id

-- name: newest
-- A page of the same, newest first. The counts are read for the tasks of the page alone. Walks the primary key from its
-- end.
where t.id = any (array(
    select w.id
    from task w join person o on o.id = w.owner_id
    where w.deleted_at is null
        and (%(owner)s::text is null or o.name = %(owner)s)
        and (%(all)s or w.state <> 'DONE')
        and (%(state)s::task_state is null or w.state = %(state)s::task_state)
        and (%(name)s::text is null or strpos(w.name, %(name)s) > 0)
        and (%(before)s::int is null or w.id < %(before)s)
    order by w.id desc
    limit %(limit)s
))
order by t.id desc

-- name: id_of_name
select id from task where name = %(name)s and deleted_at is null

-- name: ids_between
-- The tasks with ids in a range, which may have gaps.
select id from task where id between %(first)s and %(last)s and deleted_at is null order by id

-- name: names
-- For "did you mean".
select name from task where deleted_at is null order by id desc limit 2000

-- name: names_taken
select name from task where name = any(%(names)s) and deleted_at is null

-- name: newest_id
select max(id) as id from task where deleted_at is null

-- name: now
select now() as now

-- name: add_task
insert into task (
    name, owner_id, account, queue, command, image, config_version_id, volume, folder, complete_file, metrics_file, env,
    test_jobs, test_for, retries, timeout, grace, priority, max_fails, max_fails_percent, resume, cores, gpus,
    memory_bytes, binds, jobs, max_running, goal, attach_report, origin, cpus_gpu_job, gpu_milli, vram_bytes,
    scratch_bytes, exclusive, walltime, placement_id
) values (
    %(name)s, %(owner_id)s, %(account)s, %(queue)s, %(command)s, %(image)s, %(config_version_id)s, %(volume)s, %(folder)s,
    %(complete_file)s, %(metrics_file)s, %(env)s, %(test_jobs)s, %(test_for)s, %(retries)s, %(timeout)s, %(grace)s,
    %(priority)s, %(max_fails)s, %(max_fails_percent)s, %(resume)s, %(cores)s, %(gpus)s, %(memory_bytes)s, %(binds)s,
    %(jobs)s, %(max_running)s, %(goal)s, %(attach_report)s, %(origin)s, %(cpus_gpu_job)s, %(gpu_milli)s, %(vram_bytes)s,
    %(scratch_bytes)s, %(exclusive)s, %(walltime)s, %(placement)s
)
on conflict (name) where deleted_at is null do nothing
returning id

-- name: add_inputs
insert into task_input (task_id, tag, version_id)
select %(task)s, tag, version_id from unnest(%(tags)s::text[], %(versions)s::int[]) as given (tag, version_id)

-- name: add_jobs
-- One row for each config file, in order. The trigger that maintains the counts runs only for updates.
insert into job (task_id, ordinal, attempt)
select %(task)s, ordinal, %(attempts)s from dataset_file where version_id = %(version)s order by ordinal

-- name: add_jobs_to_come
-- The same if the configs are stored later: the outputs of a task that is not over yet.
insert into job (task_id, ordinal, attempt)
select %(task)s, ordinal, %(attempts)s from generate_series(0, %(jobs)s - 1) as ordinal

-- name: add_counts
insert into task_count (task_id, stripe, registered) values (%(task)s, 0, %(jobs)s)

-- name: inputs
-- What each tag of a task stands for, with the data set's name; for an input of one file, that file.
select
    i.tag, d.name as dataset, v.number as version, v.root, v.is_folder, v.files,
    case when v.files = 1 then f.path end as only_file
from task_input i
join dataset_version v on v.id = i.version_id
left join dataset d on d.id = v.dataset_id
left join dataset_file f on f.version_id = v.id and f.ordinal = 0
where i.task_id = %(task)s
order by i.tag

-- name: config
-- The source of a task's configs, also if it has a list of its own made of a data set. A version without a data set
-- consists of an older task's outputs.
select d.name as dataset, b.number as version, v.root, v.is_folder, v.files
from task t
join dataset_version v on v.id = t.config_version_id
join dataset_version b on b.id = coalesce(v.based_on, v.id)
left join dataset d on d.id = b.dataset_id
where t.id = %(task)s

-- name: former_configs
-- Where the configs of a task's earlier revisions are.
select s.number, v.root, v.is_folder
from superseded_revision s
join dataset_version v on v.id = s.config_version_id
where s.task_id = %(task)s

-- name: outputs_version
-- One entry for each done job of a task: the folder of its done attempt, in job order. The text of a config is the
-- attempt's metrics.
with output as materialized (
    select
        row_number() over (order by j.ordinal) - 1 as place, j.ordinal,
        coalesce(a.folder_number, j.done_attempt) as folder_number, m.text
    from job j
    left join attempt a on a.task_id = j.task_id and a.ordinal = j.ordinal and a.number = j.done_attempt
    left join attempt_metrics m on m.task_id = j.task_id and m.ordinal = j.ordinal and m.number = j.done_attempt
    where j.task_id = %(task)s and j.state = 'done'
),
texts as (
    insert into dataset_text (version_id, ordinal, name, text)
    select %(version)s, o.place, t.metrics_file, o.text
    from output o
    join task t on t.id = %(task)s
    where octet_length(o.text) <= 4000
)
insert into dataset_file (version_id, ordinal, path)
select %(version)s, place, '.attempts/job_configId_' || ordinal || '/' || folder_number
from output

-- name: first_outputs
-- The start of the same list.
select '.attempts/job_configId_' || j.ordinal || '/' || coalesce(a.folder_number, j.done_attempt) as path
from job j
left join attempt a on a.task_id = j.task_id and a.ordinal = j.ordinal and a.number = j.done_attempt
where j.task_id = %(task)s and j.state = 'done'
order by j.ordinal
limit %(limit)s

-- name: add_outputs_version
insert into dataset_version (root, is_folder, files, bytes) values (%(root)s, true, %(files)s, 0) returning id

-- name: outputs_users
-- Live tasks that read the outputs of a task. Walks task_live.
select t.id, t.name, t.state::text as state
from task t
join dataset_version v on v.id = t.config_version_id
where t.ended_at is null and v.dataset_id is null and v.based_on is null and v.root = %(folder)s
order by t.id

-- name: failed_attempts
-- The failed attempts of a task, those of the first jobs: a range of job_notable, then one attempt each by its key. For
-- a BROKEN task, those of its last test; attempts that were ended, returned or lost do not count. Of a log, only its
-- last bytes.
with failed as (
    select ordinal, attempt, false as broken from job
    where task_id = %(task)s and state = 'failed'
    order by ordinal limit %(limit)s
), broken as (
    select ordinal, attempt, true as broken from job
    where task_id = %(task)s and state = 'broken'
    order by ordinal limit %(limit)s
), chosen as (
    select * from failed union all select * from broken where attempt > 0
)
select
    a.ordinal as index, a.number, n.name as node, coalesce(a.cause, 'lost') as cause, a.exit_status, a.signal,
    substring(a.log_tail from greatest(1, octet_length(a.log_tail) - %(bytes)s + 1)) as end
from chosen j
join attempt a on a.task_id = %(task)s and a.ordinal = j.ordinal and a.number = j.attempt
left join node n on n.id = a.node_id
where not is_open(a)
    and has_succeeded(a) is not true and a.cause is distinct from 'ended'
    and (
        not j.broken
        or a.run = (select run from task where id = %(task)s)
            and a.cause not in ('returned', 'input', 'volume', 'lease', 'closed', 'lost', 'unheard')
    )
order by a.ordinal

-- name: failure_examples
-- Some of them with the end of the log as it is stored, and with their configs. LATERAL with a limit, so that the rows
-- are found by their keys.
select a.*, f.path as config
from unnest(%(indexes)s::int[], %(numbers)s::int[]) as given (ordinal, number)
cross join lateral (
    select
        e.ordinal as index, n.name as node, coalesce(e.cause, 'lost') as cause, e.exit_status, e.signal, e.reason,
        e.log_tail
    from attempt e
    left join node n on n.id = e.node_id
    where e.task_id = %(task)s and e.ordinal = given.ordinal and e.number = given.number
    limit 1
) as a
left join lateral (
    select path from dataset_file
    where version_id = (select config_version_id from task where id = %(task)s) and ordinal = a.index
    limit 1
) as f on true

-- name: effort
-- CPU time of the first ended attempts: exact for most tasks, a sample for the largest.
select count(*) as attempts, sum(cpu_seconds) as cpu_seconds, sum(seconds) as seconds
from (
    select cpu_seconds, seconds from attempt
    where task_id = %(task)s and ended_at is not null
    order by ordinal limit %(limit)s
) as first_ones

-- name: places
-- Where the first ended attempts ran: a node, the version of its keeper, and the image that it had.
select n.name as node, k.version, a.image_digest, count(*) as attempts
from (
    select node_id, keeper_id, image_digest from attempt
    where task_id = %(task)s and ended_at is not null
    order by ordinal limit %(limit)s
) as a
left join node n on n.id = a.node_id
left join keeper k on k.id = a.keeper_id
group by n.name, k.version, a.image_digest
order by attempts desc, n.name, k.version, a.image_digest

-- name: doubts
-- Results with a note about their inputs, up to a limit, and the first of them. Walks attempt_inputs_note.
select count(*) as results, min(ordinal) as example, (array_agg(inputs_note order by ordinal))[1] as note
from (
    select a.ordinal, a.inputs_note from attempt a
    join job j on j.task_id = a.task_id and j.ordinal = a.ordinal and j.done_attempt = a.number
    where a.task_id = %(task)s and a.inputs_note is not null
    order by a.ordinal limit %(limit)s
) as noted

-- name: any_claimed
-- Whether a keeper holds a job of a task. Walks job_claimed.
select exists (select from job where task_id = %(task)s and keeper_id is not null) as claimed

-- name: nodes_yet_to_answer
-- Nodes with claimed jobs of held tasks that have not reported a start. Walks job_claimed.
select
    t.id as task, n.name as node,
    bool_or(is_online(p)) as online
from task t
join job j on j.task_id = t.id
join keeper k on k.id = j.keeper_id
join node n on n.id = k.node_id
left join pilot p on p.node_id = n.id
where t.id = any(%(tasks)s) and t.held_at is not null and j.state = 'assigned'
group by t.id, n.name
order by t.id, n.name

-- name: conductor
-- Whether a conductor is active.
select expires > now() as alive from leader where duty = 'conductor'

-- name: running_jobs
-- The jobs of a queue that nodes hold. Walks attempt_open: never more than the nodes have slots and claims ahead.
select a.task_id, t.name as task, p.name as owner, a.ordinal as index, n.name as node, a.claimed_at, a.started_at, a.is_test
from attempt a
join task t on t.id = a.task_id
join person p on p.id = t.owner_id
left join node n on n.id = a.node_id
where is_open(a) and t.queue = %(queue)s
order by a.started_at nulls last, a.task_id, a.ordinal
limit %(limit)s

-- name: waiting_jobs
-- The next jobs of a queue, in the order of claims. Walks task_rank, then job_claimable.
select j.task_id, t.name as task, p.name as owner, j.ordinal as index, j.is_test
from (
    select id, name, owner_id, rank from task
    where queue = %(queue)s and rank is not null and held_at is null
    order by rank, id
    limit 200
) as t
join person p on p.id = t.owner_id
cross join lateral (
    select task_id, ordinal, turn, is_test from job
    where task_id = t.id and is_claimable(job)
    order by turn, ordinal
    limit %(limit)s
) as j
order by t.rank, t.id, j.turn, j.ordinal
limit %(limit)s

-- name: offers
-- What each node offers to a queue, and the latest report of its pilot. Those in allocations offer something to one queue,
-- for jobs that end before the allocation does (domain/pools/ending.py).
select
    n.name as node,
    case
        when g.spec ->> 'queue' <> %(queue)s then 0
        when %(queue)s::queue = 'gpu' then n.gpu_enabled else n.cpu_enabled
    end as enabled,
    is_online(p) as online,
    case when is_drained(n) then coalesce(n.drained_at, n.drain_at) end as drained_at,
    coalesce(n.drained_by, n.drain_at_by) as drained_by, coalesce(n.drain_reason, n.drain_at_reason) as drain_reason,
    p.account, coalesce(p.is_root or p.serve_all, false) as serves_all,
    coalesce(p.runtimes, '{}') as runtimes, extract(epoch from now() - p.seen_at)::float8 as silent_for,
    coalesce(p.knows_revisions, false) as knows_revisions,
    coalesce(p.leave, false) or g.deletion is not null or coalesce(l.state = 'LEAVING', false) as leaving, g.name as pool,
    extract(epoch from case when p.opens_at > now() then p.opens_at end - now())::float8 as opens_in,
    extract(
        epoch from least(
            case when p.opens_at is null and is_online(p) then p.closes_at end, n.drain_at,
            n.ends_at - least(interval '1 minute', (n.ends_at - n.created_at) / 10)
        ) - now()
    )::float8 as seconds_left,
    n.id, n.created_at, n.cpu_enabled, n.gpu_enabled, n.memory_bytes, n.labels, n.open_hours, p.found,
    p.message, current_troubles(p) as troubles,
    (select task_id from reservation where node_id = n.id) as keeps_for
from node n
left join pilot p on p.node_id = n.id
left join pool g on g.id = n.pool_id
left join allocation l on l.id = n.allocation_id
where n.gone_at is null
order by n.name
