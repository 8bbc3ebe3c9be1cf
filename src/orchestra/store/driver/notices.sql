-- Notification channels. Channel names cannot be parameters in SQL. `wake` in events.sql notifies.

-- name: listen
-- The channels of a pilot: jobs for either queue, and notifications for its node.
listen orchestra_cpu; listen orchestra_gpu; listen orchestra_node
