-- Reservations of slots for a task's next job.

-- name: busy_jobs
-- The jobs that occupy slots of a queue on a node, and for how long. Walks attempt_open.
select
    t.id as task, r.slots, t.typical_seconds,
    greatest(extract(epoch from now() - coalesce(a.started_at, a.claimed_at)), 0)::float8 as age
from attempt a
join task t on t.id = a.task_id
join revision r on r.task_id = a.task_id and r.number = a.revision
where a.node_id = %(node)s and is_open(a) and t.queue = %(queue)s

-- name: of_task
-- The node that keeps slots free for a task's next job. A reservation expires when its node has not renewed it for a
-- while.
select node_id, ready_in, passed_on, renewed_at between now() - make_interval(secs => %(patience)s) and now() as is_fresh
from slot_reservation
where task_id = %(task)s

-- name: lock
-- Claims and commands that change a reservation never wait for each other: the second one leaves it unchanged.
select pg_try_advisory_xact_lock(731058, %(task)s) as locked

-- name: renew
insert into slot_reservation (task_id, node_id, ready_in, passed_on)
values (%(task)s, %(node)s, %(ready_in)s, %(passed_on)s)
on conflict (task_id) do update set
    node_id = excluded.node_id, ready_in = excluded.ready_in, passed_on = excluded.passed_on, renewed_at = now()

-- name: end
delete from slot_reservation where task_id = %(task)s
