-- Claims. Locks: keeper, task (shared, see tasks/locks.sql), jobs by (task, ordinal), counts.

-- name: claiming_pilot
-- The agent that decides for the node, which tasks it may serve, and the owners who have limits. `described` has all that
-- the node's labels are made of, if any task asks for them. `reserved_for` is the task that it waits for. Also records the number of the claim's request.
with noted as (
    update keeper set last_request = %(request)s where id = %(keeper)s and last_request < %(request)s
)
select p.agent, p.account, p.is_root or p.serve_all as serves_all, p.runtimes,
    is_drained(n) or p.leave or exists (select from cluster where settling_since is not null)
        or exists (select from allocation a where a.id = n.allocation_id and a.state in ('LEAVING', 'ENDED')) as drained,
    n.cpu_enabled, n.gpu_enabled, n.memory_bytes, (select epoch from cluster) as epoch,
    array(select l.id from person l where has_limits(l)) as limited_owners,
    case when exists (select from placement) then
        concat_ws(' ', n.cpu_enabled, n.gpu_enabled, n.memory_bytes, n.labels, n.pool_id, p.found)
    end as described,
    r.task_id as reserved_for, extract(epoch from r.starts_at - now())::float8 as starts_in, r.spare_cpus,
    r.spare_gpu_milli, r.spare_memory, r.spare_scratch
from pilot p
join node n on n.id = p.node_id
left join reservation r on r.node_id = p.node_id
where p.node_id = %(node)s

-- name: candidates
-- A page of the tasks with claimable jobs, best first, that a claim may take from: those after a (rank, id). Walks
-- task_rank. A rank may be slightly out of date; `tasks_with_jobs` checks. Whether everything fits together, such as memory
-- and a free part on the same GPU, is up to the caller.
select
    id, rank, owner_id, placement_id, expected_seconds(walltime, timeout, p95_seconds) + grace as seconds,
    cores, gpus, memory_bytes, cpus_gpu_job, gpu_milli, vram_bytes, scratch_bytes, exclusive

-- name: needs
-- What the jobs of these tasks need.
select distinct cores, gpus, memory_bytes, cpus_gpu_job, gpu_milli, vram_bytes, scratch_bytes, exclusive

-- name: wanted
-- The tasks that this pilot may serve and that there is room for. On a reserved node, only the task that it waits for,
-- and what ends before that starts or fits beside it. Elsewhere, a job of unknown duration is taken at any time. CASE,
-- because the planner takes each comparison for rarely true, and would sort.
from task
where queue = %(queue)s and rank is not null and held_at is null
    and (%(serves_all)s or account = %(account)s)
    and (image is null or image ~ %(images)s)
    and case when cpus_taken(queue, cores, cpus_gpu_job) <= %(cpus)s
            and (
                queue = 'cpu'
                or case when gpu_milli is null then greatest(gpus, 1) <= %(whole_gpus)s else gpu_milli <= %(gpu_milli)s end
                and coalesce(vram_bytes, 0) <= %(vram_bytes)s
            )
            and coalesce(memory_bytes, 0) <= %(memory_bytes)s
            and coalesce(scratch_bytes, 0) <= %(scratch_bytes)s
            and (not exclusive or %(is_idle)s)
            and (expected_seconds(walltime, timeout, p95_seconds) + grace <= %(seconds_left)s) is not false
            and (
                not %(is_reserved)s or id = %(reserved_for)s
                or (expected_seconds(walltime, timeout, p95_seconds) + grace <= %(starts_in)s) is true
                or not exclusive and cpus_taken(queue, cores, cpus_gpu_job) <= %(spare_cpus)s
                and gpu_milli_taken(queue, gpus, gpu_milli) <= %(spare_gpu_milli)s
                and coalesce(memory_bytes, 0) <= %(spare_memory)s and coalesce(scratch_bytes, 0) <= %(spare_scratch)s
            )
        then true else false end
    and id <> all(%(avoid)s::int[])
    and owner_id <> all(%(not_of)s::int[])
    and (placement_id is null or placement_id <> all(%(not_here)s::int[]))

-- name: page
    and (rank, id) > (%(rank)s, %(after)s)
order by rank, id
limit %(limit)s

-- name: some
limit 64

-- name: tasks_with_jobs
-- Those of the tasks that have a claimable job. One lookup for each turn in job_claimable, from the claim cursor on.
select given.id
from unnest(%(tasks)s::int[]) as given (id)
where exists (
        select from job
        where task_id = given.id and is_claimable(job)
            and turn <= 0 and (turn, ordinal) >= (0, coalesce((
                select ordinal from job_floor where task_id = given.id and turn = 0 order by id desc limit 1
            ), 0))
    ) or exists (
        select from job
        where task_id = given.id and is_claimable(job)
            and (turn, ordinal) >= (1, coalesce((
                select ordinal from job_floor where task_id = given.id and turn = 1 order by id desc limit 1
            ), 0))
    )

