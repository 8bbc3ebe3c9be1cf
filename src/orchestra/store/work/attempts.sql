-- Attempts: what pilots claim, start and report. Locks: keeper, tasks (shared, see locks.sql), jobs by (task,
-- ordinal), counts.
--
-- The arrays of a batch are unnested with their length as a limit. The limit changes only the plan: the planner
-- expects few rows from a limit that it does not know yet, so it looks each row up by its key, even if the plan was
-- made while the tables were nearly empty and a full scan looked as cheap.

-- name: lock_keeper
select k.node_id, n.name as node, k.last_request, k.report_sequence, k.fenced_at is not null as fenced, k.fence_reason
from keeper k
join node n on n.id = k.node_id
where k.id = %(keeper)s
for update of k

-- name: claiming_pilot
-- The agent that decides for the node, and which tasks it may serve. Also records the number of the claim's request.
with noted as (
    update keeper set last_request = %(request)s where id = %(keeper)s and last_request < %(request)s
)
select p.agent, p.account, p.is_root or p.serve_all as serves_all, p.runtimes,
    n.drained_at is not null or p.leave or exists (select from cluster where settling_since is not null) as drained,
    n.cpu_enabled, n.gpu_enabled, (select epoch from cluster) as epoch
from pilot p
join node n on n.id = p.node_id
where p.node_id = %(node)s

-- name: candidates
-- A page of the tasks with claimable jobs, best first, that this pilot may serve and that fit on its node: those
-- after a (rank, id). Walks task_rank. A rank may be slightly out of date; `with_jobs` checks.
select id, rank, slots_of(task) as slots from task
where queue = %(queue)s and rank is not null and held_at is null
    and (%(serves_all)s or account = %(account)s)
    and (image is null or image ~ %(images)s)
    and slots_of(task) <= %(offered)s
    and id <> all(%(avoid)s::int[])
    and (rank, id) > (%(rank)s, %(after)s)
order by rank, id
limit %(limit)s

-- name: with_jobs
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

-- name: busy_here
-- The jobs that occupy slots of a queue on a node, and for how long. Walks attempt_open.
select
    t.id as task, slots_of(t) as slots, t.typical_seconds,
    greatest(extract(epoch from now() - coalesce(a.started_at, a.claimed_at)), 0)::float8 as age
from attempt a
join task t on t.id = a.task_id
where a.node_id = %(node)s and is_open(a) and t.queue = %(queue)s

-- name: reservation
-- The node that keeps slots free for a task's next job. A reservation expires when its node has not renewed it for a
-- while.
select node_id, ready_in, passed_on, renewed_at between now() - make_interval(secs => %(patience)s) and now() as is_fresh
from slot_reservation
where task_id = %(task)s

-- name: lock_reservation
-- Claims and commands that change a reservation never wait for each other: the second one leaves it unchanged.
select pg_try_advisory_xact_lock(731058, %(task)s) as locked

-- name: reserve
insert into slot_reservation (task_id, node_id, ready_in, passed_on)
values (%(task)s, %(node)s, %(ready_in)s, %(passed_on)s)
on conflict (task_id) do update set
    node_id = excluded.node_id, ready_in = excluded.ready_in, passed_on = excluded.passed_on, renewed_at = now()

-- name: end_reservation
delete from slot_reservation where task_id = %(task)s

-- name: claim_jobs
-- Claims up to `limit` jobs of a task, in order, and returns what `granted` would. The task's lock is shared: a kill or a
-- hold waits until this claim is over, and the effect of one that this claim waited for is seen here.
--
-- A job that changed hands just before is chosen, but no longer found in its place; the next claim takes it. So every
-- row starts with the number of chosen jobs, and with how many jobs the task has. A claim without jobs returns one row.
with
-- The task, if it may still be claimed from.
claimable_task as materialized (
    select id, run, resume, config_version_id, jobs, let_go from task
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
        j.*, t.run, t.config_version_id, t.let_go, gen_random_uuid() as token,
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
        n.task_id, n.ordinal, n.turn, n.attempt, n.token, n.run, n.is_test, n.done_attempt, n.let_go,
        coalesce(n.resumed_folder_number, n.new_folder_number) as folder_number,
        n.resumed_folder_number is null as new_folder,
        v.root, v.is_folder, f.path, f.size, f.mtime_ns, f.sha256
    from new_attempts n
    join dataset_version v on v.id = n.config_version_id
    left join dataset_file f on f.version_id = n.config_version_id and f.ordinal = n.ordinal
),
recorded_attempts as (
    insert into attempt
        (task_id, ordinal, number, token, keeper_id, node_id, request, run, is_test, config_sha256, folder_number)
    select
        task_id, ordinal, attempt, token, %(keeper)s, %(node)s, %(request)s, run, is_test, sha256, folder_number
    from grants
)
select
    (select count(*) from chosen_jobs), (select jobs from claimable_task), task_id, ordinal, attempt, token, is_test,
    folder_number, done_attempt, new_folder, let_go, root, is_folder, path, size, mtime_ns, sha256
