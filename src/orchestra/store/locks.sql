-- The locks of tasks: shared by who takes, starts, ends or releases jobs, exclusive to who changes what the task is.
-- They are PostgreSQL's advisory locks, since those are given in the order in which they were asked for, while new sharers
-- of a row pass who waits to change it. Held until the transaction ends; 1869767528 ("orch") sets them apart from those
-- of other users of the database.
--
-- A lock reads nothing. What a transaction wants to know of the task is read by a statement after the one that locks, or
-- it would see the task as it was before a command that was waited for. And locks are asked for in the order of their
-- numbers, or two claims and two commands could wait for each other in a ring.

-- name: exclude
select pg_advisory_xact_lock(1869767528, %(task)s)

-- name: share
-- The tasks in ascending order, which unnest keeps.
select pg_advisory_xact_lock_shared(1869767528, id) from unnest(%(tasks)s::int[]) as given (id)

-- name: share_to_claim
-- Of a task that has jobs to hand out alone. One walk of each turn of job_claimable from its floor on, to the job where the
-- claim is to begin: `again` and `in_order`, null where a turn has none. `passed` is how many places the longer of the two
-- walks went past. `shared` is false where a command has the lock, or waits for it, and this must not wait.
with floors as materialized (
    select
        coalesce((
            select ordinal from job_floor where task_id = %(task)s and turn = 0 order by id desc limit 1
        ), 0) as again,
        coalesce((
            select ordinal from job_floor where task_id = %(task)s and turn = 1 order by id desc limit 1
        ), 0) as in_order
),
first as materialized (
    select
        (
            select ordinal from job
            where task_id = %(task)s and state = 'assigned' and keeper_id is null and not_before is null
                and turn <= 0 and (turn, ordinal) >= (0, floors.again)
            order by turn, ordinal limit 1
        ) as again,
        (
            select ordinal from job
            where task_id = %(task)s and state = 'assigned' and keeper_id is null and not_before is null
                and (turn, ordinal) >= (1, floors.in_order)
            order by turn, ordinal limit 1
        ) as in_order
    from floors
)
select
    first.again, first.in_order,
    greatest(
        coalesce(first.again, 2147483647) - floors.again, coalesce(first.in_order, 2147483647) - floors.in_order
    ) as passed,
    case
        when first.again is null and first.in_order is null then false
        when %(wait)s then (select true from pg_advisory_xact_lock_shared(1869767528, %(task)s))
        else pg_try_advisory_xact_lock_shared(1869767528, %(task)s)
    end as shared
from first
cross join floors
