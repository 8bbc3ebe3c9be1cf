-- Sessions of browsers, and the codes of one-time links that begin them. Times are the database's.

-- name: add_code
insert into sign_in_code (hash, person_id, admin, account, host, token_id, expires_at)
values (
    %(hash)s, %(person)s, %(admin)s, %(account)s, %(host)s, %(token)s, now() + make_interval(secs => %(seconds)s)
)
returning expires_at

-- name: take_code
-- Of two who use a code at the same time, the second waits for the first, and finds nothing.
delete from sign_in_code where hash = %(hash)s
returning person_id, admin, account, host, token_id, expires_at > now() as works

-- name: insert
-- A session that began with a token does not last longer than that.
insert into web_session (hash, person_id, admin, account, host, token_id, idle_at, ends_at)
select %(hash)s, %(person)s, %(admin)s, %(account)s, %(host)s, %(token)s::int, least(idle_at, ends_at), ends_at
from (
    select now() + make_interval(secs => %(idle)s) as idle_at,
        least(
            now() + make_interval(secs => %(longest)s), (select expires_at from api_token where id = %(token)s::int)
        ) as ends_at
) as times
returning id

-- name: select_sessions
select s.id, p.name as "user", s.admin, s.token_id as token, s.created_at, s.last_seen_at, s.ends_at
from web_session s
join person p on p.id = s.person_id

-- name: with_id
where s.id = %(id)s

-- name: of_user
-- Walks web_session_person.
where s.person_id = %(person)s and s.idle_at > now() and s.ends_at > now()
order by s.id

-- name: identify
-- For each request with a cookie: one row of the unique index of hashes, and its person. A revoked token's sessions
-- are deleted with it; the join is for one that was signed in with at the same moment.
select s.admin, s.account, s.host, s.token_id as token, s.ends_at,
    s.last_seen_at < now() - interval '1 minute' as unnoted,
    p.id, p.name, p.email, p.is_admin, p.created_at, p.mail, p.shares, p.limit_cpus, p.limit_gpu_milli,
    p.limit_running
from web_session s
join person p on p.id = s.person_id
left join api_token t on t.id = s.token_id
where s.hash = %(hash)s and s.idle_at > now() and s.ends_at > now() and t.revoked_at is null

-- name: note_use
-- At most once a minute: of several requests at once, one writes.
update web_session set last_seen_at = now(), idle_at = least(now() + make_interval(secs => %(idle)s), ends_at)
where id = (
    select id from web_session
    where hash = %(hash)s and last_seen_at < now() - interval '1 minute'
    for update skip locked
)

-- name: end_by_hash
delete from web_session where hash = %(hash)s

-- name: end
delete from web_session where id = %(id)s
