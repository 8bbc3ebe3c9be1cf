-- The database's condition, for `maestro doctor`.

-- name: clock
select extract(epoch from clock_timestamp())::float8

-- name: server
-- Counts the connections of all databases, because the limit is the server's.
select
    current_setting('server_version'),
    (select count(*)::int from pg_stat_activity where backend_type = 'client backend'),
    current_setting('max_connections')::int,
    pg_database_size(current_database())

-- name: conductor
select coalesce(holder_name, holder) from leader where duty = 'conductor' and expires > now()
