-- Jobs and attempts: reading them. job_mutations.sql and work/ change them.
--
-- Each `choose_*` statement is a page of jobs by key. `show_chosen` joins further tables only after the page has
-- been cut.

-- name: choose_all
-- A range of the primary key.
select * from job
where task_id = %(task)s and ordinal >= %(first)s
order by ordinal limit %(limit)s

-- name: choose_notable
-- A range of job_notable.
select * from job
where task_id = %(task)s and state = %(state)s::job_state and state in ('failed', 'killed', 'broken')
    and ordinal >= %(first)s
order by ordinal limit %(limit)s

-- name: choose_claimed
-- Claimed jobs are in job_claimed.
select * from job
where task_id = %(task)s and keeper_id is not null and ordinal >= %(first)s
    and job_figure(state, is_test, kill_requested, true) = %(status)s
order by ordinal limit %(limit)s

-- name: choose_registered
-- Two ranges of job_waiting, one for each turn.
select * from (
    (select * from job
    where task_id = %(task)s and state = 'registered' and turn = 0 and ordinal >= %(first)s
    order by ordinal limit %(limit)s)
    union all
    (select * from job
    where task_id = %(task)s and state = 'registered' and turn = 1 and ordinal >= %(first)s
    order by ordinal limit %(limit)s)
) as both_turns
order by ordinal limit %(limit)s

-- name: choose_assigned
-- Two ranges of job_claimable, the jobs that a pilot has claimed, and those that wait for a retry.
select * from (
    (select * from job
    where task_id = %(task)s and is_claimable(job) and turn = 0
        and ordinal >= %(first)s
    order by ordinal limit %(limit)s)
    union all
    (select * from job
    where task_id = %(task)s and is_claimable(job) and turn = 1
        and ordinal >= %(first)s
    order by ordinal limit %(limit)s)
    union all
    (select * from job
    where task_id = %(task)s and state = 'assigned' and keeper_id is not null and not kill_requested
        and ordinal >= %(first)s)
    union all
    (select * from job
    where task_id = %(task)s and state = 'assigned' and not_before is not null and ordinal >= %(first)s)
) as every_kind
order by ordinal limit %(limit)s

-- name: choose_done
-- A range of the primary key. A page fills quickly where many jobs are done.
select * from job
where task_id = %(task)s and state = 'done' and ordinal >= %(first)s
order by ordinal limit %(limit)s

-- name: choose_few_done
-- For tasks with few done jobs among many: finds them by their attempts, a range of the attempts' primary key.
select j.*
from (
    select distinct ordinal from attempt
    where task_id = %(task)s and ordinal >= %(first)s and exit_status = 0
    order by ordinal
) as a
join job j on j.task_id = %(task)s and j.ordinal = a.ordinal
where j.state = 'done'
order by j.ordinal limit %(limit)s

-- name: choose_matching
-- Those of a page of `looked` that a search is for. LATERAL with a limit, so that attempts and configs are found by
-- their keys, and not looked for if they do not matter. Logs are any bytes, so their lines are compared as escaped text.
select l.*
from looked l
join task t on t.id = l.task_id
left join lateral (
    select n.name, coalesce(a.cause, case when a.lost_at is not null then 'lost' end) as cause, a.exit_status, a.signal, a.log_tail
    from attempt a
    left join node n on n.id = a.node_id
    where (%(node)s::text is not null or %(cause)s::text is not null or %(line)s::text is not null)
        and a.task_id = l.task_id and a.ordinal = l.ordinal and a.number = l.attempt
    limit 1
) as ran on true
left join lateral (
    select f.path from dataset_file f
    where %(config)s::text is not null and f.version_id = t.config_version_id and f.ordinal = l.ordinal
    limit 1
) as config on true
where (%(since)s::timestamptz is null or l.changed_at >= %(since)s)
    and (%(node)s::text is null or ran.name = %(node)s)
    and (%(cause)s::text is null or ran.cause = %(cause)s)
    and (%(exit_status)s::int is null or ran.exit_status = %(exit_status)s)
    and (%(signal)s::int is null or ran.signal = %(signal)s)
    and (%(line)s::text is null or encode(
        substring(ran.log_tail from greatest(1, octet_length(ran.log_tail) - %(bytes)s + 1)), 'escape'
    ) ~ %(line)s)
    and (%(config)s::text is null or config.path ~ %(config)s)