-- name: claim_jobs
-- Claims up to `limit` jobs of a task, in order, and returns what `granted` would. The task's lock is shared: a kill or a
-- hold waits until this claim is over, and the effect of one that this claim waited for is seen here.
--
-- A job that changed hands just before is chosen, but no longer found in its place; the next claim takes it. So every
-- row starts with the number of chosen jobs, and with how many jobs the task has. A claim without jobs returns one row.
with
-- The task, if it may still be claimed from.
claimable_task as materialized (
    select id, run, revision, resume, config_version_id, jobs, let_go from task
    where id = %(task)s and state in ('TESTING', 'RUNNING') and held_at is null
),
-- The jobs of turn 0 (retried, requeued) and those of turn 1 (in order), each from the first claimable one that
-- share_to_claim has found, past those that others have locked. Both walk job_claimable. The turn is a range, because
-- with `turn = 0` the primary key has the same order, and leads past all jobs. MATERIALIZED, so that jobs are chosen
-- once; the lock on their rows keeps them in their places.
jobs_first_in_line as materialized (
    select ctid as place, ordinal
    from job
    where task_id = %(task)s and is_claimable(job)
        and turn <= 0 and (turn, ordinal) >= (0, %(first_in_line)s::int) and exists (select from claimable_task)
    order by turn, ordinal
    limit %(limit)s
    for update skip locked
),
jobs_in_order as materialized (
    select ctid as place, ordinal
    from job
    where task_id = %(task)s and is_claimable(job)
        and (turn, ordinal) >= (1, %(in_order)s::int) and exists (select from claimable_task)
    order by turn, ordinal
    limit %(limit)s - (select count(*) from jobs_first_in_line)
    for update skip locked
),
chosen_jobs as materialized (
    select place from jobs_first_in_line
    union all
    select place from jobs_in_order
),
-- The chosen jobs belong to the keeper, each with a new attempt.
claimed_jobs as (
    update job j set keeper_id = %(keeper)s, attempt = j.attempt + 1
    from chosen_jobs c
    where j.ctid = c.place
    returning j.task_id, j.ordinal, j.turn, j.attempt, j.is_test, j.done_attempt
),
-- Each attempt gets a token and a folder: that of the attempt before, if the task resumes and it is not the done one,
-- else a new one. A restored database counts attempts from an earlier number, so each epoch has folders of its own.
new_attempts as (
    select
        j.*, t.run, t.revision, t.config_version_id, t.let_go, gen_random_uuid() as token,
        j.attempt + (cluster.epoch - 1) * 1000 as new_folder_number,
        case when t.resume then (
            select last.folder_number from attempt last
            where last.task_id = j.task_id and last.ordinal = j.ordinal and last.number = j.attempt - 1
                and last.number is distinct from j.done_attempt
        ) end as resumed_folder_number
    from claimed_jobs j
    cross join claimable_task t
    cross join cluster
),
-- The attempts with their configs.
grants as materialized (
    select
        n.task_id, n.ordinal, n.turn, n.attempt, n.token, n.run, n.revision, n.is_test, n.done_attempt, n.let_go,
        coalesce(n.resumed_folder_number, n.new_folder_number) as folder_number,
        n.resumed_folder_number is null as new_folder,
        v.root, v.is_folder, f.path, f.size, f.mtime_ns, f.sha256
    from new_attempts n
    join dataset_version v on v.id = n.config_version_id
    left join dataset_file f on f.version_id = n.config_version_id and f.ordinal = n.ordinal
),
recorded_attempts as (
    insert into attempt
        (task_id, ordinal, number, token, keeper_id, node_id, request, run, revision, is_test, config_sha256, folder_number)
    select
        task_id, ordinal, attempt, token, %(keeper)s, %(node)s, %(request)s, run, revision, is_test, sha256,
        folder_number
    from grants
)
select
    (select count(*) from chosen_jobs), (select jobs from claimable_task), task_id, ordinal, attempt, token, is_test,
    folder_number, done_attempt, new_folder, let_go, revision, root, is_folder, path, size, mtime_ns, sha256
from (values (true)) as always
left join grants on true
order by turn, ordinal

-- name: granted
-- The open grants of a claim's request, with their own revision. A repeated request gets the same answer.
select
    a.task_id, a.ordinal, a.number, a.token, a.is_test, a.folder_number, j.done_attempt,
    not t.resume or not exists (
        select from attempt earlier
        where earlier.task_id = a.task_id and earlier.ordinal = a.ordinal and earlier.number < a.number
            and earlier.folder_number = a.folder_number
    ) as new_folder,
    t.let_go, a.revision, v.root, v.is_folder, f.path, f.size, f.mtime_ns, f.sha256
from attempt a
join job j on j.task_id = a.task_id and j.ordinal = a.ordinal
join task t on t.id = a.task_id
join revision r on r.task_id = a.task_id and r.number = a.revision
join dataset_version v on v.id = r.config_version_id
join dataset_file f on f.version_id = r.config_version_id and f.ordinal = a.ordinal
where a.node_id = %(node)s and a.keeper_id = %(keeper)s and a.request = %(request)s
    and is_open(a)
order by a.claimed_at, t.rank, j.turn, a.task_id, a.ordinal
