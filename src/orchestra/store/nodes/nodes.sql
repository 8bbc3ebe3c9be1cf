-- Nodes, and the latest reports of their pilots.

-- name: select_nodes
-- Slots in use are counted from the open attempts (attempt_open), which are few. Jobs that a pilot has claimed ahead
-- wait for a slot and take none.
select
    n.id, n.name, n.cpu_enabled, n.cpu_max, n.gpu_enabled, n.gpu_max, n.created_at,
    n.drained_at, n.drained_by, n.drain_reason, o.name as owner,
    p.seen_at, is_online(p) as online,
    p.host, p.version, coalesce(p.runtimes, '{}') as runtimes,
    p.message, current_troubles(p) as troubles,
    least(coalesce(u.cpu_held, 0), greatest(n.cpu_enabled, u.cpu_started)) as cpu_in_use,
    least(coalesce(u.gpu_held, 0), greatest(n.gpu_enabled, u.gpu_started)) as gpu_in_use,
    s.name as started_by, u.jobs, n.memory_bytes, n.labels, n.nice, n.open_hours, p.opens_at, p.closes_at,
    n.drain_at, n.drain_at_by, n.drain_at_reason, p.found, coalesce(u.memory, 0)::bigint as memory_in_use, p.utc_offset,
    coalesce(p.knows_hours = p.agent, true) as keeps_hours, g.name as pool, n.ends_at, n.gone_at
from node n
left join pool g on g.id = n.pool_id
left join person o on o.id = n.owner_id
left join pilot p on p.node_id = n.id
left join person s on s.id = p.person_id
left join lateral (
    select
        count(*) as jobs,
        sum(r.memory_bytes) filter (where a.started_at is not null) as memory,
        sum(r.cpus) as cpu_held,
        sum(r.cpus) filter (where a.started_at is not null) as cpu_started,
        ceil(sum(r.gpu_milli_taken) / 1000.0)::integer as gpu_held,
        ceil(sum(r.gpu_milli_taken) filter (where a.started_at is not null) / 1000.0)::integer as gpu_started
    from attempt a
    join revision r on r.task_id = a.task_id and r.number = a.revision
    where a.node_id = n.id and is_open(a)
) u on true

-- name: named
where n.name = %(name)s

-- name: in_order
-- Those that are there: not the nodes of allocations that have ended.
where n.gone_at is null
order by n.name

-- name: select_pilots
-- Without those of allocations that have ended.
select
    n.name as node, p.machine_id, p.boot_id, p.host, p.pid, p.account, p.version, p.may_conduct, p.serve_all, p.leave,
    p.started_at, p.seen_at, o.name as owner, s.name as started_by,
    is_online(p) as online, p.silent,
    p.message, current_troubles(p) as troubles, g.name as pool,
    coalesce(l.holder_name = n.name, false) as conducts,
    (
        select count(*) from attempt a
        where a.node_id = n.id and is_open(a)
    ) as jobs
from pilot p
join node n on n.id = p.node_id
left join person o on o.id = n.owner_id
left join person s on s.id = p.person_id
left join pool g on g.id = n.pool_id
left join leader l on l.duty = 'conductor' and l.expires > now()
where n.gone_at is null
order by n.name

-- name: select_keepers
-- Keepers that have not ended, as far as is known. Walks keeper_of_node and attempt_open.
select
    n.name as node, k.id, k.pid, k.host, k.version, k.started_at, k.fenced_at is not null as fenced,
    (
        select count(*) from attempt a
        where a.node_id = k.node_id and a.keeper_id = k.id and is_open(a)
    ) as jobs
from keeper k
join node n on n.id = k.node_id
where k.gone_at is null and n.gone_at is null
order by n.name, k.started_at

-- name: insert
insert into node (name, owner_id, cpu_enabled, cpu_max, gpu_enabled, gpu_max)
values (%(name)s, %(owner)s, %(cpu_enabled)s, %(cpu_max)s, %(gpu_enabled)s, %(gpu_max)s)
on conflict (name) do nothing
returning id

-- name: lock
select
    n.id, n.cpu_enabled, n.cpu_max, n.gpu_enabled, n.gpu_max, is_drained(n) as drained, o.name as owner,
    s.name as started_by, n.labels, n.memory_bytes, n.nice, n.open_hours, drain_in(n), n.gone_at,
    p.utc_offset, p.version, coalesce(is_online(p) and p.knows_hours is distinct from p.agent, false) as ignores_hours
from node n
left join person o on o.id = n.owner_id
left join pilot p on p.node_id = n.id
left join person s on s.id = p.person_id
where n.name = %(name)s for update of n

-- name: set_slots
update node set
    cpu_enabled = %(cpu_enabled)s, cpu_max = %(cpu_max)s, gpu_enabled = %(gpu_enabled)s, gpu_max = %(gpu_max)s
where id = %(node)s

-- name: set_labels
update node set labels = %(labels)s where id = %(node)s

-- name: set_settings
-- Null leaves a value as it is.
update node set
    memory_bytes = case when %(memory_bytes)s::bigint is null then memory_bytes else nullif(%(memory_bytes)s::bigint, 0) end,
    open_hours = case when %(open_hours)s::text is null then open_hours else nullif(%(open_hours)s::text, 'always') end,
    nice = coalesce(%(nice)s, nice)
where id = %(node)s

-- name: set_owner
update node set owner_id = %(owner)s where id = %(node)s

-- name: drain
update node set
    drained_at = now(), drained_by = %(by)s, drain_reason = %(reason)s,
    drain_at = null, drain_at_by = null, drain_at_reason = null
where id = %(node)s

-- name: plan_drain
-- Not for a moment that has passed.
update node set drain_at = %(at)s, drain_at_by = %(by)s, drain_at_reason = %(reason)s
where id = %(node)s and %(at)s > now()

-- name: drain_due
-- Those whose moment has come. The table is small.
with due as (
    select id, drain_at, drain_at_by, drain_at_reason from node
    where drain_at <= now() and gone_at is null
    for update skip locked
)
update node n set
    drained_at = d.drain_at, drained_by = d.drain_at_by, drain_reason = d.drain_at_reason,
    drain_at = null, drain_at_by = null, drain_at_reason = null
from due d
where n.id = d.id
returning n.id, n.drained_by, n.drain_reason

-- name: resume
update node set
    drained_at = null, drained_by = null, drain_reason = null,
    drain_at = null, drain_at_by = null, drain_at_reason = null
where id = %(node)s

-- name: mark_lost
update node set lost_at = now() where id = %(node)s

-- name: ask_to_leave
-- Only a pilot that is online.
update pilot set leave = true, leave_now = leave_now or %(now)s
where node_id = %(node)s and is_online(pilot)

-- name: running
-- Attempts that have a process.
select count(*) from attempt a where a.node_id = %(node)s and is_open(a) and a.started_at is not null

-- name: busy
-- What prevents a node from being deleted.
select
    (
        select count(*) from attempt a
        where a.node_id = %(node)s and is_open(a)
    ) as jobs,
    exists (
        select from pilot p
        where p.node_id = %(node)s and is_online(p)
    ) as online

-- name: delete
delete from node where id = %(node)s

-- name: add_event
insert into event (kind, node_id, from_state, to_state, who, why)
values ('node', %(node)s, %(from)s, %(to)s, %(who)s, %(why)s)
