-- name: make_room
-- Goes first in the transaction that a dump is read back in.
drop schema if exists orchestra cascade

-- name: settings
-- What this server lets a script set: pg_dump writes those of its own version, which may be newer.
select name from pg_settings
