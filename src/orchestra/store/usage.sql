-- What was used, from its daily rows.

-- name: read
-- Sums by what `by` names. Walks the days from the primary key of usage_daily. A row whose only attempt was counted
-- elsewhere after all has none. A task is a number: another one may have had its name.
select
    case when 'user' = any(%(by)s) then owner end as "user",
    case when 'task' = any(%(by)s) then max(task) end as task,
    case when 'task' = any(%(by)s) then task_id end as task_id,
    case when 'node' = any(%(by)s) then node end as node,
    case when 'queue' = any(%(by)s) then queue::text end as queue,
    case when 'day' = any(%(by)s) then to_char(day, 'YYYY-MM-DD') end as day,
    case when 'month' = any(%(by)s) then to_char(day, 'YYYY-MM') end as month,
    sum(attempts)::bigint as attempts, sum(done)::bigint as done, sum(failed)::bigint as failed,
    sum(lost)::bigint as lost, sum(seconds) as seconds,
    sum(cpus * seconds) as cpu_requested, sum(cpu_seconds) as cpu_used,
    sum(gpu_milli * seconds / 1000) as gpu_requested, sum(gpu_seconds) as gpu_used,
    sum(memory_bytes * seconds) as memory_requested, sum(memory_byte_seconds) as memory_used,
    sum(cpus * failed_seconds) as failed_cpu, sum(gpu_milli * failed_seconds / 1000) as failed_gpu,
    sum(cpus * lost_seconds) as lost_cpu, sum(gpu_milli * lost_seconds / 1000) as lost_gpu
from usage_daily
where day >= coalesce(%(since)s::date, '-infinity') and day <= coalesce(%(until)s::date, 'infinity')
    and (%(user)s::text is null or owner = %(user)s) and attempts <> 0
group by 1, 3, 4, 5, 6, 7

-- name: has
select exists (select from usage_daily where owner = %(user)s)
