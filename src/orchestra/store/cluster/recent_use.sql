-- What users have used lately, and what the nodes offer.

-- name: recent_use
select person_id, lately, extract(epoch from now() - at)::float8 as seconds from recent_use

-- name: record
insert into recent_use (person_id, lately, at)
select p.id, given.lately, now()
from unnest(%(people)s::int[], %(lately)s::float8[]) as given (id, lately)
join person p on p.id = given.id
on conflict (person_id) do update set lately = excluded.lately, at = excluded.at

-- name: sizes
-- Memory is what the operator enabled of what the pilot found.
select n.cpu_enabled as cpus, n.gpu_enabled as gpus,
    least(n.memory_bytes, (p.found ->> 'memory_bytes')::bigint) as memory_bytes
from node n
left join pilot p on p.node_id = n.id
where n.gone_at is null
