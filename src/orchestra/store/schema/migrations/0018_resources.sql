-- What jobs need and nodes have besides slots; which nodes a task may use, and when; limits and shares of users; and what
-- was used.

-- Where the jobs of a task may run. Never changes; tasks that ask for the same share a row, so that a pilot evaluates
-- each once (domain/placement.py). constraint_text: an expression over labels, '' for none. nodes: the only ones, empty
-- for all.
create table placement (
    id              integer generated always as identity primary key,
    constraint_text text not null default '',
    nodes           text[] not null default '{}',
    not_nodes       text[] not null default '{}',
    unique (constraint_text, nodes, not_nodes)
);

-- cpus_gpu_job: CPU slots that a job of the gpu queue takes; one of the cpu queue takes `cores`.
-- gpu_milli: thousandths of one GPU; null for `gpus` whole ones. vram_bytes: memory that it needs on each GPU.
-- scratch_bytes: room that it needs on the node's own disk. exclusive: it is alone on its node.
-- walltime: seconds that a job is expected to take at most. p95_seconds: the 95th percentile of its done jobs.
alter table task
    add column cpus_gpu_job integer not null default 0 check (cpus_gpu_job >= 0),
    add column gpu_milli integer check (gpu_milli between 1 and 999),
    add column vram_bytes bigint check (vram_bytes > 0),
    add column scratch_bytes bigint check (scratch_bytes > 0),
    add column exclusive boolean not null default false,
    add column walltime double precision check (walltime > 0),
    add column placement_id integer references placement,
    add column p95_seconds double precision;

alter table superseded_revision
    add column cpus_gpu_job integer not null default 0,
    add column gpu_milli integer,
    add column vram_bytes bigint,
    add column scratch_bytes bigint,
    add column exclusive boolean not null default false,
    add column placement_id integer references placement;

-- What one job takes: CPU slots, and thousandths of GPUs.
create function cpus_taken(queue queue, cores integer, cpus_gpu_job integer)
returns integer immutable parallel safe language sql
return case when queue = 'cpu' then cores else cpus_gpu_job end;

create function gpu_milli_taken(queue queue, gpus integer, gpu_milli integer)
returns integer immutable parallel safe language sql
return case when queue = 'cpu' then 0 else coalesce(gpu_milli, 1000 * greatest(gpus, 1)) end;

-- Seconds within which a job ends in all likelihood; null if nothing is known. As in domain/expected_time.py.
create function expected_seconds(walltime double precision, timeout double precision, p95_seconds double precision)
returns double precision immutable parallel safe language sql
return coalesce(walltime, timeout, 1.25 * p95_seconds);

create or replace view revision as
select
    t.id as task_id, t.revision as number, t.queue, t.config_version_id, t.command, t.cores, t.gpus, t.memory_bytes,
    t.timeout, t.grace, t.origin, slots(t.queue, t.cores, t.gpus) as slots,
    cpus_taken(t.queue, t.cores, t.cpus_gpu_job) as cpus, gpu_milli_taken(t.queue, t.gpus, t.gpu_milli) as gpu_milli_taken,
    t.cpus_gpu_job, t.gpu_milli, t.vram_bytes, t.scratch_bytes, t.exclusive, t.placement_id
from task t
union all
select
    s.task_id, s.number, s.queue, s.config_version_id, s.command, s.cores, s.gpus, s.memory_bytes,
    s.timeout, s.grace, s.origin, slots(s.queue, s.cores, s.gpus),
    cpus_taken(s.queue, s.cores, s.cpus_gpu_job), gpu_milli_taken(s.queue, s.gpus, s.gpu_milli),
    s.cpus_gpu_job, s.gpu_milli, s.vram_bytes, s.scratch_bytes, s.exclusive, s.placement_id
from superseded_revision s;

-- Pilots of schema 15 read this before they claim. They know only slots and memory limits, so no node of theirs has enough
-- slots for a task that needs more than that, or that was changed.
create or replace function slots_of(t task) returns integer immutable parallel safe language sql
return case
    when t.revision > 1 or t.cpus_gpu_job > 0 or t.gpu_milli is not null or t.vram_bytes is not null
        or t.scratch_bytes is not null or t.exclusive or t.placement_id is not null
    then 2147483647
    else slots(t.queue, t.cores, t.gpus)
end;

-- memory_bytes: what the operator enabled; null for all that its pilot finds. labels: those that were set by a person.
-- nice: what is added to the niceness of jobs. open_hours: when jobs may run (domain/opening_hours.py), null for always.
-- drain_at: when the node will be drained, by whom and why.
alter table node
    add column memory_bytes bigint check (memory_bytes > 0),
    add column labels jsonb not null default '{}',
    add column nice integer not null default 0 check (nice between 0 and 19),
    add column open_hours text,
    add column drain_at timestamptz,
    add column drain_at_by text,
    add column drain_at_reason text,
    add check ((drain_at is null) = (drain_at_by is null));

-- Whether no new job starts on a node, also before the conductor has noted that the moment of a planned drain has come.
create function is_drained(n node) returns boolean stable parallel safe language sql
return n.drained_at is not null or coalesce(n.drain_at <= now(), false);

