-- Channels on which the database says that something has changed. Their names are no parameters in SQL, hence one
-- statement a channel; `wake` in events.sql is the other side.

-- name: listen
-- All that a pilot wants to hear: work for either queue, and word for its node.
listen orchestra_cpu; listen orchestra_gpu; listen orchestra_node
