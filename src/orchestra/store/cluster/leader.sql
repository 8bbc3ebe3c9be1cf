-- The holder of each duty that one process carries out for all: one row per duty, times by the database's clock.

-- name: acquire
-- Takes a duty that nobody holds, or, for a preferred conductor, one whose holder is not preferred, or one whose holder
-- is of an older version; that one must not take it back, even if it is preferred. A term never
-- lasts a minute: one that does was written before the clock was set back. Up to ten seconds without a holder are a
-- handover: pilots miss one renewal in that time, and every lease has a larger margin. More is a gap.
update leader set
    term = term + 1, holder = %(holder)s, holder_name = %(name)s,
    preferred = %(preferred)s or expires > now() and (level_term is distinct from term or level < %(level)s),
    level = %(level)s, level_term = term + 1,
    expires = now() + make_interval(secs => %(seconds)s), beat = beat + 1,
    held_since = case when expires > now() - interval '10 seconds' and expires < now() + interval '1 minute'
        then held_since else now() end
where duty = %(duty)s
    and (
        expires < now() or expires > now() + interval '1 minute' or (%(preferred)s and not preferred)
        or level_term is distinct from term or level < %(level)s
    )
returning term, beat

-- name: create
insert into leader (duty) values (%(duty)s) on conflict do nothing

-- name: renew
-- held_since is in the future if the clock was set back. Waits for a term to have lasted then start from now.
update leader set
    expires = now() + make_interval(secs => %(seconds)s), beat = beat + 1, held_since = least(held_since, now())
where duty = %(duty)s and term = %(term)s and holder = %(holder)s and expires > now()
returning beat

-- name: check_term
-- In share mode: a successor waits until this transaction is over; after that, this check fails.
select true from leader
where duty = %(duty)s and term = %(term)s and holder = %(holder)s and expires > clock_timestamp()
for share

-- name: resign
update leader set expires = now() - interval '1 second'
where duty = %(duty)s and term = %(term)s and holder = %(holder)s

-- name: note_stuck
-- Programs of the previous version read `troubles`.
update leader set stuck = %(stuck)s, stuck_term = term, troubles = %(troubles)s, troubles_term = term
where duty = %(duty)s and term = %(term)s and holder = %(holder)s

-- name: troubles
-- Only those of the current term; an earlier holder may have had others.
select coalesce(holder_name, holder), case when stuck_term = term then stuck end, troubles from leader
where duty = %(duty)s and expires > now() and troubles_term = term and troubles <> '{}'

-- name: limits
-- A holder that was stopped in the middle of a transaction must lose it, and its lock on this row, before its term
-- is over.
select set_config('idle_in_transaction_session_timeout', '2s', false)

-- name: do_not_wait
-- For transactions that are simply repeated if a crash loses them: the commit does not wait for the disk.
select set_config('synchronous_commit', 'off', true)

-- name: free_in
-- Seconds until the duty is free unless its term is renewed.
select extract(epoch from expires - now())::float8 from leader where duty = %(duty)s and expires > now()