order by l.ordinal limit %(most)s

-- name: show_matching
-- One row without a job if none matches, so that it is known how far this looked.
select l.looked_to, l.looked, s.*
from (select max(ordinal) as looked_to, count(*) as looked from looked) as l
left join shown s on true
order by s.index

-- name: list_matching
-- The same without what is shown of a job, for changes of all that match.
select l.looked_to, l.looked, c.ordinal as index, c.state::text as state, c.removed
from (select max(ordinal) as looked_to, count(*) as looked from looked) as l
left join chosen c on true
order by c.ordinal

-- name: choose_one
select * from job where task_id = %(task)s and ordinal = %(index)s

-- name: show_chosen
select
    j.task_id, j.ordinal as index, j.state::text as state, f.path as config, j.is_test, j.kill_requested,
    j.keeper_id is not null as claimed, j.attempt as attempts,
    case when j.attempt > 1 or a.cause in ('returned', 'input', 'volume') then (
        select count(*) from attempt r
        where r.task_id = j.task_id and r.ordinal = j.ordinal and r.cause in ('returned', 'input', 'volume')
    ) else 0 end as handed_back, j.removed, j.failures, j.losses, j.done_attempt, j.changed_at,
    n.name as node, coalesce(a.cause, case when a.lost_at is not null then 'lost' end) as cause, a.reason,
    a.exit_status, a.signal, a.started_at, a.seconds, a.inputs_note
from chosen j
join task t on t.id = j.task_id
left join dataset_file f on f.version_id = t.config_version_id and f.ordinal = j.ordinal
left join attempt a on a.task_id = j.task_id and a.ordinal = j.ordinal and a.number = j.attempt
left join node n on n.id = a.node_id
order by j.ordinal

-- name: attempts
-- All attempts of a job, without their logs, with the limits of their own revision, and the GPUs that their node has now.
select
    a.task_id, a.ordinal as index, a.number, n.name as node, a.run, a.revision, a.is_test, a.claimed_at, a.started_at, a.ended_at, a.lost_at,
    a.folder_number, a.devices, a.cause, a.exit_status, a.signal, a.reason, a.seconds, $usage{a.NAME},
    a.accepted, a.log_bytes, a.config_sha256, a.image_digest, a.inputs_note, r.timeout,
    r.cores, r.gpus, r.memory_bytes as memory_limit, r.cpus_gpu_job, r.gpu_milli, r.vram_bytes, r.scratch_bytes,
    r.exclusive, case when a.devices is not null then p.found -> 'devices' end as found_devices
from attempt a
left join node n on n.id = a.node_id
left join pilot p on p.node_id = a.node_id
left join revision r on r.task_id = a.task_id and r.number = a.revision
where a.task_id = %(task)s and a.ordinal = %(index)s
order by a.number

-- name: log_tail
select log_tail, log_bytes from attempt
where task_id = %(task)s and ordinal = %(index)s and number = %(number)s

-- name: log_chunk
-- The stored end of a log from a byte on, and whether more can follow. One statement, so that an incomplete log is
-- never taken for a complete one.
select
    start as "offset", substring(log_tail from (start - first + 1)::integer) as data,
    case when log_tail is not null then log_bytes end as length,
    not is_open(attempt) as over, ended_at is null and started_at is not null as grows
from attempt
cross join lateral (select log_bytes - octet_length(log_tail) as first) as kept
cross join lateral (select least(greatest(%(offset)s::bigint, first), log_bytes) as start) as wanted
where task_id = %(task)s and ordinal = %(index)s and number = %(number)s

-- name: attempt_folders
-- A page of the folders of a task's attempts, each once. A range of the primary key.
select distinct ordinal, folder_number
from (
    select ordinal, folder_number from attempt
    where task_id = %(task)s and ordinal >= %(first)s and ordinal < %(next)s
) as page
order by ordinal, folder_number

-- name: superseded_folders
-- A page of folders that no result and no running attempt needs: neither the done attempt's nor the latest one's. A
-- lost attempt counts as over, because a later one exists only after its machine, keeper or lease has ended.
select a.ordinal, a.folder_number
from attempt a
join job j on j.task_id = a.task_id and j.ordinal = a.ordinal
where a.task_id = %(task)s and a.ordinal >= %(first)s and a.ordinal < %(next)s
    and j.task_id = %(task)s and j.ordinal >= %(first)s and j.ordinal < %(next)s