-- Seconds until a planned drain; null if none is.
create function drain_in(n node) returns double precision stable parallel safe language sql
return extract(epoch from n.drain_at - now())::double precision;

-- found: what the agent finds on its machine, with the fields of FoundResources (domain/models/nodes.py); null of schema 15's,
-- which know slots only. closes_at: when the node's hours end, by its own clock; opens_at: when they begin again; both null
-- for a node without hours, opens_at is null while it is open. utc_offset: how far its clock is ahead of UTC, in seconds.
-- knows_hours: the agent, if it keeps to the node's hours. Null or an earlier agent if it is of schema 15.
alter table pilot
    add column found jsonb,
    add column opens_at timestamptz,
    add column closes_at timestamptz,
    add column utc_offset integer,
    add column knows_hours uuid;

-- What the running jobs of a user may take together; null for no limit. Counted in claims (store/work/limits.sql).
-- shares: the weight in the order between users.
alter table person
    add column shares double precision not null default 1 check (shares > 0),
    add column limit_cpus integer check (limit_cpus >= 0),
    add column limit_gpu_milli integer check (limit_gpu_milli >= 0),
    add column limit_running integer check (limit_running >= 0);
create function has_limits(p person) returns boolean immutable parallel safe language sql
return p.limit_cpus is not null or p.limit_gpu_milli is not null or p.limit_running is not null;
create index person_limited on person (id)
    where limit_cpus is not null or limit_gpu_milli is not null or limit_running is not null;
create index task_of_owner on task (owner_id) where ended_at is null;

-- What a user has used lately, in CPU slots: halved in a day (domain/fair_share.py). Written by the conductor.
create table recent_use (
    person_id integer primary key references person on delete cascade,
    lately    double precision not null,
    at        timestamptz not null
);

-- The node that waits for the next job of a task, which fits on none now. Other jobs start there only if they end before
-- starts_at, null for unknown, or fit into what will be left beside it: spare_memory and spare_scratch in bytes, null for
-- unknown. moves: nodes that it had before. Written by the conductor (domain/reservation_plan.py); claims take from what is
-- left.
create table reservation (
    node_id         integer primary key references node on delete cascade,
    task_id         integer not null references task on delete cascade,
    starts_at       timestamptz,
    spare_cpus      integer not null,
    spare_gpu_milli integer not null,
    spare_memory    bigint,
    spare_scratch   bigint,
    moves           integer not null default 0,
    made_at         timestamptz not null default now()
);
create index reservation_of_task on reservation (task_id);

-- Seconds in which its devices computed, summed over them.
alter table attempt add column gpu_seconds double precision;

-- What ended attempts took, by the day (UTC) on which they ended. Kept when tasks, nodes and users are deleted, so it has
-- names. Only attempts that had a process count.
-- cpus, gpu_milli, memory_bytes: what each of them held, whether it used it or not.
-- done, failed, lost: how many ended so (way_of_ending); the others were killed.
-- seconds: how long they held that, together; failed_seconds, lost_seconds: those that failed or were lost.
-- cpu_seconds, gpu_seconds, memory_byte_seconds: what was measured.
-- A row is updated with each batch of outcomes, so there is room to do that in place.
create table usage_daily (
    day                 date not null,
    task_id             integer not null,
    revision            integer not null,
    node_id             integer not null,
    task                text not null,
    owner               text not null,
    node                text not null,
    queue               queue not null,
    cpus                integer not null,
    gpu_milli           integer not null,
    memory_bytes        bigint not null,
    attempts            bigint not null,
    done                bigint not null,
    failed              bigint not null,
    lost                bigint not null,
    seconds             double precision not null,
    failed_seconds      double precision not null,
    lost_seconds        double precision not null,
    cpu_seconds         double precision not null,
    gpu_seconds         double precision not null,
    memory_byte_seconds double precision not null,
    primary key (day, task_id, revision, node_id)
) with (fillfactor = 50);

-- counted: whether the statement that recorded the end has counted it in usage_daily; if not, the trigger below does.
alter table attempt add column counted boolean not null default false;

-- How an attempt ended: done, failed, killed or lost. A lost one has no observed end, came too late to count, or was ended
-- or could not run through no fault of its job.
create function way_of_ending(cause text, exit_status integer, accepted boolean)
returns text immutable parallel safe language sql
return case
    when cause is null or not accepted then 'lost'
    when cause = 'exit' and exit_status = 0 then 'done'
    when cause in ('exit', 'signal', 'out_of_memory', 'gpu_out_of_memory', 'timeout', 'not_complete') then 'failed'
    when cause = 'ended' then 'killed'
    else 'lost'
end;

-- How long an attempt held what it asked for: until it was given up, if its end is not known.
create function seconds_held(started_at timestamptz, ended_at timestamptz, lost_at timestamptz, seconds double precision)
returns double precision immutable parallel safe language sql
return case
    when ended_at is not null then coalesce(seconds, 0)
    else greatest(extract(epoch from lost_at - started_at)::double precision, 0)
end;

