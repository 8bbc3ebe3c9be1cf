-- What the jobs of a claim need in order to start.

-- name: task_specs
select
    t.id, t.name, p.name as owner, t.queue, t.command, t.image, t.volume, t.folder, t.complete_file, t.env, t.cores,
    t.gpus, t.memory_bytes, t.timeout, t.grace, t.resume, t.binds, t.metrics_file
from task t
join person p on p.id = t.owner_id
where t.id = any(%(tasks)s)

-- name: task_inputs
select i.task_id, i.tag, v.id as version_id, v.root, v.is_folder, v.files
from task_input i
join dataset_version v on v.id = i.version_id
where i.task_id = any(%(tasks)s)
order by i.task_id, i.tag

-- name: configs
-- The configs of attempts, as registered.
select given.place, v.root, v.is_folder, f.path, f.size, f.mtime_ns, f.sha256
from unnest(%(tasks)s::int[], %(indexes)s::int[], %(numbers)s::int[], %(tokens)s::uuid[])
    with ordinality as given (task_id, ordinal, number, token, place)
join attempt a on a.task_id = given.task_id and a.ordinal = given.ordinal and a.number = given.number
    and a.token = given.token
join task t on t.id = given.task_id
join dataset_version v on v.id = t.config_version_id
join dataset_file f on f.version_id = t.config_version_id and f.ordinal = given.ordinal

-- name: task_folders
select id, folder from task where id = any(%(tasks)s)
