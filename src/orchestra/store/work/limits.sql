-- What users with limits may still take.

-- name: left_to
-- The limits of a user, less what pilots hold of their jobs: those that run and those that were granted. Walks
-- task_of_owner, and job_claimed for each task. A changed task has jobs of different revisions.
select
    p.limit_cpus - used.cpus as cpus, p.limit_gpu_milli - used.gpu_milli as gpu_milli, p.limit_running - used.jobs as jobs
from person p
cross join lateral (
    select coalesce(sum(held.cpus), 0)::bigint as cpus, coalesce(sum(held.gpu_milli), 0)::bigint as gpu_milli, count(*) as jobs
    from task t
    cross join lateral (
        select
            cpus_taken(t.queue, t.cores, t.cpus_gpu_job) as cpus, gpu_milli_taken(t.queue, t.gpus, t.gpu_milli) as gpu_milli
        from job
        where t.revision = 1 and task_id = t.id and keeper_id is not null
        union all
        select r.cpus, r.gpu_milli_taken
        from job j
        join attempt a on a.task_id = j.task_id and a.ordinal = j.ordinal and a.number = j.attempt
        join revision r on r.task_id = a.task_id and r.number = a.revision
        where t.revision > 1 and j.task_id = t.id and j.keeper_id is not null
    ) as held
    where t.owner_id = p.id and t.ended_at is null
) as used
where p.id = %(owner)s
