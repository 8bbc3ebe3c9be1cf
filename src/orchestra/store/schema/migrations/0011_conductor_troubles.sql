-- troubles: what the conductor cannot go on with, by task ("task 3") or duty, and why; of the term that is beside it. One
-- of a version before this writes none, and leaves those of an earlier term.
alter table leader add column troubles jsonb not null default '{}', add column troubles_term bigint;
