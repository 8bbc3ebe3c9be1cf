-- Conditions and sums that many statements share, each defined once. Every function is a single expression or query
-- without settings of its own, so the planner inlines it: the plan is that of the written-out form.
-- tests/store/test_predicates.py checks this.

-- A job that a claim may take.
create function is_claimable(j job) returns boolean immutable parallel safe language sql
return j.state = 'assigned' and j.keeper_id is null and j.not_before is null;

-- An attempt that has neither ended nor been lost.
create function is_open(a attempt) returns boolean immutable parallel safe language sql
return a.ended_at is null and a.lost_at is null;

-- An attempt whose command ended with exit status 0.
create function has_succeeded(a attempt) returns boolean immutable parallel safe language sql
return a.cause = 'exit' and a.exit_status = 0;

-- A node's pilot that was heard of within a minute and has not signed off. False where a node has no pilot.
create function is_online(p pilot) returns boolean stable parallel safe language sql
return coalesce(p.gone_at is null and p.seen_at > now() - interval '60 seconds', false);

-- What a pilot reports of itself, unless an agent before it wrote that.
create function current_troubles(p pilot) returns jsonb immutable parallel safe language sql
return case when p.troubles_agent = p.agent then p.troubles end;

-- A mail that was neither sent nor set aside.
create function is_pending(o outbox) returns boolean immutable parallel safe language sql
return o.sent_at is null and o.refused_at is null;

-- The slots of its queue that one job of a task takes.
create function slots_of(t task) returns integer immutable parallel safe language sql
return case when t.queue = 'cpu' then t.cores else greatest(t.gpus, 1) end;

-- How many jobs of a task have each status: the sums of its stripes, in one row.
create function status_counts(the_task integer)
returns table (
    registered bigint, assigned bigint, testing bigint, running bigint, failed bigint, done bigint, kill bigint,
    killed bigint, broken bigint
)
stable parallel safe language sql
begin atomic
    select
        coalesce(sum(c.registered), 0)::bigint, coalesce(sum(c.assigned), 0)::bigint,
        coalesce(sum(c.testing), 0)::bigint, coalesce(sum(c.running), 0)::bigint,
        coalesce(sum(c.failed), 0)::bigint, coalesce(sum(c.done), 0)::bigint,
        coalesce(sum(c.kill), 0)::bigint, coalesce(sum(c.killed), 0)::bigint,
        coalesce(sum(c.broken), 0)::bigint
    from task_count c
    where c.task_id = the_task;
end;
