-- Pools, and the allocations that people look at.

-- name: select_pools
-- run_by: the process that holds the duty `pool:NAME`, which submits for it.
select
    g.id, g.name, g.engine, o.name as owner, g.account, g.serves_all, g.spec, g.max_pilots, g.min_pilots, g.max_pending, g.walltime,
    g.min_work, g.idle, g.created_at, g.refusals, g.early_ends, g.not_before, g.trouble, g.paused_at, g.paused_by,
    g.pause_reason, g.decision, g.decided_at, g.deletion, g.silent_since, g.silence, coalesce(l.holder_name, l.holder) as run_by
from pool g
left join person o on o.id = g.owner_id
left join leader l on l.duty = 'pool:' || g.name and l.expires > now()

-- name: names
select name from pool order by name

-- name: named
where g.name = %(name)s

-- name: in_order
order by g.name

-- name: select_allocations
-- Walks allocation_live, or allocation_of_pool, then node_of_allocation and attempt_open.
select
    a.id, g.name as pool, a.engine_id, a.state, a.submitted_at, a.word, a.reason, a.nodes, a.started_at, a.ends_at,
    a.first_job_at, a.seen_at, a.cancelled_at, a.ended_at, coalesce(n.pilots, '{}') as pilots,
    coalesce(n.running, 0)::integer as running
from allocation a
join pool g on g.id = a.pool_id
left join lateral (
    select
        array_agg(n.name order by n.name) as pilots,
        sum((select count(*) from attempt t where t.node_id = n.id and is_open(t) and t.started_at is not null)) as running
    from node n
    where n.allocation_id = a.id
) n on true

-- name: live
where a.pool_id = any (%(pools)s::integer[]) and a.ended_at is null
order by a.submitted_at, a.id

-- name: latest
-- The latest ones that have ended.
where a.pool_id = %(pool)s and a.ended_at is not null
order by a.submitted_at desc, a.id
limit %(limit)s

-- name: since
-- The latest ones that were there after a moment.
where a.pool_id = %(pool)s and (a.ended_at is null or a.ended_at > %(since)s)
order by a.submitted_at desc, a.id
limit %(limit)s

-- name: insert
insert into pool (
    name, engine, owner_id, spec, max_pilots, min_pilots, max_pending, walltime, min_work, idle
)
values (
    %(name)s, %(engine)s, %(owner)s, %(spec)s, %(max_pilots)s, %(min_pilots)s, %(max_pending)s, %(walltime)s,
    %(min_work)s, %(idle)s
)
on conflict (name) do nothing
returning id

-- name: lock
select
    g.id, g.engine, g.spec, g.max_pilots, g.min_pilots, g.max_pending, g.walltime, g.min_work, g.idle,
    o.name as owner, g.paused_at is not null as is_paused, g.deletion,
    g.refusals > 0 or g.early_ends > 0 or g.not_before is not null as backs_off,
    (select count(*) from allocation a where a.pool_id = g.id and a.ended_at is null)::integer as live
from pool g
left join person o on o.id = g.owner_id
where g.name = %(name)s
for update of g

-- name: set
update pool set
    spec = %(spec)s, max_pilots = %(max_pilots)s, min_pilots = %(min_pilots)s, max_pending = %(max_pending)s,
    walltime = %(walltime)s, min_work = %(min_work)s, idle = %(idle)s
where id = %(pool)s

-- name: set_owner
update pool set owner_id = %(owner)s where id = %(pool)s

-- name: forget_back_off
update pool set refusals = 0, early_ends = 0, not_before = null, trouble = null where id = %(pool)s

-- name: note_silence
-- Null: it has answered. Nothing is written where nothing changes.
update pool set
    silent_since = case when %(words)s::text is null then null else coalesce(silent_since, now()) end,
    silence = %(words)s
where id = %(pool)s and silence is distinct from %(words)s

-- name: pause
update pool set paused_at = now(), paused_by = %(by)s, pause_reason = %(reason)s where id = %(pool)s

-- name: resume
update pool set paused_at = null, paused_by = null, pause_reason = null where id = %(pool)s

-- name: plan_deletion
update pool set deletion = %(how)s where id = %(pool)s

-- name: delete
-- With the duty of its name, so that a process that holds it notices.
with deleted as (
    delete from pool where id = %(pool)s returning name
)
delete from leader l using deleted d where l.duty = 'pool:' || d.name

-- name: at_stake
-- What a deletion would end: allocations by what they do, and the attempts that run in them.
select
    count(*) filter (where a.started_at is null and a.state not in ('STARTING', 'SERVING'))::integer as pending,
    count(*) filter (where a.started_at is not null or a.state in ('STARTING', 'SERVING'))::integer as running,
    coalesce(sum((
        select count(*) from node n
        join attempt t on t.node_id = n.id
        where n.allocation_id = a.id and is_open(t) and t.started_at is not null
    )), 0)::integer as jobs
from allocation a
where a.pool_id = %(pool)s and a.ended_at is null

-- name: add_event
insert into event (kind, pool_id, from_state, to_state, who, why)
values ('pool', %(pool)s, %(from)s, %(to)s, %(who)s, %(why)s)
