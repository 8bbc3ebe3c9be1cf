-- The contract: what the database keeps, and what it refuses to keep. docs/schema.md explains it.
--
-- Mass tables (dataset_file, job, attempt, event) have no foreign keys: a million checks take seconds, and only
-- statements that hold the task's row write there. Everything small has them.

create type queue as enum ('cpu', 'gpu');
create type task_state as enum
    ('REGISTERED', 'TESTING', 'RUNNING', 'DONE', 'FINALIZED', 'BROKEN', 'KILL', 'KILLED');
create type job_state as enum
    ('registered', 'assigned', 'running', 'done', 'failed', 'killed', 'broken');

-- Which database this is. A restore or a copy gives another system identifier or timeline; then the epoch is raised
-- and, while it settles, nothing is claimed, moved, ended or reaped before the keepers have said what they run.
create table cluster (
    singleton         boolean primary key default true check (singleton),
    id                uuid not null default gen_random_uuid(),
    epoch             integer not null default 1,
    settling_since    timestamptz,
    settling_reason   text,
    system_identifier text not null,
    timeline          integer not null,
    protocol          integer not null,
    oldest_protocol   integer not null,
    created_at        timestamptz not null default now(),
    check (oldest_protocol <= protocol),
    check ((settling_since is null) = (settling_reason is null))
);

-- Who carries out a duty for all. held_since: since when somebody does without a gap, whoever it is. beat: counts
-- renewals and never goes back, unless the database does.
create table leader (
    duty        text primary key,
    term        bigint not null default 0,
    holder      text,
    holder_name text,
    preferred   boolean not null default false,
    expires     timestamptz not null default '-infinity',
    beat        bigint not null default 0,
    held_since  timestamptz not null default now()
);
insert into leader (duty) values ('conductor');

create table person (
    id         integer generated always as identity primary key,
    name       text not null unique,
    email      text not null,
    is_admin   boolean not null default false,
    created_at timestamptz not null default now()
);

create table node (
    id           integer generated always as identity primary key,
    name         text not null unique,
    cpu_enabled  integer not null,
    cpu_max      integer not null,
    gpu_enabled  integer not null,
    gpu_max      integer not null,
    drained_at   timestamptz,
    drained_by   text,
    drain_reason text,
    lost_at      timestamptz,
    created_at   timestamptz not null default now(),
    check (0 <= cpu_enabled and cpu_enabled <= cpu_max),
    check (0 <= gpu_enabled and gpu_enabled <= gpu_max),
    check ((drained_at is null) = (drained_by is null))
);

-- The agent that decides for a node; at most one. Agents come and go, keepers are what attempts belong to.
create table pilot (
    node_id     integer primary key references node on delete cascade,
    agent       uuid not null,
    machine_id  text not null,
    boot_id     text not null,
    host        text not null,
    pid         integer not null,
    account     text not null,
    is_root     boolean not null,
    serve_all   boolean not null,
    may_conduct boolean not null,
    version     text not null,
    protocol    integer not null,
    runtimes    text[] not null default '{}',
    message     text,
    leave       boolean not null default false,
    leave_now   boolean not null default false,
    started_at  timestamptz not null default now(),
    seen_at     timestamptz not null default now(),
    gone_at     timestamptz
);

-- lease_until is infinite where the jobs outlive the lease. epoch: the cluster's when it last said what it runs.
create table keeper (
    id              uuid primary key,
    node_id         integer not null references node on delete cascade,
    machine_id      text not null,
    boot_id         text not null,
    host            text not null,
    pid             integer not null,
    version         text not null,
    protocol        integer not null,
    last_request    bigint not null default 0,
    report_sequence bigint not null default 0,
    epoch           integer not null default 0,
    started_at      timestamptz not null default now(),
    renewed_at      timestamptz not null default now(),
    lease_until     timestamptz not null,
    fenced_at       timestamptz,
    fence_reason    text,
    gone_at         timestamptz,
    check ((fenced_at is null) = (fence_reason is null))
);
create index keeper_of_node on keeper (node_id) where gone_at is null;

create table dataset (
    id         integer generated always as identity primary key,
    name       text not null,
    owner_id   integer not null references person,
    created_at timestamptz not null default now(),
    deleted_at timestamptz
);
create unique index dataset_name on dataset (name) where deleted_at is null;

