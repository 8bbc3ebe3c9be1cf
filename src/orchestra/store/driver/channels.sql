-- Notification channels. Channel names cannot be parameters of LISTEN.

-- name: listen
-- The channels of a pilot: jobs for either queue, and notifications for its node.
listen orchestra_cpu; listen orchestra_gpu; listen orchestra_node

-- name: listen_as_conductor
listen orchestra_conductor

-- name: listen_for_pools
-- The channels of a process that submits for pools.
listen orchestra_pool; listen orchestra_cpu; listen orchestra_gpu; listen orchestra_conductor

-- name: notify
select pg_notify(%(channel)s, %(payload)s)