-- What one attempt adds to usage_daily; nothing if it is open or never had a process. For many attempts at once,
-- record_ends (store/work/reports.sql) does the same.
create function usage_of(a attempt)
returns table (
    day date, attempts bigint, done bigint, failed bigint, lost bigint,
    seconds double precision, failed_seconds double precision, lost_seconds double precision,
    cpu_seconds double precision, gpu_seconds double precision, memory_byte_seconds double precision
)
immutable parallel safe language sql
begin atomic
    select
        (coalesce(a.ended_at, a.lost_at) at time zone 'UTC')::date,
        1::bigint, (e.ending = 'done')::integer::bigint, (e.ending = 'failed')::integer::bigint,
        (e.ending = 'lost')::integer::bigint,
        e.seconds,
        case when e.ending = 'failed' then e.seconds else 0 end,
        case when e.ending = 'lost' then e.seconds else 0 end,
        coalesce(a.cpu_seconds, 0), coalesce(a.gpu_seconds, 0), coalesce(a.max_rss_bytes * e.seconds, 0)
    from (
        select
            way_of_ending(a.cause, a.exit_status, a.accepted) as ending,
            seconds_held(a.started_at, a.ended_at, a.lost_at, a.seconds) as seconds
    ) as e
    where a.started_at is not null and not is_open(a);
end;

-- The first columns of the rows of usage_daily: whose a revision of a task is, and what its jobs hold of a node. An
-- exclusive one holds all that is enabled.
create function usage_row(the_task integer, revision integer, the_node integer)
returns table (
    task text, owner text, node text, queue queue, cpus integer, gpu_milli integer, memory_bytes bigint
)
stable parallel safe language sql
begin atomic
    select
        t.name, p.name, coalesce(n.name, '(deleted)'), r.queue,
        greatest(r.cpus, case when r.exclusive then n.cpu_enabled end),
        greatest(r.gpu_milli_taken, case when r.exclusive then 1000 * n.gpu_enabled end),
        coalesce(r.memory_bytes, 0)
    from task t
    join person p on p.id = t.owner_id
    join revision r on r.task_id = t.id and r.number = usage_row.revision
    left join node n on n.id = the_node
    where t.id = the_task;
end;

-- Adds to a row of usage_daily, which is made if there is none.
create function add_usage(
    day date, task_id integer, revision integer, node_id integer, attempts bigint, done bigint, failed bigint,
    lost bigint, seconds double precision, failed_seconds double precision, lost_seconds double precision,
    cpu_seconds double precision, gpu_seconds double precision, memory_byte_seconds double precision
)
returns void language sql
begin atomic
    insert into usage_daily as u
    select
        add_usage.day, add_usage.task_id, add_usage.revision, add_usage.node_id, r.*, add_usage.attempts,
        add_usage.done, add_usage.failed, add_usage.lost, add_usage.seconds, add_usage.failed_seconds,
        add_usage.lost_seconds, add_usage.cpu_seconds, add_usage.gpu_seconds, add_usage.memory_byte_seconds
    from usage_row(add_usage.task_id, add_usage.revision, add_usage.node_id) r
    on conflict on constraint usage_daily_pkey do update set
        attempts = u.attempts + excluded.attempts,
        done = u.done + excluded.done,
        failed = u.failed + excluded.failed,
        lost = u.lost + excluded.lost,
        seconds = u.seconds + excluded.seconds,
        failed_seconds = u.failed_seconds + excluded.failed_seconds,
        lost_seconds = u.lost_seconds + excluded.lost_seconds,
        cpu_seconds = u.cpu_seconds + excluded.cpu_seconds,
        gpu_seconds = u.gpu_seconds + excluded.gpu_seconds,
        memory_byte_seconds = u.memory_byte_seconds + excluded.memory_byte_seconds;
end;

-- Counts ends that pilots of schema 15 record, and outcomes of attempts that were counted as lost.
create function attempt_ended() returns trigger language plpgsql as $$
begin
    perform add_usage(
        u.day, new.task_id, new.revision, new.node_id, sign * u.attempts, sign * u.done, sign * u.failed, sign * u.lost,
        sign * u.seconds, sign * u.failed_seconds, sign * u.lost_seconds, sign * u.cpu_seconds, sign * u.gpu_seconds,
        sign * u.memory_byte_seconds
    )
    from (select -1 as sign, o.* from usage_of(old) o union all select 1, n.* from usage_of(new) n) as u;
    return null;
end
$$;
create trigger attempt_ended after update of ended_at, lost_at on attempt
    for each row when (old.ended_at is not null or old.lost_at is not null or not new.counted)
    execute function attempt_ended();

-- What has ended so far.
select add_usage(
    u.day, a.task_id, a.revision, a.node_id, sum(u.attempts)::bigint, sum(u.done)::bigint, sum(u.failed)::bigint,
    sum(u.lost)::bigint, sum(u.seconds), sum(u.failed_seconds), sum(u.lost_seconds), sum(u.cpu_seconds),
    sum(u.gpu_seconds), sum(u.memory_byte_seconds)
)
from attempt a
cross join lateral usage_of(a) u
group by u.day, a.task_id, a.revision, a.node_id;
