-- Tokens of programs and of the command line. Times are the database's.

-- name: insert
-- A token does not last longer than the one that it was made with (`ends_at`).
insert into api_token (person_id, name, hash, start, admin, account, host, expires_at)
values (
    %(person)s, %(name)s, %(hash)s, %(start)s, %(admin)s, %(account)s, %(host)s,
    least(now() + make_interval(secs => %(seconds)s), %(ends_at)s::timestamptz)
)
returning id

-- name: select_tokens
-- There are few tokens: those that have ended for a month are deleted.
select t.id, p.name as "user", t.name, t.start, t.admin, t.account, t.host, t.created_at, t.expires_at, t.last_used_at,
    t.revoked_at
from api_token t
join person p on p.id = t.person_id

-- name: with_id
where t.id = %(id)s

-- name: of_user
where t.person_id = %(person)s
order by t.id

-- name: in_order
order by p.name, t.id

-- name: identify
-- For each request with a token: one row of the unique index of hashes, and its person.
select t.id as token, t.admin, t.account, t.host, t.expires_at as ends_at, t.revoked_at is not null as revoked,
    coalesce(t.expires_at <= now(), false) as expired,
    coalesce(t.last_used_at < now() - interval '1 minute', true) as unnoted,
    p.id, p.name, p.email, p.is_admin, p.created_at, p.mail, p.shares, p.limit_cpus, p.limit_gpu_milli,
    p.limit_running
from api_token t
join person p on p.id = t.person_id
where t.hash = %(hash)s

-- name: note_use
-- At most once a minute: of several requests at once, one writes.
update api_token set last_used_at = now()
where id = (
    select id from api_token
    where id = %(token)s and coalesce(last_used_at < now() - interval '1 minute', true)
    for update skip locked
)

-- name: revoke
update api_token set revoked_at = now() where id = %(id)s and revoked_at is null

-- name: end_sessions
delete from web_session where token_id = %(id)s

-- name: drop_codes
delete from sign_in_code where token_id = %(id)s
