-- Settings of a session or a transaction, and a check of the connection.

-- name: set_formats
select set_config('timezone', 'UTC', false), set_config('datestyle', 'ISO', false)

-- name: set_statement_timeout
-- For the rest of the transaction.
select set_config('statement_timeout', %(timeout)s, true)

-- name: read_one_snapshot
-- The first statement of a transaction that only reads, all of it as of the same moment.
set transaction isolation level repeatable read, read only

-- name: echo
select %(token)s
