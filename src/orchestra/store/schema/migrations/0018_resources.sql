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

-- What the running jobs of a user may take together; null for no limit. Counted in claims, which lock the row.
-- shares: the weight in the order between users.
alter table person
    add column shares double precision not null default 1 check (shares > 0),
    add column limit_cpus integer check (limit_cpus >= 0),
    add column limit_gpu_milli integer check (limit_gpu_milli >= 0),
    add column limit_running integer check (limit_running >= 0);

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

-- What ended attempts asked for and used, by the day on which they ended. Kept when tasks, nodes and users are deleted, so
-- it has names. Times are in seconds; memory in byte seconds. failed_: of attempts that failed; lost_: of those that were
-- lost, pre-empted or ended with their node.
create table usage_daily (
    day             date not null,
    task_id         integer not null,
    node_id         integer not null,
    task            text not null,
    owner           text not null,
    node            text not null,
    queue           queue not null,
    attempts        bigint not null default 0,
    seconds         double precision not null default 0,
    cpu_requested   double precision not null default 0,
    cpu_used        double precision not null default 0,
    gpu_requested   double precision not null default 0,
    gpu_used        double precision not null default 0,
    memory_requested double precision not null default 0,
    memory_used     double precision not null default 0,
    failed_cpu      double precision not null default 0,
    failed_gpu      double precision not null default 0,
    lost_cpu        double precision not null default 0,
    lost_gpu        double precision not null default 0,
    last_ended_at   timestamptz not null,
    primary key (day, task_id, node_id)
);