-- A version without a data set belongs to one task: the outputs of an older task, taken as inputs.
create table dataset_version (
    id         integer generated always as identity primary key,
    dataset_id integer references dataset on delete cascade,
    number     integer not null default 1,
    root       text not null,
    is_folder  boolean not null,
    files      integer not null,
    bytes      bigint not null,
    created_at timestamptz not null default now(),
    unique (dataset_id, number)
);

create table dataset_file (
    version_id integer not null,
    ordinal    integer not null,
    path       text not null,
    size       bigint,
    mtime_ns   bigint,
    sha256     bytea check (length(sha256) = 32),
    primary key (version_id, ordinal),
    check ((size is null) = (sha256 is null) and (size is null) = (mtime_ns is null))
);

create table task (
    id                integer generated always as identity (minvalue 0 start 0) primary key,
    name              text not null,
    owner_id          integer not null references person,
    account           text not null,
    idempotency_key   text,
    queue             queue not null,
    state             task_state not null default 'REGISTERED',
    run               integer not null default 1,
    rank              integer,
    -- what to do
    command           text not null,
    image             text,
    config_version_id integer not null references dataset_version,
    volume            text not null,
    folder            text not null,
    complete_file     text,
    env               jsonb not null default '{}',
    -- policy; times in seconds
    test_jobs         integer not null default 10 check (test_jobs >= 0),
    test_for          double precision check (test_for > 0),
    retries           integer not null default 0 check (retries >= 0),
    timeout           double precision check (timeout > 0),
    grace             double precision not null default 30 check (grace >= 0),
    priority          integer not null default 0,
    max_fails         integer check (max_fails > 0),
    max_fails_percent double precision check (max_fails_percent > 0 and max_fails_percent <= 100),
    fails_forgiven    integer not null default 0,
    resume            boolean not null default false,
    -- resources of one job
    cores             integer not null default 1 check (cores > 0),
    gpus              integer not null default 0 check (gpus >= 0),
    memory_bytes      bigint check (memory_bytes > 0),
    -- marks
    held_at           timestamptz,
    held_by           text,
    held_reason       text,
    first_in_line     boolean not null default false,
    deleted_at        timestamptz,
    -- a mass move that is under way, and the first ordinal that it has not reached yet
    intent            text check (intent in ('end_test', 'break', 'kill', 'retry', 'retry_all')),
    intent_from       integer not null default 0,
    intent_by         text,
    intent_reason     text,
    -- what came of it
    jobs              integer not null check (jobs > 0),
    typical_seconds   double precision,
    created_at        timestamptz not null default now(),
    state_at          timestamptz not null default now(),
    test_started_at   timestamptz,
    work_started_at   timestamptz,
    ended_at          timestamptz,
    check ((ended_at is not null) = (state in ('DONE', 'FINALIZED', 'BROKEN', 'KILLED'))),
    check ((held_at is null) = (held_by is null) and (held_at is null) = (held_reason is null)),
    check (held_at is null or ended_at is null),
    check (rank is null or state in ('TESTING', 'RUNNING')),
    check (deleted_at is null or ended_at is not null),
    check ((intent is null) = (intent_by is null))
);
create unique index task_name on task (name) where deleted_at is null;
create unique index task_idempotency on task (owner_id, idempotency_key);
create index task_live on task (id) where ended_at is null;
create index task_moving on task (id) where intent is not null;
create index task_deleted on task (id) where deleted_at is not null;
-- What a claim walks: tasks with jobs to hand out, best first.
create index task_rank on task (queue, rank, id) where rank is not null;

-- What stands for each tag but %IN and %OUT.
create table task_input (
    task_id    integer not null references task on delete cascade,
    tag        text not null,
    version_id integer not null references dataset_version,
    primary key (task_id, tag)
);
create index task_input_version on task_input (version_id);
create index task_config_version on task (config_version_id);

