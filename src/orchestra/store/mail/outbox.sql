-- The outbox: mails that are pending, sent or set aside. A row is written in the same transaction as the change that
-- it reports, with its Message-ID, so that a mail that is sent twice can be recognised.

-- name: add_for_owner
-- Unless the owner has switched mail off.
insert into outbox (message_id, kind, person_id, task_id, payload)
select '<' || gen_random_uuid() || '@orchestra-hpc>', %(kind)s, p.id, t.id, %(payload)s
from task t join person p on p.id = t.owner_id
where t.id = %(task)s and p.mail

-- name: add_for_person
insert into outbox (message_id, kind, person_id, payload)
select '<' || gen_random_uuid() || '@orchestra-hpc>', %(kind)s, p.id, %(payload)s
from person p
where p.id = %(person)s and p.mail

-- name: add_for_admins
insert into outbox (message_id, kind, person_id, payload)
select '<' || gen_random_uuid() || '@orchestra-hpc>', %(kind)s, p.id, %(payload)s
from person p
where p.is_admin and p.mail and p.id is distinct from %(but)s

-- name: last_kill
-- Walks event_of_task.
select who, why from event
where task_id = %(task)s and ordinal is null and to_state = 'KILL'
order by id desc
limit 1

-- name: due
-- Whether a mail is due. Walks outbox_waiting. A person who was sent a mail within the pause waits, so that many
-- endings become one mail; a retried mail has waited already.
select exists (
    select from outbox o
    where is_pending(o) and o.next_try <= now() and o.kind = any(%(kinds)s)
        and (o.batch is not null or not exists (
            select from outbox s
            where s.person_id = o.person_id and s.sent_at > now() - make_interval(secs => %(pause)s)
        ))
)

-- name: next_due
-- The mail that has been due for longest.
select o.id, o.person_id, o.batch
from outbox o
where is_pending(o) and o.next_try <= now() and o.kind = any(%(kinds)s)
    and (o.batch is not null or not exists (
        select from outbox s
        where s.person_id = o.person_id and s.sent_at > now() - make_interval(secs => %(pause)s)
    ))
order by o.next_try, o.id
limit 1
for update skip locked

-- name: take
-- The mails that go out with it: the rest of its batch, or all mails due for the same person. The next try acts as a
-- lease: if the sender dies, the mail is sent again after that, with the same Message-ID.
update outbox set
    batch = coalesce(%(batch)s, (select message_id from outbox where id = %(first)s)),
    tries = tries + 1, next_try = now() + make_interval(secs => %(lease)s)
where id in (
    select id from outbox
    where is_pending(outbox) and next_try <= now() and kind = any(%(kinds)s)
        and (id = %(first)s or (person_id = %(person)s and batch is not distinct from %(batch)s))
    order by id = %(first)s desc, id
    limit %(limit)s
    for update
)
returning id, message_id, batch, kind, task_id, payload, created_at, tries, posted

-- name: note_sent
update outbox set sent_at = now(), sent_how = %(how)s, last_error = null
where id = any(%(ids)s) and sent_at is null

-- name: note_posted
update outbox set posted = true where id = any(%(ids)s)

-- name: note_delayed
-- If the server has certainly not accepted the mail, it may join another batch.
update outbox set
    next_try = now() + make_interval(secs => %(seconds)s), last_error = %(error)s,
    batch = case when %(keep)s then batch end
where id = any(%(ids)s) and sent_at is null

-- name: retry_now
-- The server works again: mails that wait for a retry are due now. A mail that is being sent has a batch.
update outbox set next_try = now()
where is_pending(outbox) and batch is null and next_try > now()

-- name: note_refused
update outbox set refused_at = now(), last_error = %(error)s, batch = null
where id = any(%(ids)s) and sent_at is null

-- name: set_all_aside
-- For a restored database: its pending mails may have been sent after the dump was taken.
update outbox set refused_at = now(), last_error = %(error)s, batch = null
where is_pending(outbox)

