-- The outbox: mails that wait, that were sent, and that were put aside. A row is written in the transaction of what it
-- tells. The Message-ID is made with it, so that a mail that goes out twice can be told to be the same.

-- name: add_for_owner
-- Nothing for who wants no mail.
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

-- name: killer
-- Walks event_of_task.
select who, why from event
where task_id = %(task)s and ordinal is null and to_state = 'KILL'
order by id desc
limit 1

-- name: due
-- Whether anything is to be sent now. Walks outbox_waiting. Who got a mail within the pause waits for the next one, so
-- that many endings become one mail; what is tried again has waited already.
select exists (
    select from outbox o
    where o.sent_at is null and o.refused_at is null and o.next_try <= now() and o.kind = any(%(kinds)s)
        and (o.batch is not null or not exists (
            select from outbox s
            where s.person_id = o.person_id and s.sent_at > now() - make_interval(secs => %(pause)s)
        ))
)

-- name: next_due
-- The row that has waited longest.
select o.id, o.person_id, o.batch
from outbox o
where o.sent_at is null and o.refused_at is null and o.next_try <= now() and o.kind = any(%(kinds)s)
    and (o.batch is not null or not exists (
        select from outbox s
        where s.person_id = o.person_id and s.sent_at > now() - make_interval(secs => %(pause)s)
    ))
order by o.next_try, o.id
limit 1
for update skip locked

-- name: take
-- What goes out with it: the rest of its batch, or all that is due for the same person. The next try is a lease: if
-- whoever sends dies meanwhile, it is sent again after that, under the same Message-ID.
update outbox set
    batch = coalesce(%(batch)s, (select message_id from outbox where id = %(first)s)),
    tries = tries + 1, next_try = now() + make_interval(secs => %(lease)s)
where id in (
    select id from outbox
    where sent_at is null and refused_at is null and next_try <= now() and kind = any(%(kinds)s)
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
-- Where the server has certainly not taken it, it may go out with others the next time.
update outbox set
    next_try = now() + make_interval(secs => %(seconds)s), last_error = %(error)s,
    batch = case when %(keep)s then batch end
where id = any(%(ids)s) and sent_at is null

-- name: hurry
-- The server works again: what waits for its next try need wait no longer. What is being sent has a batch.
update outbox set next_try = now()
where sent_at is null and refused_at is null and batch is null and next_try > now()

-- name: note_refused
update outbox set refused_at = now(), last_error = %(error)s, batch = null
where id = any(%(ids)s) and sent_at is null

-- name: put_all_aside
-- Of a database that was replaced: what it holds as unsent may have been sent after the dump was taken.
update outbox set refused_at = now(), last_error = %(error)s, batch = null
where sent_at is null and refused_at is null

-- name: again
-- To be sent now: what was put aside, or waits for its next try.
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

-- name: with_id
where o.id = %(id)s

-- name: listed
-- The newest ones; those that wait or were put aside alone, where that is wanted.
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
-- Walks the whole of the outbox, which holds a month.
select
    count(*) filter (where sent_at is null and refused_at is null) as waiting,
    count(*) filter (where sent_at is null and refused_at > now() - interval '7 days') as refused,
    min(created_at) filter (where sent_at is null and refused_at is null) as oldest,
    (
        select last_error from outbox
        where sent_at is null and refused_at is null and last_error is not null
        order by created_at limit 1
    ) as error
from outbox

-- name: forget
delete from outbox
where sent_at < now() - make_interval(days => %(sent_days)s)
    or refused_at < now() - make_interval(days => %(refused_days)s)

-- name: silent_pilots
-- Pilots that have not been heard of for so long and did not say goodbye, if that was not told yet. Nodes are few. As
-- with leases, somebody must have conducted all that time: after a gap the database may have been away itself.
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
    and n.lost_at is null

-- name: note_silence_told
-- False where it was heard of in the meantime.
update pilot set silence_told_at = now()
where node_id = %(node)s and gone_at is null and seen_at < now() - make_interval(secs => %(after)s)

-- name: at_stake
-- The jobs that a node holds, by task. Walks attempt_open.
select t.owner_id, t.id as task, t.name, count(*) as jobs
from attempt a join task t on t.id = a.task_id
where a.node_id = %(node)s and a.ended_at is null and a.lost_at is null
group by t.owner_id, t.id, t.name
order by t.owner_id, t.id
