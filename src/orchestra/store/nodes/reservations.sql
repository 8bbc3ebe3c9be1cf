-- Nodes that wait for jobs which fit on none now; see domain/reservation_plan.py.

-- name: hosts
-- The nodes on which jobs may start now or later. Those in allocations take jobs of one queue, which end before the
-- allocation does (domain/pools/ending.py).
select
    n.id, n.name, n.cpu_enabled, n.cpu_max, n.gpu_enabled, n.gpu_max, n.created_at, n.memory_bytes, n.labels, p.found,
    p.account, p.is_root or p.serve_all as serves_all, p.runtimes, g.name as pool, g.spec ->> 'queue' as only,
    extract(
        epoch from least(p.closes_at, n.drain_at, n.ends_at - least(interval '1 minute', (n.ends_at - n.created_at) / 10)) - now()
    )::float8 as seconds_left
from node n
join pilot p on p.node_id = n.id
left join pool g on g.id = n.pool_id
left join allocation l on l.id = n.allocation_id
where is_online(p) and n.drained_at is null and not p.leave
    and n.gone_at is null and g.deletion is null and l.state is distinct from 'LEAVING'
order by n.id

-- name: at_work
-- The jobs that nodes hold, with their ages, the oldest first. Walks attempt_open: never more than the nodes have slots
-- and claims ahead.
select
    a.node_id, t.id as task, a.revision, r.queue, r.cores, r.gpus, r.memory_bytes, r.cpus_gpu_job, r.gpu_milli,
    r.vram_bytes, r.scratch_bytes, r.exclusive, t.typical_seconds, t.p95_seconds, t.walltime, r.timeout + r.grace as timeout,
    count(*) filter (where a.started_at is null)::integer as unstarted,
    array_agg(
        greatest(extract(epoch from now() - coalesce(a.started_at, a.claimed_at)), 0)::float8 order by a.claimed_at
    ) as ages
from attempt a
join task t on t.id = a.task_id
join revision r on r.task_id = a.task_id and r.number = a.revision
where is_open(a)
group by
    a.node_id, t.id, a.revision, r.queue, r.cores, r.gpus, r.memory_bytes, r.cpus_gpu_job, r.gpu_milli, r.vram_bytes,
    r.scratch_bytes, r.exclusive, r.timeout, r.grace

-- name: held
-- `starts_in` is null if it is unknown.
select
    node_id as host, task_id as task, extract(epoch from starts_at - now())::float8 as starts_in, spare_cpus,
    spare_gpu_milli, spare_memory, spare_scratch, moves
from reservation
order by node_id

-- name: shown
select
    n.name as node, t.id as task, t.name as task_name, p.name as owner, r.made_at as since, r.starts_at, r.spare_cpus,
    r.spare_gpu_milli, r.spare_memory
from reservation r
join node n on n.id = r.node_id
join task t on t.id = r.task_id
join person p on p.id = t.owner_id
order by r.starts_at nulls last, n.name

-- name: lock
-- Claims take from what is spare; from here on, until the end of the transaction, they wait.
for update

-- name: delete
delete from reservation where node_id = any(%(hosts)s::int[])

-- name: end
delete from reservation where task_id = %(task)s

-- name: end_on
delete from reservation where node_id = %(node)s and task_id = %(task)s

-- name: set_spare
update reservation
set spare_cpus = %(cpus)s, spare_gpu_milli = %(gpu_milli)s, spare_memory = %(memory)s, spare_scratch = %(scratch)s
where node_id = %(node)s and task_id = %(task)s

-- name: record
-- Tasks and nodes that a command has locked have to wait for the next time: the command may wait for a reservation.
with nodes as materialized (
    select id from node where id = any(%(hosts)s::int[]) order by id for key share skip locked
), tasks as materialized (
    select id from task where id = any(%(tasks)s::int[]) order by id for key share skip locked
)
insert into reservation
    (node_id, task_id, starts_at, spare_cpus, spare_gpu_milli, spare_memory, spare_scratch, moves)
select
    given.host, given.task, now() + make_interval(secs => given.starts_in), given.cpus, given.gpu_milli, given.memory,
    given.scratch, given.moves
from unnest(
    %(hosts)s::int[], %(tasks)s::int[], %(starts_in)s::float8[], %(cpus)s::int[], %(gpu_milli)s::int[],
    %(memory)s::bigint[], %(scratch)s::bigint[], %(moves)s::int[]
) as given (host, task, starts_in, cpus, gpu_milli, memory, scratch, moves)
join nodes on nodes.id = given.host
join tasks on tasks.id = given.task
on conflict (node_id) do update set
    starts_at = excluded.starts_at, spare_cpus = excluded.spare_cpus, spare_gpu_milli = excluded.spare_gpu_milli,
    spare_memory = excluded.spare_memory, spare_scratch = excluded.spare_scratch, moves = excluded.moves,
    made_at = case when reservation.task_id = excluded.task_id then reservation.made_at else now() end,
    task_id = excluded.task_id
