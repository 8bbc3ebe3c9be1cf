-- Repairs after the clock was set back: times in the future would make everybody wait.

-- name: bring_back
-- Treats times later than now as now, so that waits that depend on them are at most as long as configured.
-- Differences below a minute are ignored. Few rows each: keepers and pilots, open attempts (attempt_open), pending
-- mails (outbox_waiting).
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
    where is_open(attempt) and started_at > now() + interval '1 minute'
),
sent as (
    update outbox set sent_at = now() where sent_at > now() + interval '1 minute'
)
update outbox set next_try = now()
where is_pending(outbox) and next_try > now() + make_interval(secs => %(mail)s) + interval '1 minute'

-- name: shorten_back_off
-- Walks job_not_before. A job's delay after so many failures is never longer than this (domain/retry_policy.py).
update job set not_before = now()
where (task_id, ordinal) in (
    select task_id, ordinal from job
    where not_before > now() + make_interval(secs => least(
        %(at_most)s, %(first)s * power(2, least(greatest(failures, 1) - 1, 30))
    ))
    limit %(limit)s
    for update skip locked
)

-- name: now
select now()