-- One row a config file. turn 0 is first in line (a retry), 1 is in order.
create table job (
    task_id        integer not null,
    ordinal        integer not null,
    state          job_state not null default 'registered',
    turn           smallint not null default 1,
    is_test        boolean not null default false,
    kill_requested boolean not null default false,
    attempt        integer not null default 0,
    done_attempt   integer,
    failures       smallint not null default 0,
    losses         smallint not null default 0,
    keeper_id      uuid,
    not_before     timestamptz,
    changed_at     timestamptz not null default now(),
    primary key (task_id, ordinal),
    check (state <> 'running' or (keeper_id is not null and attempt > 0)),
    check (keeper_id is null or state in ('assigned', 'running')),
    check (state <> 'done' or done_attempt is not null),
    check (not_before is null or (state = 'assigned' and keeper_id is null))
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
-- What a claim walks. Its predicate is the claim's own where clause, its order the claim's order.
create index job_claimable on job (task_id, turn, ordinal)
    where state = 'assigned' and keeper_id is null and not_before is null;
-- What a release walks.
create index job_waiting on job (task_id, turn, ordinal) where state = 'registered';
-- The few jobs of tests that are under way, the jobs that keepers hold, those that wait for their time to come.
create index job_test on job (task_id) where is_test;
create index job_claimed on job (task_id) where keeper_id is not null;
create index job_not_before on job (not_before) where not_before is not null;
-- For `job list --state`: the states that people look for (those with a keeper stand in job_claimed).
create index job_notable on job (task_id, state, ordinal) where state in ('failed', 'killed', 'broken');

create table attempt (
    task_id       integer not null,
    ordinal       integer not null,
    number        integer not null check (number > 0),
    token         uuid not null,
    keeper_id     uuid not null,
    node_id       integer not null,
    request       bigint not null,
    run           integer not null,
    is_test       boolean not null,
    folder_number integer not null,
    config_sha256 bytea check (length(config_sha256) = 32),
    claimed_at    timestamptz not null default now(),
    started_at    timestamptz,
    ended_at      timestamptz,
    lost_at       timestamptz,
    accepted      boolean,
    sequence      bigint,
    devices       text,
    cause         text,
    exit_status   integer,
    signal        integer,
    reason        text,
    seconds       double precision,
    cpu_seconds   double precision,
    max_rss_bytes bigint,
    log_bytes     bigint,
    log_tail      bytea,
    primary key (task_id, ordinal, number),
    check ((ended_at is null) = (cause is null)),
    check ((ended_at is null) = (accepted is null)),
    check (exit_status is null or signal is null)
) with (fillfactor = 85);
-- Open attempts: what a keeper holds, what a node runs.
create index attempt_open on attempt (node_id, keeper_id) where ended_at is null and lost_at is null;

-- Counts are exact and cost the same for ten jobs and for ten million: one column a figure, changed in the transaction
-- that changes the jobs, spread over 16 rows so that pilots do not wait for each other. Listing sums the stripes.
create table task_count (
    task_id    integer not null,
    stripe     smallint not null check (stripe between 0 and 15),
    registered bigint not null default 0,
    assigned   bigint not null default 0,
    testing    bigint not null default 0,
    running    bigint not null default 0,
    failed     bigint not null default 0,
    done       bigint not null default 0,
    kill       bigint not null default 0,
    killed     bigint not null default 0,
    broken     bigint not null default 0,
    primary key (task_id, stripe)
) with (fillfactor = 50);

-- Every change of a state, one row; a mass move is one row with its number of jobs. Readers page by (xid, id) below the
-- oldest running transaction, so that a row that commits late is not missed.
create table event (
    id         bigint generated always as identity primary key,
    xid        xid8 not null default pg_current_xact_id(),
    at         timestamptz not null default now(),
    kind       text not null,
    task_id    integer,
    ordinal    integer,
    attempt    integer,
    node_id    integer,
    from_state text,
    to_state   text,
    jobs       integer,
    who        text not null,
    why        text
);
create index event_of_task on event (task_id, ordinal, id);
create index event_by_transaction on event (xid, id);

create table outbox (
    id         bigint generated always as identity primary key,
    message_id text not null unique,
    kind       text not null,
    person_id  integer references person on delete cascade,
    task_id    integer,
    payload    jsonb not null default '{}',
    created_at timestamptz not null default now(),
    next_try   timestamptz not null default now(),
    tries      integer not null default 0,
    sent_at    timestamptz,
    refused_at timestamptz,
    last_error text
);
create index outbox_waiting on outbox (next_try) where sent_at is null and refused_at is null;

-- The figure in which a job is counted; domain/states.py says the same, and a test compares the two.
create function job_figure(state job_state, is_test boolean, kill_requested boolean, claimed boolean)
returns text immutable parallel safe language sql as $$
    select case
        when kill_requested and claimed and state in ('assigned', 'running') then 'kill'
        when state = 'running' and is_test then 'testing'
        else state::text
    end
$$;

-- The moves of domain/transitions.py; a test compares all pairs.
create function job_may_move(from_state job_state, to_state job_state)
returns boolean immutable parallel safe language sql as $$
    select case from_state
        when 'registered' then to_state in ('assigned', 'done', 'failed', 'killed', 'broken')
        when 'assigned' then to_state in ('registered', 'running', 'done', 'failed', 'killed', 'broken')
        when 'running' then to_state in ('assigned', 'done', 'failed', 'killed')
        when 'done' then to_state = 'registered'
        when 'failed' then to_state in ('registered', 'done', 'killed', 'broken')
        when 'killed' then to_state in ('registered', 'done', 'broken')
        when 'broken' then to_state in ('registered', 'done', 'killed')
    end
$$;

create function task_may_move(from_state task_state, to_state task_state)
returns boolean immutable parallel safe language sql as $$
    select case from_state
        when 'REGISTERED' then to_state in ('TESTING', 'RUNNING', 'KILL')
        when 'TESTING' then to_state in ('RUNNING', 'BROKEN', 'KILL')
        when 'RUNNING' then to_state in ('DONE', 'FINALIZED', 'KILL')
        when 'KILL' then to_state = 'KILLED'
        else to_state in ('REGISTERED', 'RUNNING')
    end
$$;

-- One statement that changes jobs, one pass over what it changed: wrong moves are refused, the counts follow. Plans of
-- a trigger are made for the first statement of a connection and kept: with nested loops, one that began with a single
-- job would take seconds for the 5,000 of a mass move.
create function job_changed() returns trigger language plpgsql set enable_nestloop = off as $$
declare
    wrong record;
begin
    select o.task_id, o.ordinal, o.state as was, n.state as wanted into wrong
    from old_jobs o join new_jobs n using (task_id, ordinal)
    where o.state <> n.state and not job_may_move(o.state, n.state)
    limit 1;
    if found then
        raise exception 'job %/% may not go from % to %', wrong.task_id, wrong.ordinal, wrong.was, wrong.wanted
            using errcode = 'check_violation';
    end if;

    insert into task_count as c
        (task_id, stripe, registered, assigned, testing, running, failed, done, kill, killed, broken)
    select
        task_id, pg_backend_pid() % 16,
        coalesce(sum(change) filter (where figure = 'registered'), 0),
        coalesce(sum(change) filter (where figure = 'assigned'), 0),
        coalesce(sum(change) filter (where figure = 'testing'), 0),
        coalesce(sum(change) filter (where figure = 'running'), 0),
        coalesce(sum(change) filter (where figure = 'failed'), 0),
        coalesce(sum(change) filter (where figure = 'done'), 0),
        coalesce(sum(change) filter (where figure = 'kill'), 0),
        coalesce(sum(change) filter (where figure = 'killed'), 0),
        coalesce(sum(change) filter (where figure = 'broken'), 0)
    from (
        select task_id, figure, sum(change) as change
        from (
            select task_id, job_figure(state, is_test, kill_requested, keeper_id is not null) as figure, -1 as change
            from old_jobs
            union all
            select task_id, job_figure(state, is_test, kill_requested, keeper_id is not null), 1
            from new_jobs
        ) as both_sides
        group by task_id, figure
        having sum(change) <> 0
    ) as changes
    group by task_id
    order by task_id
    on conflict (task_id, stripe) do update set
        registered = c.registered + excluded.registered,
        assigned = c.assigned + excluded.assigned,
        testing = c.testing + excluded.testing,
        running = c.running + excluded.running,
        failed = c.failed + excluded.failed,
        done = c.done + excluded.done,
        kill = c.kill + excluded.kill,
        killed = c.killed + excluded.killed,
        broken = c.broken + excluded.broken;
    return null;
end
$$;
create trigger job_changed after update on job
    referencing old table as old_jobs new table as new_jobs
    for each statement execute function job_changed();

create function task_changed() returns trigger language plpgsql as $$
begin
    if not task_may_move(old.state, new.state) then
        raise exception 'task % may not go from % to %', old.id, old.state, new.state
            using errcode = 'check_violation';
    end if;
    new.state_at := now();
    return new;
end
$$;
create trigger task_changed before update of state on task
    for each row when (old.state is distinct from new.state) execute function task_changed();

-- The timeline that is written to now; that of the last checkpoint may still be the one before a recovery.
create function this_timeline() returns integer stable language sql as $$
    select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer
$$;

insert into cluster (system_identifier, timeline, protocol, oldest_protocol)
select system_identifier::text, this_timeline(), 1, 1 from pg_control_system();
