-- Parts of logs that pilots send to readers who cannot read the files.

-- name: place
-- Where an attempt's log is, and who can send parts of it. One row of each table.
select
    t.folder, a.folder_number, coalesce(k.account, p.account) as account, a.node_id,
    not is_open(a) as over, a.ended_at is null and a.started_at is not null as grows, a.started_at is not null as started,
    case when a.log_tail is not null then a.log_bytes end as length, a.log_bytes - octet_length(a.log_tail) as first,
    case when a.ended_at is not null
        then substring(a.log_tail from greatest(1, octet_length(a.log_tail) - 255)) end as known_end,
    coalesce(p.log_sender = p.agent and is_online(p), false) as has_sender
from attempt a
join task t on t.id = a.task_id
left join keeper k on k.id = a.keeper_id
left join pilot p on p.node_id = a.node_id
where a.task_id = %(task)s and a.ordinal = %(index)s and a.number = %(number)s

-- name: take
-- A part that was sent. A short one is the end of a log, which may grow: the next reader asks again.
with taken as (
    delete from log_part
    where task_id = %(task)s and ordinal = %(index)s and number = %(number)s and start = %(start)s
        and sent_at is not null and coalesce(octet_length(data), 0) < %(most)s
)
select length, data from log_part
where task_id = %(task)s and ordinal = %(index)s and number = %(number)s and start = %(start)s and sent_at is not null

-- name: sweep
-- Parts that nobody has read for a while. The table has a few hundred rows.
delete from log_part where asked_at < clock_timestamp() - make_interval(secs => %(seconds)s)

-- name: ask
-- Asks for a part unless it is on its way, and returns whether the pilot is to be told. Nothing is asked for while there
-- are `limit` parts.
insert into log_part (task_id, ordinal, number, start, node_id)
select %(task)s, %(index)s, %(number)s, %(start)s, %(node)s
where (select count(*) from log_part) < %(limit)s
on conflict (task_id, ordinal, number, start) do update set
    asked_at = excluded.asked_at, node_id = excluded.node_id
    where log_part.sent_at is null and log_part.asked_at < clock_timestamp() - make_interval(secs => %(again_after)s)
returning true

-- name: asked
-- The next parts that a node's pilot is to send. The table has a few hundred rows.
select
    w.task_id, w.ordinal, w.number, a.token, w.start, t.folder, a.folder_number,
    case when a.ended_at is not null
        then substring(a.log_tail from greatest(1, octet_length(a.log_tail) - 255)) end as known_end
from log_part w
join attempt a on a.task_id = w.task_id and a.ordinal = w.ordinal and a.number = w.number
join task t on t.id = w.task_id
where w.node_id = %(node)s and w.sent_at is null and a.node_id = w.node_id
order by w.asked_at
limit %(limit)s

-- name: send
-- Answers only what is still asked for.
update log_part w set sent_at = clock_timestamp(), length = %(length)s, data = %(data)s
from attempt a
where w.task_id = %(task)s and w.ordinal = %(index)s and w.number = %(number)s and w.start = %(start)s and w.sent_at is null
    and a.task_id = w.task_id and a.ordinal = w.ordinal and a.number = w.number and a.token = %(token)s
