-- What the jobs of a claim need in order to start.

-- name: task_specs
select
    t.id, r.number as revision, t.name, p.name as owner, t.queue, r.command, t.image, t.volume, t.folder,
    t.complete_file, t.env, r.cores, r.gpus, r.memory_bytes, r.timeout, r.grace, t.resume, t.binds, t.metrics_file,
    r.cpus_gpu_job, r.gpu_milli, r.vram_bytes, r.scratch_bytes, r.exclusive
from unnest(%(tasks)s::int[], %(numbers)s::int[]) as given (task_id, number)
join revision r on r.task_id = given.task_id and r.number = given.number
join task t on t.id = given.task_id
join person p on p.id = t.owner_id

-- name: task_inputs
select i.task_id, i.number, i.tag, v.id as version_id, v.root, v.is_folder, v.files, v.choice
from unnest(%(tasks)s::int[], %(numbers)s::int[]) as given (task_id, number)
join revision_input i on i.task_id = given.task_id and i.number = given.number
join dataset_version v on v.id = i.version_id
where i.task_id = any(%(tasks)s::int[])
order by i.task_id, i.number, i.tag

-- name: configs
-- The configs of attempts, as registered for their revision.
select given.place, a.revision, v.root, v.is_folder, f.path, f.size, f.mtime_ns, f.sha256
from unnest(%(tasks)s::int[], %(indexes)s::int[], %(numbers)s::int[], %(tokens)s::uuid[])
    with ordinality as given (task_id, ordinal, number, token, place)
join attempt a on a.task_id = given.task_id and a.ordinal = given.ordinal and a.number = given.number
    and a.token = given.token
join revision r on r.task_id = a.task_id and r.number = a.revision
join dataset_version v on v.id = r.config_version_id
join dataset_file f on f.version_id = r.config_version_id and f.ordinal = given.ordinal

-- name: task_folders
select id, folder from task where id = any(%(tasks)s)
