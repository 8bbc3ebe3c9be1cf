-- The identity of this database, and its recovery after it was restored, copied or moved.

-- name: read
-- Whether the database is where it was written: on this server (a restored or copied one has another system
-- identifier) and on the same timeline (point-in-time recovery and a promoted standby start a new one).
select
    c.id, c.epoch, c.settling_reason, c.settling_since,
    c.system_identifier = s.system_identifier::text and c.timeline = this_timeline() as in_place
from cluster c, pg_control_system() s

-- name: is_recovering
select settling_since is not null from cluster

-- name: note_move
update cluster c set
    epoch = epoch + 1, system_identifier = s.system_identifier::text, timeline = this_timeline(),
    settling_since = now(), settling_reason = %(reason)s, foreign_xid = pg_snapshot_xmax(pg_current_snapshot()),
    foreign_id = (select coalesce(max(id), 0) from event)
from pg_control_system() s
where c.system_identifier <> s.system_identifier::text or c.timeline <> this_timeline()

-- name: raise_epoch
update cluster c set
    epoch = greatest(epoch, %(above)s) + 1, system_identifier = s.system_identifier::text, timeline = this_timeline(),
    settling_since = now(), settling_reason = %(reason)s, foreign_xid = pg_snapshot_xmax(pg_current_snapshot()),
    foreign_id = (select coalesce(max(id), 0) from event)
from pg_control_system() s

-- name: lock_recovery
-- Also if the clock was set back since.
select true from cluster
where settling_since <= now() - make_interval(secs => %(patience)s) or settling_since > now() + interval '1 minute'
for update

-- name: end_recovery
update cluster set settling_since = null, settling_reason = null

-- name: unreconciled_nodes
select distinct n.name
from keeper k
join cluster c on k.epoch < c.epoch
join node n on n.id = k.node_id
where k.gone_at is null and k.fenced_at is null
    and exists (
        select from attempt a
        where a.node_id = k.node_id and a.keeper_id = k.id and is_open(a)
    )
order by n.name

-- name: generation
-- Counts the renewals of all terms. Never decreases, unless the database was replaced by an older one.
select beat from leader where duty = 'conductor'

-- name: report_sequences
select id, report_sequence from keeper where id = any(%(keepers)s)

-- name: add_event
insert into event (kind, from_state, to_state, who, why) values ('cluster', %(from)s, %(to)s, %(who)s, %(why)s)
