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

-- Codes of one-time links. A code is deleted when it is used.
create table sign_in_code (
    hash       bytea primary key,
    person_id  integer not null references person on delete cascade,
    admin      boolean not null,
    account    text,
    host       text,
    expires_at timestamptz not null
);

-- Sessions of browsers. token_id: the token that was pasted; the session ends with it.
-- ends_at: the end of a session however much it is used; idle_at: the end of one that is not used.
create table web_session (
    hash         bytea primary key,
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
