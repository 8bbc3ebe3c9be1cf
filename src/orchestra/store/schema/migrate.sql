-- Applying migrations.

-- name: lock
-- One program migrates this database at a time. Held until the transaction ends.
select pg_advisory_xact_lock(7310579622031204463)

-- name: begin_upgrade
-- A migration may wait longer for locks than other statements.
select set_config('lock_timeout', '60s', true),
       set_config('search_path', 'orchestra', true)

-- name: create_schema
create schema if not exists orchestra

-- name: create_ledger
create table if not exists orchestra.schema_migration (
    number          integer primary key,
    name            text not null,
    sha256          text not null,
    applied_at      timestamptz not null default now(),
    program_version text not null
)

-- name: state
-- Distinguishes a database without our schema from one with another program's schema of that name.
select to_regnamespace('orchestra') is not null,
       to_regclass('orchestra.schema_migration') is not null,
       exists (select from pg_class where relnamespace = to_regnamespace('orchestra'))

-- name: applied
select number, name, sha256 from orchestra.schema_migration order by number

-- name: record
insert into orchestra.schema_migration (number, name, sha256, program_version) values (%s, %s, %s, %s)