from (values (true)) as always
left join grants on true
order by turn, ordinal

-- name: raise_floors
select raise_job_floor(%(task)s, %(step)s)

-- name: granted
-- The open grants of a claim's request. A repeated request gets the same answer.
select
    a.task_id, a.ordinal, a.number, a.token, a.is_test, a.folder_number, j.done_attempt,
    not t.resume or not exists (
        select from attempt earlier
        where earlier.task_id = a.task_id and earlier.ordinal = a.ordinal and earlier.number < a.number
            and earlier.folder_number = a.folder_number
    ) as new_folder,
    t.let_go, v.root, v.is_folder, f.path, f.size, f.mtime_ns, f.sha256
from attempt a
join job j on j.task_id = a.task_id and j.ordinal = a.ordinal
join task t on t.id = a.task_id
join dataset_version v on v.id = t.config_version_id
join dataset_file f on f.version_id = t.config_version_id and f.ordinal = a.ordinal
where a.node_id = %(node)s and a.keeper_id = %(keeper)s and a.request = %(request)s
    and is_open(a)
order by a.claimed_at, t.rank, j.turn, a.task_id, a.ordinal

-- name: task_specs
select
    t.id, t.name, p.name as owner, t.queue, t.command, t.image, t.volume, t.folder, t.complete_file, t.env, t.cores,
    t.gpus, t.memory_bytes, t.timeout, t.grace, t.resume, t.binds, t.metrics_file
from task t
join person p on p.id = t.owner_id
where t.id = any(%(tasks)s)

-- name: task_inputs
select i.task_id, i.tag, v.id as version_id, v.root, v.is_folder, v.files
from task_input i
join dataset_version v on v.id = i.version_id
where i.task_id = any(%(tasks)s)
order by i.task_id, i.tag

-- name: configs
-- The configs of attempts, as registered.
select given.place, v.root, v.is_folder, f.path, f.size, f.mtime_ns, f.sha256
from unnest(%(tasks)s::int[], %(indexes)s::int[], %(numbers)s::int[], %(tokens)s::uuid[])
    with ordinality as given (task_id, ordinal, number, token, place)
join attempt a on a.task_id = given.task_id and a.ordinal = given.ordinal and a.number = given.number
    and a.token = given.token
join task t on t.id = given.task_id
join dataset_version v on v.id = t.config_version_id
join dataset_file f on f.version_id = t.config_version_id and f.ordinal = given.ordinal

-- name: lock_attempts
-- Locks the jobs of a batch in order, and returns each with the attempt that the batch names and with its task,
-- which is shared. A wrong token finds nothing. `place` is the attempt's position in the batch, from 1.
select
    given.place, j.state, t.state, t.queue, j.attempt as latest, j.is_test, j.kill_requested, j.failures, j.losses,
    j.keeper_id is not distinct from %(keeper)s as is_of_keeper, a.ended_at is not null as ended,
    a.lost_at is not null as lost, t.retries
from (
    select * from unnest(%(tasks)s::int[], %(indexes)s::int[], %(numbers)s::int[], %(tokens)s::uuid[]) with ordinality
    limit %(count)s
) as given (task_id, ordinal, number, token, place)
join attempt a on a.task_id = given.task_id and a.ordinal = given.ordinal and a.number = given.number
    and a.token = given.token
join job j on j.task_id = given.task_id and j.ordinal = given.ordinal
join task t on t.id = given.task_id
order by j.task_id, j.ordinal
for update of j

-- name: start_jobs
update job j set state = 'running', changed_at = now()
from (
    select * from unnest(%(tasks)s::int[], %(indexes)s::int[], %(numbers)s::int[]) limit %(count)s
) as given (task_id, ordinal, number)
where j.task_id = given.task_id and j.ordinal = given.ordinal and j.attempt = given.number and j.state = 'assigned'

-- name: start_attempts
update attempt a set
    started_at = now() - make_interval(secs => given.age), devices = given.devices, image_digest = given.image_digest
from (
    select * from unnest(
        %(tasks)s::int[], %(indexes)s::int[], %(numbers)s::int[], %(ages)s::float8[], %(devices)s::text[],
        %(image_digests)s::text[]
    )
    limit %(count)s
) as given (task_id, ordinal, number, age, devices, image_digest)
where a.task_id = given.task_id and a.ordinal = given.ordinal and a.number = given.number and a.started_at is null

