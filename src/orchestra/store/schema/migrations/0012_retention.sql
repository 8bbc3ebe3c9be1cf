-- What is kept for how long (store/retention.sql).

-- forgotten_at: when what nobody needs of a task that is over was removed; null again as soon as the task goes on.
alter table task add column forgotten_at timestamptz;
create index task_to_forget on task (ended_at) where ended_at is not null and forgotten_at is null;

create or replace function task_changed() returns trigger language plpgsql as $$
begin
    if not task_may_move(old.state, new.state) then
        raise exception 'task % may not go from % to %', old.id, old.state, new.state
            using errcode = 'check_violation';
    end if;
    new.state_at := now();
    new.forgotten_at := null;
    return new;
end
$$;
