-- What waits for the pilots of a pool. Read every second or two by the process that submits for it.

-- name: ready
-- The tasks of a queue with jobs that may be claimed, in the order in which these start. Walks task_rank; the sums read at
-- most 16 rows per task, and job_delayed those that wait before a retry.
select
    t.id, t.owner_id, t.account, t.image, t.placement_id, t.cores, t.gpus, t.memory_bytes, t.cpus_gpu_job, t.gpu_milli,
    t.vram_bytes, t.scratch_bytes, t.exclusive, t.typical_seconds, t.p95_seconds, t.walltime, t.timeout, t.grace,
    t.state = 'RUNNING' and t.max_running is null and t.intent is null as all_come,
    c.registered, c.assigned, d.delayed, has_limits(p) as is_limited
from task t
join person p on p.id = t.owner_id
cross join lateral status_counts(t.id) as c
cross join lateral (
    select count(*) as delayed from job where task_id = t.id and not_before > '-infinity'
) as d
where t.queue = %(queue)s and t.rank is not null and t.held_at is null
order by t.rank, t.id

-- name: latest_node
-- The latest node of a pool. Walks allocation_of_pool and node_of_allocation.
select
    n.id, n.name, n.cpu_enabled, n.cpu_max, n.gpu_enabled, n.gpu_max, n.created_at, n.memory_bytes, n.labels, p.found,
    p.runtimes
from allocation a
join node n on n.allocation_id = a.id
join pilot p on p.node_id = n.id
where a.pool_id = %(pool)s and a.started_at is not null
order by a.submitted_at desc, n.id desc
limit 1
