-- Data sets: named lists of files, in versions. A version never changes; tasks refer to versions.

-- name: select_dataset
-- The head of every query for whole data sets, with their newest version. Walks (dataset_id, number).
select
    d.id, d.name, p.name as owner, v.id as version_id, v.number as version, v.root, v.is_folder, v.files, v.bytes,
    d.created_at, v.created_at as updated_at, v.choice, v.source
from dataset d
join person p on p.id = d.owner_id
cross join lateral (
    select * from dataset_version where dataset_id = d.id order by number desc limit 1
) as v

-- name: named
where d.name = %(name)s and d.deleted_at is null

-- name: with_id
where d.id = %(dataset)s and d.deleted_at is null

-- name: of_owner
-- All of them if no owner is given.
where d.deleted_at is null and (%(owner)s::text is null or p.name = %(owner)s)
order by d.name

-- name: of_root
-- Those of one owner whose newest version has this root, or was uploaded from the same place.
where d.deleted_at is null and d.owner_id = %(owner)s
    and case when v.source is null then v.root = %(root)s else v.source = %(source)s end

-- name: versions
-- Walks (dataset_id, number) from its end.
select number, root, is_folder, files, bytes, created_at
from dataset_version
where dataset_id = %(dataset)s
order by number desc
limit %(limit)s

-- name: names
-- For "did you mean": newest first, no more than a suggestion needs.
select name from dataset where deleted_at is null order by id desc limit 2000

-- name: roots_in_use
-- The roots of all versions that begin with a prefix. Reads all versions: the server asks rarely.
select distinct root from dataset_version where starts_with(root, %(prefix)s)

-- name: names_taken
select name from dataset where name = any(%(names)s) and deleted_at is null

-- name: lock_dataset
-- Against a concurrent deletion or update.
select id from dataset where id = %(dataset)s and deleted_at is null for update

-- name: share_datasets
-- A task being created shares its data sets, so that none is deleted meanwhile.
select id from dataset where id = any(%(datasets)s) and deleted_at is null order by id for share

-- name: add_dataset
insert into dataset (name, owner_id) values (%(name)s, %(owner)s)
on conflict (name) where deleted_at is null do nothing
returning id

-- name: add_version
-- The next number. A version without a data set (the outputs of a task) is number 1.
insert into dataset_version (dataset_id, number, root, is_folder, files, bytes, choice, source)
select
    %(dataset)s::integer, coalesce(max(number), 0) + 1, %(root)s::text, %(is_folder)s::boolean, %(files)s::integer,
    %(bytes)s::bigint, %(choice)s::jsonb, %(source)s::text
from dataset_version
where dataset_id = %(dataset)s::integer
returning id

-- name: copy_files
copy dataset_file (version_id, ordinal, path, size, mtime_ns, sha256) from stdin (format binary)

-- name: copy_texts
copy dataset_text (version_id, ordinal, text) from stdin (format binary)

-- name: files
-- A page of a manifest, in order. A range of the primary key.
select path, size, mtime_ns, sha256
from dataset_file
where version_id = %(version)s and ordinal >= %(first)s
order by ordinal
limit %(limit)s

-- name: all_files
select path, size, mtime_ns, sha256
from dataset_file
where version_id = %(version)s
order by ordinal

-- name: live_users
-- The live tasks that use any version of a data set. Walks task_live: there are few live tasks.
select t.id, t.name, t.state::text as state
from task t
where t.ended_at is null and (
    exists (
        select from dataset_version v
        left join dataset_version b on b.id = v.based_on
        where v.id = t.config_version_id and coalesce(b.dataset_id, v.dataset_id) = %(dataset)s
    )
    or exists (
        select from task_input i
        join dataset_version v on v.id = i.version_id
        where i.task_id = t.id and v.dataset_id = %(dataset)s
    )
)
order by t.id

-- name: ended_users
-- Whether any revision of a task refers to a data set. Walks the indexes on the versions.
select exists (
    select from dataset_version v
    where v.dataset_id = %(dataset)s and (
        exists (select from task where config_version_id = v.id)
        or exists (select from task_input where version_id = v.id)
        or exists (select from superseded_revision where config_version_id = v.id)
        or exists (select from superseded_input where version_id = v.id)
        or exists (select from dataset_version own where own.based_on = v.id)
    )
) as used

-- name: remove_version
-- One that nothing refers to.
with texts as (delete from dataset_text where version_id = %(version)s),
files as (delete from dataset_file where version_id = %(version)s)
delete from dataset_version where id = %(version)s

-- name: hide_dataset
update dataset set deleted_at = now() where id = %(dataset)s

-- name: remove_files
with texts as (
    delete from dataset_text
    where version_id in (select id from dataset_version where dataset_id = %(dataset)s)
)
delete from dataset_file
where version_id in (select id from dataset_version where dataset_id = %(dataset)s)

-- name: remove_dataset
delete from dataset where id = %(dataset)s
