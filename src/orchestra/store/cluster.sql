-- Which database this is.

-- name: version
select current_setting('server_version')

-- name: raise_epoch
-- What pilots hold and what the database says have parted: nothing is reaped before the keepers have spoken.
update cluster set epoch = epoch + 1

-- name: online_nodes
select n.name from pilot p join node n on n.id = p.node_id
where p.gone_at is null and p.seen_at > now() - interval '60 seconds'
order by n.name

-- name: others
-- Connections of others that are more than a look: pilots, conductors, people.
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'

-- name: identity
select id from cluster
