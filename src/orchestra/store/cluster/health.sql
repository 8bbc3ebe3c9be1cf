-- The database server: its version, who uses it, how it responds.

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

-- name: version
select current_setting('server_version')

-- name: is_private
-- Like the embedded database: a socket in its account's folder, and a single login whose password lies there, too.
select
    current_setting('listen_addresses') = '' and (select count(*) from pg_roles where rolcanlogin) = 1 as private

-- name: online_nodes
select n.name from pilot p join node n on n.id = p.node_id
where is_online(p)
order by n.name

-- name: others
-- Client connections besides this one: pilots, conductors, users.
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
