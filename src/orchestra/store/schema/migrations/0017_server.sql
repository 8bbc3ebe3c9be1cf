-- The server: who its callers are, and answers that must not be given twice. Secrets are stored as SHA-256 only.

-- Tokens of programs and of the command line over HTTP.
-- start: the first characters of the secret, so that people recognize it.
-- admin: whether it carries an admin's rights, as long as its user is one.
-- account, host: the Unix account, and its machine, that was proven when the token was made; null if none was.
create table api_token (
    id           integer generated always as identity primary key,
    person_id    integer not null references person on delete cascade,
    name         text not null,
    hash         bytea not null unique,
    start        text not null,
    admin        boolean not null,
    account      text,
    host         text,
    created_at   timestamptz not null default now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
create index api_token_person on api_token (person_id);

-- Codes of one-time links. A code is deleted when it is used. token_id: the token that it was asked for with.
create table sign_in_code (
    hash       bytea primary key,
    person_id  integer not null references person on delete cascade,
    admin      boolean not null,
    account    text,
    host       text,
    token_id   integer references api_token on delete cascade,
    expires_at timestamptz not null
);
create index sign_in_code_person on sign_in_code (person_id);
create index sign_in_code_token on sign_in_code (token_id);

-- Sessions of browsers. token_id: the token that was pasted, or that the link was asked for with; the session ends with it.
-- ends_at: the end of a session however much it is used; idle_at: the end of one that is not used.
create table web_session (
    id           integer generated always as identity primary key,
    hash         bytea not null unique,
    person_id    integer not null references person on delete cascade,
    admin        boolean not null,
    account      text,
    host         text,
    token_id     integer references api_token on delete cascade,
    created_at   timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    idle_at      timestamptz not null,
    ends_at      timestamptz not null
);
create index web_session_person on web_session (person_id);
create index web_session_token on web_session (token_id);

-- source: where the files of a version that was uploaded come from: a machine's name, ":" and a path there.
alter table dataset_version add column source text;

-- Answers to changes that were made with an idempotency key: the same key gets the same answer, and makes no second
-- change. request: SHA-256 of the operation and its content.
create table api_answer (
    person_id  integer not null references person on delete cascade,
    key        text not null,
    request    bytea not null,
    answer     bytea,
    created_at timestamptz not null default now(),
    primary key (person_id, key)
);
create index api_answer_by_age on api_answer (created_at);

-- The Unix account of a keeper, to which the logs of its jobs belong. Null of those that registered with schema 15.
alter table keeper add column account text;

-- log_sender: the agent, if it sends parts of logs on request. Null or an earlier agent if it is of schema 15.
alter table pilot add column log_sender uuid;

-- Parts of logs, from the pilot that can read a log to a reader who cannot: at most a few hundred, for seconds. Unlogged,
-- because a part that is lost is asked for again.
-- start: the first byte, from the log's end if negative. length: the whole log's; null if the pilot cannot read it.
create unlogged table log_part (
    task_id  integer not null,
    ordinal  integer not null,
    number   integer not null,
    start    bigint not null,
    node_id  integer not null,
    asked_at timestamptz not null default clock_timestamp(),
    sent_at  timestamptz,
    length   bigint,
    data     bytea,
    primary key (task_id, ordinal, number, start)
);
alter table log_part alter column data set storage external;

-- When somebody saw that a task had ended with failures; it no longer needs attention, until it ends again.
alter table task add column acknowledged_at timestamptz;

-- Mails that could not be sent, to tell people of them.
create index outbox_late on outbox (person_id) where sent_at is null and last_error is not null;

-- How many jobs ended in each hour, for a chart. A row for each connection that reported them, so that nobody waits for
-- another.
create table ended_per_hour (
    hour    timestamptz not null,
    backend integer not null,
    done    integer not null,
    failed  integer not null,
    primary key (hour, backend)
) with (fillfactor = 50);

-- Events of another server, from which this database was restored or copied: those up to foreign_id, if their
-- transactions are numbered from foreign_xid on. Such a number means nothing here, until this server reaches it.
alter table cluster
    add column foreign_xid xid8,
    add column foreign_id bigint;
