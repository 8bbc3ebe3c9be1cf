-- Figures for a monitoring system, which reads them every few seconds. None counts jobs.

-- name: jobs
-- The jobs of live tasks. Walks task_live; at most 16 rows of counts per task.
select
    t.queue::text as queue, count(*)::int as tasks,
    sum(c.registered)::bigint as registered, sum(c.assigned)::bigint as assigned, sum(c.testing)::bigint as testing,
    sum(c.running)::bigint as running, sum(c.failed)::bigint as failed, sum(c.done)::bigint as done,
    sum(c.kill)::bigint as kill, sum(c.killed)::bigint as killed, sum(c.broken)::bigint as broken
from task t
cross join lateral status_counts(t.id) as c
where t.ended_at is null
group by t.queue
order by t.queue

-- name: attempts
-- What the latest events tell of attempts that ended in the last minutes: how, and how long they waited between claim and
-- start. Walks the primary key of event from its end, and looks each attempt up.
select
    coalesce(a.cause, 'lost') as cause, count(*)::int as attempts,
    coalesce(sum(greatest(extract(epoch from a.started_at - a.claimed_at), 0)), 0)::float8 as waited,
    count(a.started_at)::int as started
from (
    select distinct task_id, ordinal, attempt
    from (select * from event order by id desc limit %(events)s) as latest
    where attempt is not null and at > now() - make_interval(secs => %(seconds)s)
) as e
cross join lateral (
    -- By its key for each event, not by a join with all attempts.
    select cause, claimed_at, started_at from attempt
    where task_id = e.task_id and ordinal = e.ordinal and number = e.attempt
        and greatest(ended_at, lost_at) > now() - make_interval(secs => %(seconds)s)
    limit 1
) as a
group by 1
order by 1

-- name: conductor
select
    l.term, coalesce(l.expires > now(), false) as alive,
    -- Rows that were ever inserted, as PostgreSQL's statistics know: each claim of a job makes an attempt.
    pg_stat_get_tuples_inserted('attempt'::regclass) as claims,
    (select count(*)::int from outbox o where is_pending(o)) as mails
from leader l
where l.duty = 'conductor'
