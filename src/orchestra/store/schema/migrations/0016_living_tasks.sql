-- What is recorded with a task besides its command, and what can be changed while it lives.

-- max_running: how many of its jobs may be assigned or running at a time; null is no limit.
-- goal: the metric that decides which job is best, as "min:NAME" or "max:NAME".
-- attach_report: whether the mail at its end has the task's report.
-- origin: where its program came from: script, checksum, interpreter, git commit. Written by the command that creates it.
alter table task
    add column max_running integer check (max_running > 0),
    add column goal text,
    add column attach_report boolean not null default false,
    add column origin jsonb;
