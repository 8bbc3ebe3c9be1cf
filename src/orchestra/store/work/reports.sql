-- Starts and outcomes of attempts. Locks: keeper, tasks (shared, see tasks/locks.sql), jobs by (task, ordinal),
-- counts.
--
-- The arrays of a batch are unnested with their length as a limit. The limit changes only the plan: the planner
-- expects few rows from a limit that it does not know yet, so it looks each row up by its key, even if the plan was
-- made while the tables were nearly empty and a full scan looked as cheap.

-- name: lock_attempts
-- Locks the jobs of a batch in order, and returns each with the attempt that the batch names and with its task,
-- which is shared. A wrong token finds nothing. `place` is the attempt's position in the batch, from 1.
select
    given.place, j.state, t.state, t.queue, j.attempt as latest, j.is_test, j.kill_requested, j.failures, j.losses,
    j.keeper_id is not distinct from %(keeper)s as is_of_keeper, a.ended_at is not null as ended,
    a.lost_at is not null as lost, t.retries, a.revision < t.revision as is_outdated,
    t.max_running is not null as limited,
    t.owner_id = any(array(select p.id from person p where has_limits(p))) as owner_limited
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

-- name: record_ends
-- Records outcomes in one statement: in their attempts, their jobs, an event for each job that changes, the number of
-- jobs that ended in this hour, what their attempts took, and the keeper's sequence number. A job that its outcome does
-- not change has no state here; `was` is the state before.
--
-- Retried and lost jobs go first in line, retried ones after a delay. A job of a test keeps its mark until the test
-- is over.
--
-- A lost attempt has no end, because nobody saw it. If its outcome arrives later, the end is recorded. The `case` in
-- the last condition hides it from the planner: few attempts are open, so it would scan all of them for the open
-- ones.
--
-- What the attempts took is added to the rows of the day, by add_usage where there is none yet. The trigger attempt_ended
-- counts those that were given up before (`late`).
with given as materialized (
    select * from unnest(
        %(tasks)s::int[], %(indexes)s::int[], %(numbers)s::int[],
        %(was)s::text[], %(states)s::text[], %(tests)s::bool[], %(failed)s::bool[], %(given_up)s::bool[],
        %(delays)s::float8[],
        %(causes)s::text[], %(final)s::bool[], %(ages)s::float8[], %(started)s::bool[], %(sequences)s::bigint[],
        %(exit_statuses)s::int[], %(signals)s::int[], %(reasons)s::text[], %(seconds)s::float8[],
        $usage{%(NAME)s::TYPE[]}, %(devices)s::text[], %(log_bytes)s::bigint[],
        %(log_tails)s::bytea[], %(image_digests)s::text[], %(inputs_notes)s::text[], %(late)s::bool[]
    ) as row (
        task_id, ordinal, number, was, state, is_test, failed, lost, delay, cause, final, age, started, sequence,
        exit_status, signal, reason, seconds, $usage{NAME}, devices, log_bytes, log_tail, image_digest,
        inputs_note, late
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
recorded_events as (
    insert into event (kind, task_id, ordinal, attempt, node_id, from_state, to_state, who, why)
    select 'job', task_id, ordinal, number, %(node)s, was, state, %(who)s, reason
    from given
    where was <> state
),
counted as (
    insert into ended_per_hour as h (hour, backend, done, failed)
    select
        date_trunc('hour', now(), 'UTC'), pg_backend_pid(), count(*) filter (where state = 'done'),
        count(*) filter (where state = 'failed')
    from given
    where was <> state and state in ('done', 'failed')
    having count(*) > 0
    on conflict (hour, backend) do update set done = h.done + excluded.done, failed = h.failed + excluded.failed
),
recorded as (
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
        inputs_note = given.inputs_note, counted = a.counted or not given.late
    from given
    where a.task_id = given.task_id and a.ordinal = given.ordinal and a.number = given.number
        and case when a.ended_at is null then true else false end
    returning
        a.task_id, a.revision, a.node_id, a.started_at, a.ended_at, a.lost_at, a.seconds, a.cause, a.exit_status, a.accepted,
        a.cpu_seconds, a.gpu_seconds, a.max_rss_bytes, given.late
),
taken as (
    select
        (coalesce(r.ended_at, r.lost_at) at time zone 'UTC')::date as day, r.task_id, r.revision, r.node_id,
        count(*) as attempts,
        count(*) filter (where e.ending = 'done') as done,
        count(*) filter (where e.ending = 'failed') as failed,
        count(*) filter (where e.ending = 'lost') as lost,
        sum(e.seconds) as seconds,
        coalesce(sum(e.seconds) filter (where e.ending = 'failed'), 0) as failed_seconds,
        coalesce(sum(e.seconds) filter (where e.ending = 'lost'), 0) as lost_seconds,
        coalesce(sum(r.cpu_seconds), 0) as cpu_seconds,
        coalesce(sum(r.gpu_seconds), 0) as gpu_seconds,
        coalesce(sum(r.max_rss_bytes * e.seconds), 0) as memory_byte_seconds
    from recorded r
    cross join lateral (
        select
            way_of_ending(r.cause, r.exit_status, r.accepted) as ending,
            seconds_held(r.started_at, r.ended_at, r.lost_at, r.seconds) as seconds
    ) as e
    where r.started_at is not null and not r.late
    group by 1, 2, 3, 4
    order by 1, 2, 3, 4
),
added as (
    update usage_daily u set
        attempts = u.attempts + t.attempts,
        done = u.done + t.done,
        failed = u.failed + t.failed,
        lost = u.lost + t.lost,
        seconds = u.seconds + t.seconds,
        failed_seconds = u.failed_seconds + t.failed_seconds,
        lost_seconds = u.lost_seconds + t.lost_seconds,
        cpu_seconds = u.cpu_seconds + t.cpu_seconds,
        gpu_seconds = u.gpu_seconds + t.gpu_seconds,
        memory_byte_seconds = u.memory_byte_seconds + t.memory_byte_seconds
    from taken t
    where u.day = t.day and u.task_id = t.task_id and u.revision = t.revision and u.node_id = t.node_id
    returning u.day, u.task_id, u.revision, u.node_id
)
select add_usage(
    t.day, t.task_id, t.revision, t.node_id, t.attempts, t.done, t.failed, t.lost, t.seconds, t.failed_seconds,
    t.lost_seconds, t.cpu_seconds, t.gpu_seconds, t.memory_byte_seconds
)
from taken t
where not exists (
    select from added a
    where a.day = t.day and a.task_id = t.task_id and a.revision = t.revision and a.node_id = t.node_id
)

-- name: update_log
-- The current end of a log, while a user follows it.
update attempt set log_bytes = %(length)s, log_tail = %(tail)s
where task_id = %(task)s and ordinal = %(index)s and number = %(number)s and token = %(token)s and ended_at is null
