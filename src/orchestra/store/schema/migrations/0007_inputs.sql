-- Whether jobs ran on what was registered.

-- let_go: counts what lets jobs of a task go: its beginning, a release, a retry. A look at its files counts for a job
-- that was let go before the look began; by this number, since the clocks of machines differ.
alter table task add column let_go integer not null default 0;

-- inputs_note: what was found at its inputs after it had ended; null where they were as registered, or nobody looked.
alter table attempt add column inputs_note text;
create index attempt_inputs_note on attempt (task_id, ordinal) where inputs_note is not null;

-- silent: the folders and files that do not answer on the pilot's machine.
alter table pilot add column silent text[] not null default '{}';
