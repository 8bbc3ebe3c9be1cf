-- name: make_room
-- Goes first in the transaction that a dump is read back in.
drop schema if exists orchestra cascade

-- name: settings
-- What this server lets a script set: pg_dump writes those of its own version, which may be newer.
select name from pg_settings

-- name: one_moment
set transaction isolation level repeatable read, read only

-- name: export_snapshot
-- What pg_dump is to show, too.
select pg_export_snapshot()

-- name: tables
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relkind in ('r', 'p') order by c.relname

-- name: content
-- The sum does not depend on the order of the rows. Walks the whole table.
select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from {} as t
