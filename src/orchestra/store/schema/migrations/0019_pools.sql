-- Pools: pilots that an engine (a batch system such as Slurm) starts when there is work, and that leave when there is none.

-- engine: which batch system (pools/engines). account: the Unix account whose pilots it has, which is that of the process
-- that submits them; null until one has. serves_all: they run the jobs of all accounts. spec: what is asked of the engine,
-- with the fields of PoolSpec (domain/models/pools.py). walltime: seconds of an allocation; null for the engine's default.
-- min_work: seconds of work that justify one more pilot. idle: seconds without a job after which a pilot leaves.
-- refusals: submissions that were refused since the last that was accepted. early_ends: allocations that ended before they
-- ran a job since the last that did. not_before: nothing is submitted until then. trouble: the engine's words about that.
-- silent_since: since when the engine does not answer, and silence what its commands said.
-- decision: the latest one, with the fields of Decision. deletion: what becomes of its allocations.
create table pool (
    id           integer generated always as identity primary key,
    name         text not null unique,
    engine       text not null,
    owner_id     integer references person on delete set null,
    account      text,
    serves_all   boolean not null default false,
    spec         jsonb not null,
    max_pilots   integer not null check (max_pilots > 0),
    min_pilots   integer not null default 0 check (min_pilots >= 0 and min_pilots <= max_pilots),
    max_pending  integer not null check (max_pending > 0),
    walltime     double precision check (walltime > 0),
    min_work     double precision not null check (min_work >= 0),
    idle         double precision not null check (idle >= 0),
    created_at   timestamptz not null default now(),
    paused_at    timestamptz,
    paused_by    text,
    pause_reason text,
    refusals     integer not null default 0,
    early_ends   integer not null default 0,
    not_before   timestamptz,
    trouble      text,
    silent_since timestamptz,
    silence      text,
    decision     jsonb,
    decided_at   timestamptz,
    deletion     text check (deletion in ('drain', 'now')),
    check ((paused_at is null) = (paused_by is null))
);

-- One submission to the engine, from before it is made. engine_id: the engine's name for it. word: the engine's latest word
-- about it, and reason its explanation. nodes: machines in it, each with a pilot. ends_at: when the engine takes it back.
-- first_job_at: when the first attempt began in it. cancelled_at: when it was asked to end.
create table allocation (
    id           uuid primary key,
    pool_id      integer not null references pool on delete cascade,
    engine_id    text,
    state        text not null check (
        state in ('SUBMITTING', 'PENDING', 'STARTING', 'SERVING', 'LEAVING', 'ENDED', 'UNKNOWN')
    ),
    word         text,
    reason       text,
    nodes        integer not null default 1 check (nodes > 0),
    submitted_at timestamptz not null default now(),
    started_at   timestamptz,
    ends_at      timestamptz,
    first_job_at timestamptz,
    seen_at      timestamptz,
    cancelled_at timestamptz,
    ended_at     timestamptz,
    check ((ended_at is not null) = (state = 'ENDED'))
);
create index allocation_of_pool on allocation (pool_id, submitted_at);
create index allocation_live on allocation (pool_id) where ended_at is null;

-- The node of a pilot in an allocation is made by that pilot, under a name of its own (domain/pools/names.py). It ends with
-- its pilot; the row is kept, with gone_at, for the attempts that ran there.
alter table node
    add column pool_id integer references pool on delete set null,
    add column allocation_id uuid references allocation on delete set null,
    add column ends_at timestamptz,
    add column gone_at timestamptz;
create index node_of_allocation on node (allocation_id) where allocation_id is not null;
create index node_there on node (name) where gone_at is null;

-- Events of pools: created, changed, paused, and so on.
alter table event add column pool_id integer;
