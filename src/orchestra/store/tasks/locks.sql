-- Locks of tasks: shared by callers that claim, start, end or release jobs, exclusive for callers that change the
-- task. They are PostgreSQL's advisory locks, which are granted in the order of the requests; a row lock lets new
-- sharers pass a waiting writer. Held until the transaction ends. The first key, 1869767528 ("orch"), separates them
-- from the locks of other programs in the same database.
--
-- A lock reads nothing. Read the task in a statement after the lock, or it appears as it was before the command that
-- the lock waited for. Lock tasks in ascending order, or two claims and two commands can deadlock.

-- name: exclude
select pg_advisory_xact_lock(1869767528, %(task)s)

-- name: share
-- In ascending order of the tasks; unnest preserves it.
select pg_advisory_xact_lock_shared(1869767528, id) from unnest(%(tasks)s::int[]) as given (id)

-- name: try_share
-- Those of the tasks that can be shared without waiting.
select id from unnest(%(tasks)s::int[]) as given (id) where pg_try_advisory_xact_lock_shared(1869767528, id)

-- name: lock_owner
-- Locks a user against the claims of other nodes, which count together what the user's limits leave.
select pg_advisory_xact_lock(731059, %(owner)s)

-- name: try_owner
select pg_try_advisory_xact_lock(731059, %(owner)s)

-- name: share_to_claim
-- Shares a task only if it has claimable jobs. Walks each turn of job_claimable from its claim cursor on, to the
-- first claimable job: `first_in_line` in turn 0 and `in_order` in turn 1, null where there is none. `passed` is the number
-- of ordinals that the longer walk skipped. `shared` is false if a command holds the lock or waits for it and this
-- call must not wait.
with cursors as materialized (
    select
        coalesce((
            select ordinal from job_floor where task_id = %(task)s and turn = 0 order by id desc limit 1
        ), 0) as first_in_line,
        coalesce((
            select ordinal from job_floor where task_id = %(task)s and turn = 1 order by id desc limit 1
        ), 0) as in_order
),
claimable as materialized (
    select
        (
            select ordinal from job
            where task_id = %(task)s and is_claimable(job)
                and turn <= 0 and (turn, ordinal) >= (0, cursors.first_in_line)
            order by turn, ordinal limit 1
        ) as first_in_line,
        (
            select ordinal from job
            where task_id = %(task)s and is_claimable(job)
                and (turn, ordinal) >= (1, cursors.in_order)
            order by turn, ordinal limit 1
        ) as in_order
    from cursors
)
select
    claimable.first_in_line, claimable.in_order,
    greatest(
        coalesce(claimable.first_in_line, 2147483647) - cursors.first_in_line,
        coalesce(claimable.in_order, 2147483647) - cursors.in_order
    ) as passed,
    case
        when claimable.first_in_line is null and claimable.in_order is null then false
        when %(wait)s then (select true from pg_advisory_xact_lock_shared(1869767528, %(task)s))
        else pg_try_advisory_xact_lock_shared(1869767528, %(task)s)
    end as shared
from claimable
cross join cursors
