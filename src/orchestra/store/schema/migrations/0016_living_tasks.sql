-- What is recorded with a task besides its command, what can be changed while it lives, and which files a data set has.

-- max_running: how many of its jobs may be assigned or running at a time; null is no limit.
-- goal: the metric that decides which job is best, as "min:NAME" or "max:NAME".
-- attach_report: whether the mail at its end has the task's report.
-- origin: where its program came from: script, checksum, interpreter, git commit. Written by the command that creates it.
alter table task
    add column max_running integer check (max_running > 0),
    add column goal text,
    add column attach_report boolean not null default false,
    add column origin jsonb;

-- What the holder's program knows (store/cluster/leader.py), in which term. Programs of schema 15 write neither, and know
-- no max_running: they would release more jobs.
alter table leader
    add column level integer,
    add column level_term bigint;

-- The jobs of one task that wait before a retry: they take none of the places that max_running allows. The condition
-- means "not null", in words that keep statements for all tasks on job_not_before.
create index job_delayed on job (task_id, not_before) where not_before > '-infinity';

-- Revisions. What the jobs of a task are started with can change while it lives: `revision` counts from 1. A superseded
-- revision is kept, because attempts that were claimed with it run on with it.
alter table task add column revision integer not null default 1;

-- revision: the one that the attempt was claimed with. New rows have no default, so that the trigger below recognizes
-- claims of pilots that know no revisions.
alter table attempt add column revision integer not null default 1;
alter table attempt alter column revision drop default;

-- What a revision was, and who replaced it, when and by what. Written when it is replaced; queue never changes.
create table superseded_revision (
    task_id           integer not null references task on delete cascade,
    number            integer not null,
    queue             queue not null,
    config_version_id integer not null references dataset_version,
    command           text not null,
    cores             integer not null,
    gpus              integer not null,
    memory_bytes      bigint,
    timeout           double precision,
    grace             double precision not null,
    origin            jsonb,
    replaced_at       timestamptz not null default now(),
    replaced_by       text not null,
    why               text not null,
    primary key (task_id, number)
);
create index superseded_config on superseded_revision (config_version_id);

create table superseded_input (
    task_id    integer not null,
    number     integer not null,
    tag        text not null,
    version_id integer not null references dataset_version,
    primary key (task_id, number, tag),
    foreign key (task_id, number) references superseded_revision on delete cascade
);
create index superseded_input_version on superseded_input (version_id);

-- The slots that one job takes of its queue.
create function slots(queue queue, cores integer, gpus integer) returns integer immutable parallel safe language sql
return case when queue = 'cpu' then cores else greatest(gpus, 1) end;

-- Every revision of every task. Both halves are found by their keys (task_id, number).
create view revision as
select
    t.id as task_id, t.revision as number, t.queue, t.config_version_id, t.command, t.cores, t.gpus, t.memory_bytes,
    t.timeout, t.grace, t.origin, slots(t.queue, t.cores, t.gpus) as slots
from task t
union all
select
    s.task_id, s.number, s.queue, s.config_version_id, s.command, s.cores, s.gpus, s.memory_bytes,
    s.timeout, s.grace, s.origin, slots(s.queue, s.cores, s.gpus)
from superseded_revision s;

create view revision_input as
select t.id as task_id, t.revision as number, i.tag, i.version_id
from task t
join task_input i on i.task_id = t.id
union all
select task_id, number, tag, version_id from superseded_input;

-- Pilots of schema 15 read this before they claim. They know no revisions and would run a job under what they remember of
-- its task, so no node of theirs has enough slots for a task that was changed.
create or replace function slots_of(t task) returns integer immutable parallel safe language sql
return case when t.revision > 1 then 2147483647 else slots(t.queue, t.cores, t.gpus) end;

-- knows_revisions: whether the agent does, so that people are told why a changed task waits. False of schema 15's.
alter table pilot add column knows_revisions boolean not null default false;

-- The same for a claim that had read its task just before the change: it begins again. An attempt that is adopted
-- after the restore of an older database has no request.
create function claim_without_revision() returns trigger language plpgsql as $$
begin
    select revision into new.revision from task where id = new.task_id;
    if new.revision > 1 and new.request > 0 then
        raise exception 'task % was changed', new.task_id using errcode = 'serialization_failure';
    end if;
    new.revision := coalesce(new.revision, 1);
    return new;
end
$$;
create trigger claim_without_revision before insert on attempt
    for each row when (new.revision is null) execute function claim_without_revision();

-- How the files of a version were chosen, with the fields of FileChoice (domain/models/datasets.py), so that an update
-- chooses in the same way; null for all files that are not skipped by default.
alter table dataset_version add column choice jsonb;

-- Configs that change while a task lives. A job keeps its number by the path of its config; so the task may need a list
-- of configs of its own, in the order of its jobs: a version without a data set. based_on: the version of the data set
-- that it was made of; null for an older task's outputs.
alter table dataset_version add column based_on integer references dataset_version;
create index dataset_version_based_on on dataset_version (based_on) where based_on is not null;

-- The folder that the paths of a version's files are below.
create function folder_of(v dataset_version) returns text immutable parallel safe language sql
return case when v.is_folder then v.root else coalesce(nullif(regexp_replace(v.root, '/[^/]*$', ''), ''), '/') end;

-- removed: its config is no longer among the task's files. Such a job is killed or done, or is being ended, and is not
-- run again before the file comes back. Of a task's killed jobs, task_count.removed are removed ones.
alter table job add column removed boolean not null default false;
create index job_removed on job (task_id, ordinal) where removed;
alter table task_count add column removed bigint not null default 0;

-- How many jobs of a task are removed and not done.
create function removed_jobs(the_task integer) returns table (removed bigint) stable parallel safe language sql
begin atomic
    select coalesce(sum(c.removed), 0)::bigint from task_count c where c.task_id = the_task;
end;

-- As it was, and it counts the removed jobs.
create or replace function job_changed() returns trigger language plpgsql
set enable_nestloop = off set enable_hashjoin = on as $$
declare
    wrong record;
    claimable record;
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
        (task_id, stripe, registered, assigned, testing, running, failed, done, kill, killed, broken, removed)
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
        coalesce(sum(change) filter (where figure = 'broken'), 0),
        coalesce(sum(change) filter (where removed), 0)
    from (
        select task_id, figure, removed, sum(change) as change
        from (
            select
                task_id, job_figure(state, is_test, kill_requested, keeper_id is not null) as figure,
                removed and state = 'killed' as removed, -1 as change
            from old_jobs
            union all
            select
                task_id, job_figure(state, is_test, kill_requested, keeper_id is not null),
                removed and state = 'killed', 1
            from new_jobs
        ) as both_sides
        group by task_id, figure, removed
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
        broken = c.broken + excluded.broken,
        removed = c.removed + excluded.removed;

    for claimable in
        select task_id, turn, min(ordinal) as first from new_jobs
        where state = 'assigned' and keeper_id is null and not_before is null
        group by task_id, turn
        order by task_id, turn
    loop
        perform lower_job_floor(claimable.task_id, claimable.turn, claimable.first);
    end loop;
    return null;
end
$$;
