-- Creating the database on a new embedded server.

-- name: has_database
select from pg_database where datname = %s

-- name: create_database
create database orchestra
