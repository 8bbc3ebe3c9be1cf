-- Where a claim begins to look. Below the floor of a (task, turn) no job can be claimed, so that a claim does not walk
-- past what the claims before it have taken, which stays in job_claimable for as long as anybody holds an old snapshot.
--
-- The row with the highest id counts; none says 0. It is replaced, never changed: read from the end of the key, the
-- newest is found at once, however many of its forerunners an old snapshot keeps. Small tasks get no rows.
create table job_floor (
    task_id integer not null,
    turn    smallint not null,
    id      bigint generated always as identity,
    ordinal integer not null,
    primary key (task_id, turn, id)
);

-- Who replaces a task's floors holds an advisory lock of the task until the commit, and looks again once it has it. So
-- a job that becomes claimable below a floor and a floor that rises above it never miss each other.
create function replace_job_floor(the_task integer, the_turn smallint, old_id bigint, new_ordinal integer)
returns void language sql as $$
    insert into job_floor (task_id, turn, ordinal) values (the_task, the_turn, new_ordinal);
    delete from job_floor where task_id = the_task and turn = the_turn and id = old_id;
$$;

-- A job becomes claimable: the floor is no higher than it. With the transaction that makes it so.
create function lower_job_floor(the_task integer, the_turn smallint, first integer) returns void language plpgsql as $$
declare
    floor record;
begin
    perform pg_advisory_xact_lock(731057, the_task);
    select id, ordinal into floor from job_floor
    where task_id = the_task and turn = the_turn
    order by id desc limit 1;
    if floor.ordinal > first then
        perform replace_job_floor(the_task, the_turn, floor.id, first);
    end if;
end
$$;

-- The floors rise to the first jobs that can be claimed, where that is at least `step` away. To be called in a
-- transaction of its own, which need not reach the disk: a lower floor costs time, nothing else.
create function raise_job_floor(the_task integer, step integer) returns void language plpgsql
set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    floor record;
    first integer;
begin
    perform set_config('synchronous_commit', 'off', true);
    if not pg_try_advisory_xact_lock(731057, the_task) then
        return;
    end if;
    for floor in
        select lines.turn, newest.id, coalesce(newest.ordinal, 0) as ordinal
        from (values (0::smallint), (1::smallint)) as lines (turn)
        left join lateral (
            select id, ordinal from job_floor
            where task_id = the_task and turn = lines.turn
            order by id desc limit 1
        ) as newest on true
    loop
        -- A range of turns: with one turn the order would be that of the primary key, too.
        select ordinal into first from job
        where task_id = the_task and turn <= floor.turn and (turn, ordinal) >= (floor.turn, floor.ordinal)
            and state = 'assigned' and keeper_id is null and not_before is null
        order by turn, ordinal limit 1;
        first := coalesce(first, 2147483647);
        if first - floor.ordinal >= step then
            perform replace_job_floor(the_task, floor.turn, floor.id, first);
        end if;
    end loop;
end
$$;

-- As it was, and it lowers the floors: also for pilots and conductors of the version before, which know of none.
-- First, what made jobs claimable without it comes to its end.
lock table job in exclusive mode;
create or replace function job_changed() returns trigger language plpgsql set enable_nestloop = off as $$
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