-- name: end_attempts
-- Records outcomes in one statement: in their attempts, their jobs, an event for each job that changes, and the
-- keeper's sequence number. A job that its outcome does not change has no state here; `was` is the state before.
--
-- Retried and lost jobs go first in line, retried ones after a delay. A job of a test keeps its mark until the test
-- is over.
--
-- A lost attempt has no end, because nobody saw it. If its outcome arrives later, the end is recorded. The `case` in
-- the last condition hides it from the planner: few attempts are open, so it would scan all of them for the open
-- ones.
with given as materialized (
    select * from unnest(
        %(tasks)s::int[], %(indexes)s::int[], %(numbers)s::int[],
        %(was)s::text[], %(states)s::text[], %(tests)s::bool[], %(failed)s::bool[], %(given_up)s::bool[],
        %(delays)s::float8[],
        %(causes)s::text[], %(final)s::bool[], %(ages)s::float8[], %(started)s::bool[], %(sequences)s::bigint[],
        %(exit_statuses)s::int[], %(signals)s::int[], %(reasons)s::text[], %(seconds)s::float8[],
        $usage{%(NAME)s::TYPE[]}, %(devices)s::text[], %(log_bytes)s::bigint[],
        %(log_tails)s::bytea[], %(image_digests)s::text[], %(inputs_notes)s::text[]
    ) as row (
        task_id, ordinal, number, was, state, is_test, failed, lost, delay, cause, final, age, started, sequence,
        exit_status, signal, reason, seconds, $usage{NAME}, devices, log_bytes, log_tail, image_digest,
        inputs_note
    )
    limit %(count)s
),
noted as (
    update keeper set report_sequence = %(sequence)s where id = %(keeper)s and report_sequence < %(sequence)s
),
ended_jobs as (
    update job j set
        state = given.state::job_state,
        keeper_id = null,
        kill_requested = false,
        is_test = given.is_test,
        failures = case when given.failed then j.failures + 1 else j.failures end,
        losses = case when given.lost then j.losses + 1
            when given.state = 'assigned' and not given.failed then j.losses else 0 end,
        turn = case when given.state = 'assigned' then 0 else j.turn end,
        done_attempt = case when given.state = 'done' then given.number else j.done_attempt end,
        not_before = now() + make_interval(secs => given.delay),
        changed_at = now()
    from given
    where j.task_id = given.task_id and j.ordinal = given.ordinal and j.attempt = given.number
        and given.state is not null
),
told as (
    insert into event (kind, task_id, ordinal, attempt, node_id, from_state, to_state, who, why)
    select 'job', task_id, ordinal, number, %(node)s, was, state, %(who)s, reason
    from given
    where was <> state
)
update attempt a set
    ended_at = case when given.final then now() - make_interval(secs => given.age) end,
    lost_at = case when given.final then a.lost_at else coalesce(a.lost_at, now()) end,
    started_at = case when given.started
        then coalesce(a.started_at, now() - make_interval(secs => given.age + given.seconds)) else a.started_at end,
    cause = case when given.final then given.cause end,
    accepted = case when given.final then given.state is not null end,
    sequence = given.sequence, exit_status = given.exit_status, signal = given.signal, reason = given.reason,
    seconds = given.seconds, $usage{NAME = given.NAME},
    devices = coalesce(given.devices, a.devices),
    image_digest = coalesce(given.image_digest, a.image_digest), log_bytes = given.log_bytes, log_tail = given.log_tail,
    inputs_note = given.inputs_note
from given
where a.task_id = given.task_id and a.ordinal = given.ordinal and a.number = given.number
    and case when a.ended_at is null then true else false end

-- name: show_log
-- The current end of a log, while a user follows it.
update attempt set log_bytes = %(length)s, log_tail = %(tail)s
where task_id = %(task)s and ordinal = %(index)s and number = %(number)s and token = %(token)s and ended_at is null

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

-- name: task_folders
select id, folder from task where id = any(%(tasks)s)

-- name: adopt
-- Attempts that this database granted before it was replaced become the latest ones of their jobs, as if just
-- claimed.
with free as materialized (
    select j.task_id, j.ordinal, j.state as before, j.is_test, t.run, given.number, given.token, given.folder
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
        (task_id, ordinal, number, token, keeper_id, node_id, request, run, is_test, folder_number)
    select task_id, ordinal, number, token, %(keeper)s, %(node)s, 0, run, is_test, folder from free
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

-- name: end_back_off
-- Makes jobs claimable whose delay before a retry is over, and returns their queues. Walks job_not_before. Locked
-- jobs are left for the next call.
with due as materialized (
    select task_id, ordinal from job
    where not_before <= now()
    order by not_before
    limit %(limit)s
    for update skip locked
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
-- Attempts of held tasks that have not reported a start. Usually no task is held; otherwise walks job_claimed.
with held as materialized (
    select id from task where ended_at is null and held_at is not null
)
select a.task_id, a.ordinal, a.number, a.token
from held h
join job j on j.task_id = h.id
join attempt a on a.task_id = j.task_id and a.ordinal = j.ordinal and a.number = j.attempt
where j.keeper_id is not null and j.state = 'assigned'
    and a.node_id = %(node)s and is_open(a)
