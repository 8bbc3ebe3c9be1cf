-- name: make_room
-- Goes first in the transaction that a dump is read back in.
drop schema if exists orchestra cascade
