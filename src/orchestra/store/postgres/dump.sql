-- Dumping the database, restoring and checking a dump.

-- name: make_room
-- The first statement of the transaction that restores a dump.
drop schema if exists orchestra cascade

-- name: settings
-- The settings that this server knows. pg_dump writes those of its own version, which may be newer.
select name from pg_settings

-- name: export_snapshot
-- The snapshot that pg_dump reads, too.
select pg_export_snapshot()

-- name: tables
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relkind in ('r', 'p') order by c.relname

-- name: content
-- The number of rows and a checksum that does not depend on their order. Walks the whole table.
select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from {} as t
