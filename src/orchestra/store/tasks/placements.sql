-- Where tasks may run. The rows never change, and tasks that ask for the same share one.

-- name: intern
-- Two tasks that ask for the same at once both find the one row; the update that changes nothing returns it.
insert into placement (constraint_text, nodes, not_nodes)
values (%(constraint)s, %(nodes)s::text[], %(not_nodes)s::text[])
on conflict (constraint_text, nodes, not_nodes) do update set constraint_text = excluded.constraint_text
returning id

-- name: some
select id, constraint_text, nodes, not_nodes from placement where id = any(%(ids)s::int[])
