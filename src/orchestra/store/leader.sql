-- Who carries out a duty for all: one row a duty, times by the database's clock.

-- name: acquire
-- Takes the duty when nobody holds it; one that prefers to be conductor takes it from one that does not.
update leader set
    term = term + 1, holder = %(holder)s, holder_name = %(name)s, preferred = %(preferred)s,
    expires = now() + make_interval(secs => %(seconds)s)
where duty = %(duty)s and (expires < now() or (%(preferred)s and not preferred))
returning term

-- name: renew
update leader set expires = now() + make_interval(secs => %(seconds)s)
where duty = %(duty)s and term = %(term)s and holder = %(holder)s and expires > now()

-- name: check_term
-- In share mode: a successor waits until this transaction is over, and after that this check fails.
select true from leader
where duty = %(duty)s and term = %(term)s and holder = %(holder)s and expires > clock_timestamp()
for share

-- name: resign
update leader set expires = now() - interval '1 second'
where duty = %(duty)s and term = %(term)s and holder = %(holder)s

-- name: current
select term, holder_name, expires > now() as alive from leader where duty = %(duty)s
