-- The configs of tasks that change while they live, and the jobs that come and go with them. The caller holds the
-- task's lock (see locks.sql).

-- name: of_version
-- A page of the files of a version, in order. A range of the primary key.
select folder_of(v), f.path, f.sha256, f.ordinal
from dataset_version v
join dataset_file f on f.version_id = v.id
where v.id = %(version)s and f.ordinal >= %(first)s and f.ordinal < %(next)s
order by f.ordinal

-- name: removed
-- Walks job_removed.
select ordinal from job where task_id = %(task)s and removed

-- name: present_list
-- Which list of configs a task has, and the version of a data set that it was made of.
select t.config_version_id as version, t.revision, coalesce(v.based_on, v.id) as base, b.dataset_id as dataset
from task t
join dataset_version v on v.id = t.config_version_id
join dataset_version b on b.id = coalesce(v.based_on, v.id)
where t.id = %(task)s

-- name: input_versions
-- The version of a data set for each tag of a task except %IN and %OUT.
select i.tag, v.dataset_id as dataset, v.number
from task_input i
join dataset_version v on v.id = i.version_id
where i.task_id = %(task)s and v.dataset_id is not null
order by i.tag

-- name: add_list
insert into dataset_version (root, is_folder, files, bytes, based_on)
values (%(root)s, true, %(files)s, 0, %(based_on)s)
returning id

-- name: add_files
-- Copies files from where they are registered, in the given order, as paths below the root of the new list. Found by
-- their keys.
insert into dataset_file (version_id, ordinal, path, size, mtime_ns, sha256)
select %(list)s, given.number - 1, below.folder || f.path, f.size, f.mtime_ns, f.sha256
from unnest(%(versions)s::int[], %(places)s::int[]) with ordinality as given (version_id, ordinal, number)
join dataset_file f on f.version_id = given.version_id and f.ordinal = given.ordinal
join unnest(%(of)s::int[], %(folders)s::text[]) as below (version_id, folder) on below.version_id = given.version_id

-- name: add_texts
insert into dataset_text (version_id, ordinal, name, text)
select %(list)s, given.number - 1, t.name, t.text
from unnest(%(versions)s::int[], %(places)s::int[]) with ordinality as given (version_id, ordinal, number)
join dataset_text t on t.version_id = given.version_id and t.ordinal = given.ordinal

-- name: count_bytes
update dataset_version set bytes = (select coalesce(sum(size), 0) from dataset_file where version_id = %(list)s)
where id = %(list)s

-- name: use_list
update task set config_version_id = %(list)s where id = %(task)s

-- name: use_input
update task_input set version_id = %(version)s where task_id = %(task)s and tag = %(tag)s

-- name: use_origin
update task set origin = %(origin)s where id = %(task)s

-- name: add_jobs
-- Attempts are counted as those of the first job are: in a folder that was reused, after those that it had.
insert into job (task_id, ordinal, attempt)
select %(task)s, ordinal, (
    select greatest(j.attempt - (select count(*) from attempt where task_id = j.task_id and ordinal = 0), 0)
    from job j
    where j.task_id = %(task)s and j.ordinal = 0
)
from generate_series(%(first)s::int, %(first)s::int + %(jobs)s::int - 1) as ordinal

-- name: count_jobs
-- The trigger that maintains the counts runs only for updates.
with counted as (
    insert into task_count as c (task_id, stripe, registered) values (%(task)s, 0, %(jobs)s)
    on conflict (task_id, stripe) do update set registered = c.registered + excluded.registered
)
update task set jobs = jobs + %(jobs)s where id = %(task)s

-- name: remove_jobs
-- Done ones stay done, those of a keeper are ended first.
update job set
    removed = true, is_test = false, not_before = null, kill_requested = keeper_id is not null, changed_at = now(),
    state = case when keeper_id is null and state <> 'done' then 'killed' else state end
where task_id = %(task)s and ordinal = any(%(jobs)s::int[])

-- name: return_jobs
update job set
    removed = false, turn = 1, failures = 0, losses = 0, changed_at = now(),
    state = case when state = 'killed' then 'registered' else state end
where task_id = %(task)s and ordinal = any(%(jobs)s::int[])

-- name: restart_failed
-- Jobs of a live task that failed or were killed begin anew, first in line. Walks job_notable.
update job set
    state = 'registered', turn = 0, kill_requested = false, failures = 0, losses = 0, not_before = null, changed_at = now()
where task_id = %(task)s and state in ('failed', 'killed') and not removed and keeper_id is null

-- name: done_ones
select ordinal from job where task_id = %(task)s and ordinal = any(%(jobs)s::int[]) and state = 'done' order by ordinal

-- name: forgive
update task set fails_forgiven = 0, let_go = let_go + 1 where id = %(task)s

-- name: waits_for_outputs
-- A task that waits for the outputs of this one's jobs.
select w.id, w.name
from task_after a
join task w on w.id = a.task_id
where a.after_id = %(task)s and a.gives_configs and w.deleted_at is null
order by w.id
limit 1
