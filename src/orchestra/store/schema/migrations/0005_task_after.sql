-- Which tasks a task waits for: a row goes when the other task is DONE, or when somebody lets it go. A task waits for
-- older ones alone, so nothing can wait in a circle. gives_configs: its configs are the other task's outputs, written
-- down when that is DONE. The other task may be deleted, hence no key to it, and its name here.
create table task_after (
    task_id       integer not null references task on delete cascade,
    after_id      integer not null,
    after_name    text not null,
    gives_configs boolean not null default false,
    primary key (task_id, after_id),
    check (after_id < task_id)
);

-- No task begins while it waits. The row is left as it is instead of an error: a conductor of the version before, which
-- has not heard of waiting, takes that for another one's doing and goes on with the next task.
create function task_waits() returns trigger language plpgsql as $$
begin
    if exists (select from task_after where task_id = old.id) then
        return null;
    end if;
    return new;
end
$$;
create trigger task_waits before update of state on task
    for each row when (old.state not in ('TESTING', 'RUNNING') and new.state in ('TESTING', 'RUNNING'))
    execute function task_waits();
