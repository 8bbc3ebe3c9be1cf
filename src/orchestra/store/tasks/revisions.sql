-- Revisions of tasks: what their jobs are started with. The view `revision` has all of them, also the current ones.

-- name: supersede
-- Keeps what a task's jobs are started with now, and numbers what the caller makes of it. The task is locked.
with kept as (
    insert into superseded_revision (
        task_id, number, queue, config_version_id, command, cores, gpus, memory_bytes, timeout, grace, origin,
        cpus_gpu_job, gpu_milli, vram_bytes, scratch_bytes, exclusive, placement_id, replaced_by, why
    )
    select
        id, revision, queue, config_version_id, command, cores, gpus, memory_bytes, timeout, grace, origin,
        cpus_gpu_job, gpu_milli, vram_bytes, scratch_bytes, exclusive, placement_id, %(by)s, %(why)s
    from task
    where id = %(task)s
    returning task_id, number
),
inputs as (
    insert into superseded_input (task_id, number, tag, version_id)
    select k.task_id, k.number, i.tag, i.version_id
    from kept k
    join task_input i on i.task_id = k.task_id
)
update task set revision = revision + 1 where id = %(task)s returning revision
