-- Allocations, as the process that submits for their pool keeps them. Locks: allocation, then its pilots and keepers.

-- name: insert
-- The row is there before the engine is asked, so that a submission without an answer is known.
insert into allocation (id, pool_id, state, nodes) values (%(id)s, %(pool)s, 'SUBMITTING', %(nodes)s)

-- name: accept
-- Its pilot may have been faster.
update allocation set
    engine_id = %(engine_id)s, state = case when state in ('SUBMITTING', 'UNKNOWN') then 'PENDING' else state end
where id = %(id)s and ended_at is null
returning id

-- name: keep
-- Unless its state has changed since it was read: its pilots change it, too.
update allocation set
    engine_id = coalesce(engine_id, %(engine_id)s), state = %(state)s, word = %(word)s, reason = %(reason)s,
    ends_at = %(ends_at)s, started_at = coalesce(started_at, %(started_at)s), seen_at = %(seen_at)s,
    cancelled_at = %(cancelled_at)s
where id = %(id)s and state = %(was)s and ended_at is null

-- name: end
update allocation set state = 'ENDED', ended_at = now(), reason = %(why)s
where id = %(id)s and state = %(was)s and ended_at is null
returning id

-- name: cancel
-- Those that still wait are on their way out; others only if `running`.
update allocation set
    cancelled_at = coalesce(cancelled_at, now()),
    state = case when state = 'UNKNOWN' then state else 'LEAVING' end
where id = any(%(ids)s::uuid[]) and ended_at is null and state <> 'SUBMITTING' and (%(running)s or state = 'PENDING')
    and (cancelled_at is null or state not in ('LEAVING', 'UNKNOWN'))

-- name: pilots
-- The pilots of allocations. `holds`: jobs that only a lease ends may run under one. Walks node_of_allocation and
-- attempt_open.
select
    n.allocation_id as id, count(*) as came, count(*) filter (where n.gone_at is null) as there,
    (min(extract(epoch from now() - p.seen_at)) filter (where n.gone_at is null))::float8 as silent_for,
    coalesce(bool_or(h.holds) filter (where n.gone_at is null), false) as holds
from node n
left join pilot p on p.node_id = n.id
cross join lateral (
    select exists (
        select from attempt a
        join keeper k on k.id = a.keeper_id
        where a.node_id = n.id and is_open(a) and k.fenced_at is null
    ) as holds
) h
where n.allocation_id = any(%(ids)s::uuid[])
group by n.allocation_id

-- name: lock_pilots
-- So that a heartbeat waits, and finds what has been decided.
select p.node_id
from node n
join pilot p on p.node_id = n.id
where n.allocation_id = %(id)s and n.gone_at is null
order by p.node_id
for update of p

-- name: keepers
select k.id
from node n
join keeper k on k.node_id = n.id
where n.allocation_id = %(id)s and n.gone_at is null and k.fenced_at is null and k.gone_at is null
order by k.id

-- name: close_nodes
-- Should one of these pilots come back, it ends its jobs and leaves.
with gone as (
    update node set gone_at = now() where allocation_id = %(id)s and gone_at is null returning id
)
update pilot p set leave = true, leave_now = true, gone_at = coalesce(p.gone_at, now()) from gone where p.node_id = gone.id

-- name: leftovers
-- Those that ended in the last minutes, unless they were refused. Walks allocation_of_pool.
select id, engine_id, extract(epoch from now() - ended_at)::float8 as since
from allocation
where pool_id = %(pool)s and submitted_at > now() - interval '30 days' and ended_at > now() - interval '5 minutes'
    and (engine_id is not null or reason = %(never_accepted)s)
order by submitted_at desc
limit 500

-- name: waits
-- How long the last ones waited in the engine's queue, as far as they started lately: a queue that was long yesterday
-- may be empty now, and nobody would find out who is afraid of it. Walks allocation_of_pool.
select extract(epoch from last.started_at - last.submitted_at)::float8 as seconds
from (
    select submitted_at, started_at from allocation
    where pool_id = %(pool)s and started_at is not null
    order by submitted_at desc
    limit 10
) as last
where last.started_at > now() - interval '2 hours'

-- name: set_back_off
update pool set refusals = %(refusals)s, early_ends = %(early_ends)s, not_before = %(not_before)s, trouble = %(trouble)s
where id = %(pool)s

-- name: ran_first_job
-- Whether the latest of those that have started had a job; null if none has started.
select first_job_at is not null as ran
from allocation
where pool_id = %(pool)s and started_at is not null and (first_job_at is not null or ended_at is not null)
order by submitted_at desc
limit 1

-- name: had_no_job
select from allocation
where id = any(%(ids)s::uuid[]) and ended_at is not null and first_job_at is null and cancelled_at is null
limit 1

-- name: set_decision
update pool set decision = %(decision)s, decided_at = now() where id = %(pool)s

-- name: set_account
update pool set account = %(account)s, serves_all = %(serves_all)s
where id = %(pool)s and (account is distinct from %(account)s or serves_all <> %(serves_all)s)

-- name: lock_pool
select id from pool where id = %(pool)s for update
