-- The role of the machines that an embedded database is shared with (domain/sharing.py).

-- name: make_role
do $$
begin
    if not exists (select from pg_roles where rolname = 'orchestra_shared') then
        create role orchestra_shared nosuperuser nocreatedb nocreaterole noinherit;
    end if;
end
$$

-- name: set_password
alter role orchestra_shared login password {}

-- name: grant_rights
-- To work with what is in the schema, and with what upgrades will add.
grant usage on schema orchestra to orchestra_shared;
grant select, insert, update, delete on all tables in schema orchestra to orchestra_shared;
grant usage, select on all sequences in schema orchestra to orchestra_shared;
alter default privileges in schema orchestra grant select, insert, update, delete on tables to orchestra_shared;
alter default privileges in schema orchestra grant usage, select on sequences to orchestra_shared

-- name: remove_role
drop owned by orchestra_shared cascade;
drop role orchestra_shared

-- name: has_role
select from pg_roles where rolname = 'orchestra_shared'

-- name: listens
select current_setting('listen_addresses') as addresses, current_setting('port')::int as port