group by a.ordinal, a.folder_number
having bool_and(
    not is_open(a) and a.number <> j.attempt
    and a.number is distinct from j.done_attempt
)
order by a.ordinal, a.folder_number

-- name: select_results
-- The head of the queries for results: the done attempt of each job, also during a retry, with its own revision's config.
select
    j.ordinal as index, coalesce(a.number, j.done_attempt) as attempt, coalesce(a.revision, 1) as revision,
    coalesce(a.folder_number, j.done_attempt) as folder_number,
    n.name as node, a.seconds, $usage{a.NAME}, f.path, f.sha256, a.inputs_note, m.text as metrics,
    t.text as config, t.name as config_name
from job j
left join attempt a on a.task_id = j.task_id and a.ordinal = j.ordinal and a.number = j.done_attempt
left join node n on n.id = a.node_id
left join revision r on r.task_id = j.task_id and r.number = coalesce(a.revision, 1)
left join dataset_file f on f.version_id = r.config_version_id and f.ordinal = j.ordinal
left join attempt_metrics m on m.task_id = j.task_id and m.ordinal = j.ordinal and m.number = j.done_attempt
left join dataset_text t on t.version_id = r.config_version_id and t.ordinal = j.ordinal

-- name: select_running
-- The running attempts of a task, like results. Running jobs are in job_claimed.
select
    j.ordinal as index, a.number as attempt, a.revision, a.folder_number,
    n.name as node, extract(epoch from now() - a.started_at)::float8 as seconds, f.path, f.sha256,
    t.text as config, t.name as config_name,
    job_figure(j.state, j.is_test, j.kill_requested, true)::text as state
from job j
join attempt a on a.task_id = j.task_id and a.ordinal = j.ordinal and a.number = j.attempt
left join node n on n.id = a.node_id
left join revision r on r.task_id = j.task_id and r.number = a.revision
left join dataset_file f on f.version_id = r.config_version_id and f.ordinal = j.ordinal
left join dataset_text t on t.version_id = r.config_version_id and t.ordinal = j.ordinal
where j.task_id = %(task)s and j.keeper_id is not null and j.state = 'running'
order by j.ordinal

-- name: used
-- What the running jobs of a task have used so far: their number, and the seconds since their starts times their slots.
-- Running jobs are in job_claimed.
select
    count(*) as jobs,
    coalesce(sum(extract(epoch from now() - a.started_at) * r.slots), 0)::float8 as seconds
from job j
join attempt a on a.task_id = j.task_id and a.ordinal = j.ordinal and a.number = j.attempt
join revision r on r.task_id = j.task_id and r.number = a.revision
where j.task_id = %(task)s and j.keeper_id is not null and j.state = 'running'
    and (%(indexes)s::int[] is null or j.ordinal = any(%(indexes)s::int[]))

-- name: of_page
-- Ranges of primary keys.
where j.task_id = %(task)s and j.ordinal >= %(first)s and j.ordinal < %(next)s and j.done_attempt is not null
order by j.ordinal

-- name: of_jobs
-- By primary key.
where j.task_id = %(task)s and j.ordinal = any(%(indexes)s::int[]) and j.done_attempt is not null

-- name: attempt_command
-- The command and the config of an attempt, as its revision has them. One row of each table.
select r.command, case when v.is_folder then v.root || '/' || f.path else v.root end as config
from attempt a
join revision r on r.task_id = a.task_id and r.number = a.revision
join dataset_version v on v.id = r.config_version_id
join dataset_file f on f.version_id = v.id and f.ordinal = a.ordinal
where a.task_id = %(task)s and a.ordinal = %(index)s and a.number = %(number)s

-- name: revision_inputs
-- What each tag stood for in a revision of a task.
select
    i.tag, d.name as dataset, v.number as version, v.root, v.is_folder, v.files,
    case when v.files = 1 then f.path end as only_file
from revision_input i
join dataset_version v on v.id = i.version_id
left join dataset d on d.id = v.dataset_id
left join dataset_file f on f.version_id = v.id and f.ordinal = 0
where i.task_id = %(task)s and i.number = %(revision)s
