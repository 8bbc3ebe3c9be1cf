-- Users.

-- name: select_people
select id, name, email, is_admin, created_at, mail, shares, limit_cpus, limit_gpu_milli, limit_running from person

-- name: named
where name = %(name)s

-- name: in_order
order by name

-- name: lock_admins
-- The first user and the last admin are found by reading all rows: two concurrent callers would both find
-- themselves. Does not block readers, or inserts that refer to a user. Taken first, because upgrading a lock can
-- deadlock.
lock table person in share row exclusive mode

-- name: insert
-- The first user of a database is its admin; under lock_admins.
insert into person (name, email, is_admin)
values (%(name)s, %(email)s, not exists (select from person))
on conflict (name) do nothing
returning id, name, email, is_admin, created_at, mail, shares, limit_cpus, limit_gpu_milli, limit_running

-- name: with_id
where id = %(id)s

-- name: set
-- Null leaves a value unchanged.
update person set
    email = coalesce(%(email)s, email), mail = coalesce(%(mail)s, mail), is_admin = coalesce(%(admin)s, is_admin)
where id = %(person)s
returning id, name, email, is_admin, created_at, mail, shares, limit_cpus, limit_gpu_milli, limit_running

-- name: set_limits
-- Null leaves a value unchanged, if the limit is not among the removed ones.
update person set
    limit_cpus = case when not 'cpus' = any(%(removed)s::text[]) then coalesce(%(cpus)s::int, limit_cpus) end,
    limit_gpu_milli =
        case when not 'gpus' = any(%(removed)s::text[]) then coalesce(%(gpu_milli)s::int, limit_gpu_milli) end,
    limit_running = case when not 'running' = any(%(removed)s::text[]) then coalesce(%(running)s::int, limit_running) end,
    shares = coalesce(%(shares)s::float8, shares)
where id = %(person)s
returning id, name, email, is_admin, created_at, mail, shares, limit_cpus, limit_gpu_milli, limit_running

-- name: lock
select from person where name = %(name)s for update

-- name: possessions
-- Tasks that are being deleted still need their owner.
select
    (select count(*) from task where owner_id = %(person)s) as tasks,
    (select count(*) from dataset where owner_id = %(person)s and deleted_at is null) as datasets

-- name: drop_manifests
delete from dataset_file f
using dataset_version v join dataset d on d.id = v.dataset_id
where f.version_id = v.id and d.owner_id = %(person)s and d.deleted_at is not null

-- name: drop_datasets
delete from dataset where owner_id = %(person)s and deleted_at is not null

-- name: delete
delete from person where id = %(person)s
