-- Which tasks wait for which. There are few rows: each is deleted when its wait is over.

-- name: add
insert into task_after (task_id, after_id, after_name, gives_configs)
values (%(task)s, %(after)s, %(name)s, %(gives_configs)s)

-- name: of_task
-- The tasks that a task waits for. A deleted one has no state, unless it was DONE and its outputs are not needed:
-- outputs are read from a task that still exists.
select a.after_id as id, a.after_name as name, o.state::text as state, a.gives_configs
from task_after a
left join task o on o.id = a.after_id and (o.deleted_at is null or o.state = 'DONE' and not a.gives_configs)
where a.task_id = %(task)s
order by a.after_id

-- name: remove
delete from task_after where task_id = %(task)s and after_id = %(after)s

-- name: followers
-- The tasks that wait for a task. There are few rows.
select w.id, w.name
from task_after a
join task w on w.id = a.task_id
where a.after_id = %(task)s and w.deleted_at is null
order by w.id

-- name: config_consumer
-- A task that has stored some, but not all, of this one's outputs as its configs.
select w.id, w.name
from task_after a
join task w on w.id = a.task_id
where a.after_id = %(task)s and a.gives_configs and w.state = 'REGISTERED' and w.deleted_at is null
    and exists (select from dataset_file f where f.version_id = w.config_version_id)
order by w.id
limit 1

-- name: written
-- The first job whose config is not stored yet: the end of a range of the primary key.
select coalesce(max(ordinal) + 1, 0) as first from dataset_file where version_id = %(version)s

-- name: write_configs
-- One entry for each job of a DONE task: the folder of its done attempt. Jobs have the same ordinals in both tasks.
-- The text of a config is the attempt's metrics.
with output as materialized (
    select j.ordinal, coalesce(a.folder_number, j.done_attempt) as folder_number, m.text
    from job j
    left join attempt a on a.task_id = j.task_id and a.ordinal = j.ordinal and a.number = j.done_attempt
    left join attempt_metrics m on m.task_id = j.task_id and m.ordinal = j.ordinal and m.number = j.done_attempt
    where j.task_id = %(after)s and j.ordinal >= %(first)s and j.ordinal < %(next)s and j.state = 'done'
),
texts as (
    insert into dataset_text (version_id, ordinal, name, text)
    select %(version)s, o.ordinal, t.metrics_file, o.text
    from output o
    join task t on t.id = %(after)s
    where octet_length(o.text) <= 4000
)
insert into dataset_file (version_id, ordinal, path)
select %(version)s, ordinal, '.attempts/job_configId_' || ordinal || '/' || folder_number
from output

-- name: versions_of
-- The config version of a task, and how many jobs it has.
select config_version_id as version, jobs from task where id = %(task)s
