-- What users' files say, as it was when they were looked at by who may read them: nobody else opens them for it.

-- What a job wrote into its metrics file, read where it ran when its attempt ended. numbers: the finite ones among its
-- values, by name, values within values as "a.b". Rows go with their task, or after a while.
create table attempt_metrics (
    task_id integer not null,
    ordinal integer not null,
    number  integer not null,
    text    text not null check (octet_length(text) <= 16000),
    numbers jsonb not null,
    kept_at timestamptz not null default now(),
    primary key (task_id, ordinal, number)
);
create index attempt_metrics_by_age on attempt_metrics (kept_at);

-- What small files of a data set say, read when they were registered. name: the file's, where the data set's entry is the
-- folder of an older task's attempt, of which this is the metrics.
create table dataset_text (
    version_id integer not null,
    ordinal    integer not null,
    name       text,
    text       text not null check (octet_length(text) <= 4000),
    primary key (version_id, ordinal)
);
