-- Removing deleted tasks and unused lists of files, a portion at a time.

-- name: deleted_tasks
select id, jobs from task where deleted_at is not null order by id limit 1

-- name: purge_attempts
delete from attempt where (task_id, ordinal, number) in (
    select task_id, ordinal, number from attempt where task_id = %(task)s limit %(limit)s
)

-- name: purge_jobs
delete from job where (task_id, ordinal) in (
    select task_id, ordinal from job where task_id = %(task)s limit %(limit)s
)

-- name: unused_versions
-- Manifests that are deleted with the task: no listed data set has them, and no other task uses them.
select v.id
from dataset_version v
left join dataset d on d.id = v.dataset_id
where v.id in (
        select config_version_id from task where id = %(task)s
        union select version_id from task_input where task_id = %(task)s
        union select config_version_id from superseded_revision where task_id = %(task)s
        union select version_id from superseded_input where task_id = %(task)s
    )
    and (v.dataset_id is null or d.deleted_at is not null)
    and not exists (select from task t where t.config_version_id = v.id and t.id <> %(task)s)
    and not exists (select from dataset_version own where own.based_on = v.id)
    and not exists (select from task_input i where i.version_id = v.id and i.task_id <> %(task)s)
    and not exists (select from superseded_revision s where s.config_version_id = v.id and s.task_id <> %(task)s)
    and not exists (select from superseded_input i where i.version_id = v.id and i.task_id <> %(task)s)

-- name: purge_files
delete from dataset_file where (version_id, ordinal) in (
    select version_id, ordinal from dataset_file where version_id = any(%(versions)s) limit %(limit)s
)

-- name: purge_metrics
delete from attempt_metrics where (task_id, ordinal, number) in (
    select task_id, ordinal, number from attempt_metrics where task_id = %(task)s limit %(limit)s
)

-- name: purge_texts
delete from dataset_text where (version_id, ordinal) in (
    select version_id, ordinal from dataset_text where version_id = any(%(versions)s) limit %(limit)s
)

-- name: purge_task
-- The task's events stay.
with counts as (delete from task_count where task_id = %(task)s),
floors as (delete from job_floor where task_id = %(task)s)
delete from task where id = %(task)s

-- name: purge_versions
delete from dataset_version where id = any(%(versions)s)

-- name: purge_datasets
delete from dataset d
where d.deleted_at is not null and not exists (select from dataset_version v where v.dataset_id = d.id)
