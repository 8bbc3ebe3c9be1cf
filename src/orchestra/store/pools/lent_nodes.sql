-- The nodes of pilots in allocations. Locks: allocation, node; or pool, allocation.

-- name: lock_allocation
select a.id, a.state, p.id as pool_id, p.name as pool, p.owner_id, p.idle, p.spec ->> 'queue' as queue,
    coalesce((p.spec ->> 'gpus')::integer, 0) as gpus
from allocation a
join pool p on p.id = a.pool_id
where a.id = %(allocation)s
for update of a

-- name: serve
-- A pilot is there, whatever the engine's last word was.
update allocation set
    state = case when state in ('SUBMITTING', 'PENDING', 'STARTING', 'UNKNOWN') then 'SERVING' else state end,
    engine_id = coalesce(engine_id, %(engine_id)s), started_at = coalesce(started_at, now()), seen_at = now(),
    ends_at = coalesce(%(ends_at)s, ends_at)
where id = %(allocation)s

-- name: insert_node
insert into node (name, owner_id, cpu_enabled, cpu_max, gpu_enabled, gpu_max, pool_id, allocation_id, ends_at)
values (
    %(name)s, %(owner)s, %(cpus)s, %(cpus)s, %(gpus)s, %(gpus)s, %(pool)s, %(allocation)s, %(ends_at)s
)

-- name: of_node
select n.allocation_id, n.gone_at is not null as is_gone, g.name as pool
from node n
left join pool g on g.id = n.pool_id
where n.id = %(node)s

-- name: note_end
-- The first of its nodes that ends, ends it; they all end at the same time.
with said as (
    update node set ends_at = %(ends_at)s where id = %(node)s
    returning allocation_id
)
update allocation a set ends_at = %(ends_at)s from said where a.id = said.allocation_id

-- name: note_first_job
update allocation a set first_job_at = now()
from node n
where n.id = %(node)s and a.id = n.allocation_id and a.first_job_at is null

-- name: fit_slots
-- As many slots as its pilot finds; fewer if somebody has enabled fewer.
update node set
    cpu_enabled = case when cpu_enabled = cpu_max then %(cpus)s else least(cpu_enabled, %(cpus)s) end, cpu_max = %(cpus)s,
    gpu_enabled = case when gpu_enabled = gpu_max then %(gpus)s else least(gpu_enabled, %(gpus)s) end, gpu_max = %(gpus)s
where id = %(node)s and (cpu_max, gpu_max) is distinct from (%(cpus)s, %(gpus)s)

-- name: leave
-- Unless it holds attempts: then it is lost, as the engine's word and its silence say later.
update node n set gone_at = now()
where n.id = %(node)s and n.allocation_id is not null and n.gone_at is null
    and not exists (select from attempt a where a.node_id = n.id and is_open(a))
    and exists (select from pilot p where p.node_id = n.id and p.agent = %(agent)s)
returning n.allocation_id

-- name: end_when_left
-- Once each of its machines has had a pilot, and all have left.
update allocation a set state = 'ENDED', ended_at = now()
where a.id = %(allocation)s and a.state <> 'ENDED'
    and (select count(*) from node n where n.allocation_id = a.id) >= a.nodes
    and not exists (select from node n where n.allocation_id = a.id and n.gone_at is null)

-- name: lock_pool_of
select p.id, p.name, p.min_pilots, p.deletion is not null as is_deleted, a.id as allocation, a.state
from node n
join allocation a on a.id = n.allocation_id
join pool p on p.id = a.pool_id
where n.id = %(node)s
for update of p, a

-- name: is_busy
-- Whether a node of an allocation holds attempts. Not one whose pilot is silent: it may be dead, and what it held runs again
-- only when the allocation is over.
select exists (
    select from node n
    join pilot p on p.node_id = n.id and is_online(p)
    join attempt a on a.node_id = n.id and is_open(a)
    where n.allocation_id = %(allocation)s
) as is_busy

-- name: others
-- The pilots that run, or start, without an allocation and those that are leaving.
select coalesce(sum(nodes), 0)::integer as pilots from allocation
where pool_id = %(pool)s and id <> %(allocation)s and state in ('STARTING', 'SERVING')

-- name: let_leave
update allocation set state = 'LEAVING' where id = %(allocation)s and state = 'SERVING'

-- name: nodes_of
select id from node where allocation_id = %(allocation)s and gone_at is null
