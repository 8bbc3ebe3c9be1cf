-- Which node keeps its slots free for the next job of a task, where that needs more than any node has left. ready_in: the
-- seconds in which it expects to have them, as of renewed_at. passed_on: how often another node took it over.
create table slot_reservation (
    task_id    integer primary key references task on delete cascade,
    node_id    integer not null references node on delete cascade,
    ready_in   double precision not null,
    passed_on  integer not null default 0,
    renewed_at timestamptz not null default now()
);
