-- A clock that was set back leaves moments in the future behind, for which nobody should have to wait.

-- name: bring_back
-- What was stamped later than now is taken for stamped now, so that what is waited for after it takes as long as it may,
-- counted from here. A minute is no step. Few rows each: keepers and pilots, open attempts (attempt_open), unsent mails
-- (outbox_waiting).
with keepers as (
    update keeper set
        renewed_at = least(renewed_at, now()),
        lease_until = case
            when lease_until < 'infinity' and renewed_at > now() then now() + (lease_until - renewed_at) else lease_until
        end,
        fenced_at = case when fenced_at > now() then now() else fenced_at end
    where gone_at is null and (renewed_at > now() + interval '1 minute' or fenced_at > now() + interval '1 minute')
),
pilots as (
    update pilot set seen_at = now() where seen_at > now() + interval '1 minute'
),
started as (
    update attempt set started_at = now()
    where ended_at is null and lost_at is null and started_at > now() + interval '1 minute'
),
sent as (
    update outbox set sent_at = now() where sent_at > now() + interval '1 minute'
)
update outbox set next_try = now()
where sent_at is null and refused_at is null and next_try > now() + make_interval(secs => %(mail)s) + interval '1 minute'

-- name: shorten_back_off
-- Walks job_not_before. A job that has failed so often waits for so long at most (domain/outcome_policy.py).
update job set not_before = now()
where (task_id, ordinal) in (
    select task_id, ordinal from job
    where not_before > now() + make_interval(secs => least(
        %(at_most)s, %(first)s * power(2, least(greatest(failures, 1) - 1, 30))
    ))
    limit %(limit)s
    for update skip locked
)
