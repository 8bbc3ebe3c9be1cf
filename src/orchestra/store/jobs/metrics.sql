-- Metrics that jobs reported about their results. Stored with their outcomes, read to show or compare results.

-- name: keep
insert into attempt_metrics (task_id, ordinal, number, text, numbers)
select task_id, ordinal, number, text, numbers::jsonb
from unnest(%(tasks)s::int[], %(indexes)s::int[], %(numbers)s::int[], %(texts)s::text[], %(values)s::text[])
    as given (task_id, ordinal, number, text, numbers)
on conflict do nothing

-- name: forget
-- Walks attempt_metrics_by_age.
delete from attempt_metrics where (task_id, ordinal, number) in (
    select task_id, ordinal, number from attempt_metrics
    where kept_at < now() - make_interval(secs => %(seconds)s)
    order by kept_at limit %(limit)s
)

-- name: first
-- The first results of a task with metrics. Walks the metrics, not the jobs, because of LATERAL with a limit.
select m.ordinal as index, m.numbers
from attempt_metrics m
cross join lateral (
    select from job j
    where j.task_id = m.task_id and j.ordinal = m.ordinal and j.done_attempt = m.number
    limit 1
) as counts
where m.task_id = %(task)s
order by m.ordinal
limit %(limit)s

-- name: lowest
-- The jobs of a page with the lowest value of a metric: two ranges of primary keys.
select j.ordinal, (m.numbers ->> %(name)s)::float8 as place
from job j
join attempt_metrics m on m.task_id = j.task_id and m.ordinal = j.ordinal and m.number = j.done_attempt
where j.task_id = %(task)s and j.ordinal >= %(first)s and j.ordinal < %(next)s
    and m.task_id = %(task)s and m.ordinal >= %(first)s and m.ordinal < %(next)s
    and m.numbers ? %(name)s
order by place, j.ordinal
limit %(limit)s

-- name: highest
-- The same with the highest value.
select j.ordinal, -(m.numbers ->> %(name)s)::float8 as place
from job j
join attempt_metrics m on m.task_id = j.task_id and m.ordinal = j.ordinal and m.number = j.done_attempt
where j.task_id = %(task)s and j.ordinal >= %(first)s and j.ordinal < %(next)s
    and m.task_id = %(task)s and m.ordinal >= %(first)s and m.ordinal < %(next)s
    and m.numbers ? %(name)s
order by place, j.ordinal
limit %(limit)s

-- name: sample
-- Some results of a page, the same ones each time.
select j.ordinal, hashint4(j.ordinal) as place
from job j
join attempt_metrics m on m.task_id = j.task_id and m.ordinal = j.ordinal and m.number = j.done_attempt
where j.task_id = %(task)s and j.ordinal >= %(first)s and j.ordinal < %(next)s
    and m.task_id = %(task)s and m.ordinal >= %(first)s and m.ordinal < %(next)s
order by place, j.ordinal
limit %(limit)s

-- name: of_jobs
-- The metrics of some jobs, and the configs that they came from.
select j.ordinal as index, m.text as metrics, f.path, f.sha256 is null as is_output, t.text as config, t.name as config_name
from job j
join attempt_metrics m on m.task_id = j.task_id and m.ordinal = j.ordinal and m.number = j.done_attempt
left join attempt a on a.task_id = j.task_id and a.ordinal = j.ordinal and a.number = j.done_attempt
left join revision r on r.task_id = j.task_id and r.number = coalesce(a.revision, 1)
left join dataset_file f on f.version_id = r.config_version_id and f.ordinal = j.ordinal
left join dataset_text t on t.version_id = r.config_version_id and t.ordinal = j.ordinal
where j.task_id = %(task)s and j.ordinal = any(%(indexes)s::int[])