-- name: again
-- Makes mails due now that were set aside or wait for a retry.
update outbox o set refused_at = null, last_error = null, tries = 0, next_try = now()
where o.sent_at is null and (o.refused_at is not null or o.next_try > now())
    and (%(ids)s::bigint[] is null and o.refused_at is not null or o.id = any(%(ids)s::bigint[]))
    and (%(person)s::int is null or o.person_id = %(person)s)
returning id

-- name: select_mails
select
    o.id, o.kind, p.name as person, p.email, o.task_id, o.payload, o.created_at, o.next_try, o.tries, o.sent_at,
    o.sent_how, o.refused_at, o.last_error, o.message_id
from outbox o
left join person p on p.id = o.person_id

-- name: late
-- Mails of a person, or of all, that were not delivered. Walks outbox_late.
select
    count(*) filter (where o.refused_at is not null) as refused,
    count(*) filter (where o.refused_at is null) as delayed,
    (array_agg(o.last_error order by o.id desc))[1] as error
from outbox o
where o.sent_at is null and o.last_error is not null and (%(person)s::int is null or o.person_id = %(person)s)

-- name: with_id
where o.id = %(id)s

-- name: listed
-- The newest ones; optionally only pending, sent or set-aside ones.
where (%(person)s::int is null or o.person_id = %(person)s)
    and (%(state)s::text is null or %(state)s = case
        when o.sent_at is not null then 'sent' when o.refused_at is not null then 'refused' else 'waiting' end)
order by o.id desc
limit %(limit)s

-- name: of_task
-- Walks outbox_of_task.
where o.task_id = %(task)s
order by o.id desc
limit %(limit)s

-- name: summary
-- Walks the whole outbox, which holds a month.
select
    count(*) filter (where is_pending(outbox)) as waiting,
    count(*) filter (where sent_at is null and refused_at > now() - interval '7 days') as refused,
    min(created_at) filter (where is_pending(outbox)) as oldest,
    (
        select last_error from outbox
        where is_pending(outbox) and last_error is not null
        order by created_at limit 1
    ) as error
from outbox

-- name: forget
delete from outbox
where sent_at < now() - make_interval(days => %(sent_days)s)
    or refused_at < now() - make_interval(days => %(refused_days)s)

-- name: silent_pilots
-- Pilots that have been silent for a given time without signing off, if no mail about that was written yet. There
-- are few nodes. As with leases, a conductor must have been active all that time: after a gap, the database may have
-- been down itself. In an allocation a pilot comes and goes: it is missed where it holds jobs.
select
    n.id as node_id, n.name as node, extract(epoch from now() - p.seen_at)::float8 as silent_for,
    (
        select min(k.lease_until) from keeper k
        where k.node_id = n.id and k.gone_at is null and k.fenced_at is null and k.lease_until < 'infinity'
    ) as lease_until
from pilot p
join node n on n.id = p.node_id
join leader l on l.duty = 'conductor'
where p.gone_at is null and p.seen_at < now() - make_interval(secs => %(after)s)
    and (p.silence_told_at is null or p.silence_told_at < p.seen_at)
    and l.held_since < now() - make_interval(secs => %(after)s)
    and n.lost_at is null and n.gone_at is null
    and (
        n.allocation_id is null
        or exists (select from attempt a where a.node_id = n.id and is_open(a))
    )

-- name: note_silence_reported
-- False if the pilot was heard from meanwhile.
update pilot set silence_told_at = now()
where node_id = %(node)s and gone_at is null and seen_at < now() - make_interval(secs => %(after)s)

-- name: at_stake
-- The jobs that a node holds, by task. Walks attempt_open.
select t.owner_id, t.id as task, t.name, count(*) as jobs
from attempt a join task t on t.id = a.task_id
where a.node_id = %(node)s and is_open(a)
group by t.owner_id, t.id, t.name
order by t.owner_id, t.id
