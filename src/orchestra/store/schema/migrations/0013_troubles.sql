-- What keeps pilots and conductors from something, as values (domain/troubles.py), beside the words that programs before
-- this read and write: pilot.message and leader.troubles, which are still written.

-- troubles: what the agent beside it has to say of itself. A pilot of a version before this is another agent, and leaves
-- those of an earlier one.
alter table pilot add column troubles jsonb, add column troubles_agent uuid;

-- stuck: what the conductor of the term beside it cannot go on with.
alter table leader add column stuck jsonb not null default '[]', add column stuck_term bigint;

-- held_cause: what a hold is for, of the hold that began at the time beside it. A program of a version before this writes
-- none, and leaves that of an earlier hold.
alter table task add column held_cause text, add column held_cause_at timestamptz;
update task set
    held_cause_at = held_at,
    held_cause = case
        when held_by <> 'orchestra' then 'person'
        when held_reason like '%--max-fails%' then 'failures'
        else 'files'
    end
where held_at is not null;
