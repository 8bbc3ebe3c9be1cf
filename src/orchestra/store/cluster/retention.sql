-- Deleting old data, a small portion at a time. Live tasks lose nothing, and the reasons of failures are kept.

-- name: delete_events
-- A page of the primary key, which is in order of time. Deletes events of single jobs and releases of tasks that
-- have been over for the given time, and all events of deleted tasks. The deletion of a task stays known for at
-- least a month, for pilots that come back with one of its jobs. `last` is where the next page starts, null after
-- the last one.
with page as materialized (
    select id, at, kind, task_id, ordinal, to_state from event
    where id > %(after)s
    order by id
    limit %(limit)s
),
old as (
    select p.id
    from page p
    left join task t on t.id = p.task_id
    where p.at < now() - make_interval(secs => %(seconds)s)
        and case
            when t.id is not null then
                t.ended_at < now() - make_interval(secs => %(seconds)s) and (p.ordinal is not null or p.kind = 'release')
            else p.to_state is distinct from 'deleted' or p.at < now() - interval '30 days'
        end
),
gone as (
    delete from event where id = any (array(select id from old))
)
select case when count(*) = %(limit)s and max(at) < now() - make_interval(secs => %(seconds)s) then max(id) end as last
from page

-- name: next_task
-- Walks task_to_forget.
select id, jobs from task
where ended_at < now() - make_interval(secs => %(seconds)s) and ended_at is not null and forgotten_at is null
    and deleted_at is null
order by ended_at
limit 1

-- name: last_failures
-- The latest attempts of some failed jobs of a task, and of the test jobs that broke it. Two ranges of job_notable.
select j.ordinal, a.number
from (
    (select ordinal, attempt from job
    where task_id = %(task)s and state = 'failed'
    order by ordinal
    limit %(limit)s)
    union all
    (select ordinal, attempt from job
    where task_id = %(task)s and state = 'broken'
    order by ordinal
    limit 1000)
) as j
cross join lateral (
    select * from attempt
    where task_id = %(task)s and ordinal = j.ordinal and number = j.attempt
    limit 1
) as a
where a.log_tail is not null and not has_succeeded(a)
limit %(limit)s

-- name: delete_logs
-- A range of the attempts' primary key.
update attempt set log_tail = null
where task_id = %(task)s and ordinal >= %(first)s and ordinal < %(next)s and log_tail is not null
    and (ordinal, number) not in (select * from unnest(%(indexes)s::int[], %(numbers)s::int[]))

-- name: note_forgotten
-- Unless the task is live again, or its row is locked; then the next call.
update task set forgotten_at = now()
where id in (
    select id from task where id = %(task)s and ended_at is not null and forgotten_at is null for update skip locked
)

-- name: delete_hours
-- There are few rows.
delete from ended_per_hour where hour < now() - interval '7 days'

-- name: delete_allocations
-- The latest hundred of a pool stay: they say how long the engine usually lets it wait. There are few, so all are read.
delete from allocation where id in (
    select id from (
        select id, ended_at, row_number() over (partition by pool_id order by submitted_at desc) as place from allocation
    ) a
    where place > 100 and ended_at < now() - make_interval(secs => %(seconds)s)
        and not exists (select from node n where n.allocation_id = a.id)
    limit %(limit)s
)

-- name: delete_keepers
-- Keepers that are gone, or were fenced and never came back. There are few, so all are read. A fenced keeper stays
-- known for at least a month, in case it comes back. The attempts of tasks keep what they record about it.
delete from keeper where id in (
    select k.id from keeper k
    where least(k.gone_at, k.fenced_at) < now() - greatest(make_interval(secs => %(seconds)s), interval '30 days')
        and k.renewed_at < now() - greatest(make_interval(secs => %(seconds)s), interval '30 days')
        and not exists (
            select from attempt a
            where a.node_id = k.node_id and a.keeper_id = k.id and is_open(a)
        )
    limit %(limit)s
    for update skip locked
)

-- name: delete_nodes
-- A page of the nodes of allocations that ended long ago, without those of which a task still has attempts: which tasks
-- these are, their daily usage says, of the days when the node was there. `last` is where the next page starts, null
-- after the last one.
with page as materialized (
    select id, created_at, gone_at from node
    where id > %(after)s and gone_at < now() - greatest(make_interval(secs => %(seconds)s), interval '30 days')
    order by id
    limit %(limit)s
),
gone as (
    delete from node n using page p
    where n.id = p.id
        and not exists (
            select from usage_daily u
            where u.node_id = p.id and exists (select from task where id = u.task_id)
                and u.day between (p.created_at at time zone 'UTC')::date and (p.gone_at at time zone 'UTC')::date + 1
        )
        and not exists (select from attempt a where a.node_id = p.id and is_open(a))
)
select case when count(*) = %(limit)s then max(id) end as last from page

-- name: versions_to_forget
-- Manifests that were replaced long ago, or whose data set was deleted, and that no task uses. Walks
-- task_config_version, task_input_version, and the same of superseded revisions. Not before a day after their
-- replacement: a task may just be being created from one.
select v.id
from dataset_version v
join dataset d on d.id = v.dataset_id
where not exists (select from task where config_version_id = v.id)
    and not exists (select from task_input where version_id = v.id)
    and not exists (select from superseded_revision where config_version_id = v.id)
    and not exists (select from superseded_input where version_id = v.id)
    and not exists (select from dataset_version own where own.based_on = v.id)
    and (
        d.deleted_at < now() - greatest(make_interval(secs => %(seconds)s), interval '1 day')
        or exists (
            select from dataset_version n
            where n.dataset_id = v.dataset_id and n.number > v.number
                and n.created_at < now() - greatest(make_interval(secs => %(seconds)s), interval '1 day')
        )
    )
order by v.id
limit 1

-- name: delete_codes
-- There are few rows of these three kinds, so all are read.
delete from sign_in_code where hash in (
    select hash from sign_in_code where expires_at < now() limit %(limit)s for update skip locked
)

-- name: delete_sessions
delete from web_session where id in (
    select id from web_session where least(idle_at, ends_at) < now() limit %(limit)s for update skip locked
)

-- name: delete_tokens
-- Ended tokens are shown for a month.
delete from api_token where id in (
    select id from api_token
    where least(revoked_at, expires_at) < now() - interval '30 days'
    limit %(limit)s
    for update skip locked
)

-- name: delete_answers
-- Answers to changes, which are repeated within seconds if they were lost. Walks api_answer_by_age.
delete from api_answer where (person_id, key) in (
    select person_id, key from api_answer
    where created_at < now() - interval '1 day'
    order by created_at
    limit %(limit)s
    for update skip locked
)
