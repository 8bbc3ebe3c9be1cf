-- Agents and keepers: who decides for a node, and what attempts belong to.

-- name: protocols
select protocol, oldest_protocol from cluster

-- name: serving_pilot
-- The agent of a node. `alive` means online.
select
    agent, account, machine_id, boot_id, host, is_online(pilot) as alive,
    extract(epoch from now() - seen_at)::float8 as silent_for
from pilot
where node_id = %(node)s

-- name: jobs_elsewhere
-- Open attempts on a node that belong to keepers of another machine. Machines cloned from one image may share an id;
-- their names and boots differ.
select count(*)
from keeper k
join attempt a on a.node_id = k.node_id and a.keeper_id = k.id and is_open(a)
where k.node_id = %(node)s and k.fenced_at is null
    and (k.machine_id <> %(machine)s or (k.boot_id <> %(boot)s and k.host <> %(host)s))

-- name: fence_older_boots
-- Whatever ran on a machine before its last boot is dead.
update keeper set fenced_at = now(), fence_reason = %(reason)s
where node_id = %(node)s and machine_id = %(machine)s and host = %(host)s and boot_id <> %(boot)s
    and fenced_at is null and gone_at is null
returning id

-- name: fence
-- Unless the keeper is fenced already, or was renewed since it was read.
update keeper set fenced_at = now(), fence_reason = %(reason)s
where id = %(keeper)s and fenced_at is null
    and (%(renewed_at)s::timestamptz is null or renewed_at = %(renewed_at)s)
returning id

-- name: fence_node
update keeper set fenced_at = now(), fence_reason = %(reason)s
where node_id = %(node)s and fenced_at is null and gone_at is null
returning id

-- name: add_fence_event
insert into event (kind, node_id, from_state, to_state, who, why)
select 'keeper', node_id, 'TRUSTED', 'FENCED', %(who)s, %(why)s from keeper where id = %(keeper)s

-- name: mark_keeper_gone
update keeper set gone_at = coalesce(gone_at, now()) where id = %(keeper)s

-- name: silent_keepers
-- Keepers whose lease is over and that hold attempts. Few have open attempts (attempt_open).
select
    k.id, n.name as node, k.renewed_at, extract(epoch from k.lease_until - k.renewed_at)::float8 as lease,
    extract(epoch from now() - k.renewed_at)::float8 as silent_for,
    extract(epoch from now() - l.held_since)::float8 as held_for, max(r.grace) as grace
from keeper k
join node n on n.id = k.node_id
join leader l on l.duty = 'conductor'
join attempt a on a.node_id = k.node_id and a.keeper_id = k.id and is_open(a)
join revision r on r.task_id = a.task_id and r.number = a.revision
where k.gone_at is null and k.fenced_at is null and k.lease_until < now()
group by k.id, n.name, l.held_since

-- name: keepers_to_close_out
-- Fenced keepers with open attempts. Their own agent comes first, because it may know outcomes.
select k.id
from keeper k
where k.gone_at is null and k.fenced_at < now() - make_interval(secs => %(after)s)
    and exists (
        select from attempt a
        where a.node_id = k.node_id and a.keeper_id = k.id and is_open(a)
    )
order by k.fenced_at

-- name: epoch
select epoch from cluster

-- name: note_reconciled
-- The keeper has reported what it runs in this epoch.
update keeper k set epoch = c.epoch from cluster c where k.id = %(keeper)s
returning c.settling_since is not null as is_recovering

-- name: fenced_keepers
select id from keeper where id = any(%(keepers)s) and fenced_at is not null

-- name: attach
-- A pilot that was asked to leave is still asked after it reconnects, and so is its successor. An agent that takes
-- over from a live one does not change its owner, who is the user that started the first. An agent that has not looked at
-- its machine yet says nothing of it; what an earlier one found there stays until then.
insert into pilot
    (node_id, agent, machine_id, boot_id, host, pid, account, is_root, serve_all, may_conduct, version, protocol,
    runtimes, knows_revisions, log_sender, knows_hours, person_id, found)
values
    (%(node)s, %(agent)s, %(machine)s, %(boot)s, %(host)s, %(pid)s, %(account)s, %(is_root)s, %(serve_all)s,
    %(may_conduct)s, %(version)s, %(protocol)s, %(runtimes)s, true, %(agent)s, %(agent)s,
    (select id from person where name = %(user)s), %(found)s)
on conflict (node_id) do update set
    agent = excluded.agent, machine_id = excluded.machine_id, boot_id = excluded.boot_id, host = excluded.host,
    pid = excluded.pid, account = excluded.account, is_root = excluded.is_root, serve_all = excluded.serve_all,
    may_conduct = excluded.may_conduct, version = excluded.version, protocol = excluded.protocol,
    runtimes = excluded.runtimes, knows_revisions = true,
    log_sender = excluded.agent, knows_hours = excluded.agent,
    found = coalesce(excluded.found, case when pilot.machine_id = excluded.machine_id then pilot.found end),
    person_id = case
        when is_online(pilot)
        then coalesce(pilot.person_id, excluded.person_id) else excluded.person_id
    end,
    message = null, troubles = null, silent = '{}', started_at = now(), seen_at = now(), gone_at = null,
    leave = pilot.leave and (%(successor)s or pilot.agent = excluded.agent),
    leave_now = pilot.leave_now and (%(successor)s or pilot.agent = excluded.agent)

-- name: clear_lost
update node set lost_at = null where id = %(node)s and lost_at is not null

-- name: renew_pilot
-- Programs of the previous version read the message, which has the sentences of the troubles. In an allocation that is to
-- end, or has ended, its pilot is to leave.
update pilot p set
    seen_at = now(), gone_at = null, silent = %(silent)s, found = coalesce(%(found)s, found),
    message = %(message)s, troubles = %(troubles)s, troubles_agent = agent,
    opens_at = %(opens_at)s, closes_at = %(closes_at)s, utc_offset = %(utc_offset)s
from node n
left join allocation a on a.id = n.allocation_id
left join pool g on g.id = n.pool_id
where p.node_id = %(node)s and p.agent = %(agent)s and n.id = p.node_id
returning
    p.leave or coalesce(a.state = 'LEAVING', false) or g.deletion is not null as leave,
    p.leave_now or n.gone_at is not null or coalesce(a.state = 'ENDED', false) or coalesce(g.deletion = 'now', false)
        as leave_now,
    g.idle, is_drained(n) as drained, n.cpu_enabled, n.gpu_enabled,
    n.memory_bytes, n.nice, n.open_hours, drain_in(n),
    (select beat from leader where duty = 'conductor') as generation

-- name: renew_keepers
update keeper set
    renewed_at = now(), gone_at = null,
    lease_until = case when %(expires)s then now() + make_interval(secs => %(lease)s) else 'infinity' end
where node_id = %(node)s and id = any(%(keepers)s) and fenced_at is null

-- name: register_keeper
insert into keeper (id, node_id, machine_id, boot_id, host, account, pid, version, protocol, lease_until)
select
    %(keeper)s, %(node)s, %(machine)s, %(boot)s, coalesce((select host from pilot where node_id = %(node)s), ''),
    (select account from pilot where node_id = %(node)s),
    %(pid)s, %(version)s, %(protocol)s,
    case when %(expires)s then now() + make_interval(secs => %(lease)s) else 'infinity' end
on conflict (id) do update set
    renewed_at = now(), lease_until = excluded.lease_until, gone_at = null,
    account = coalesce(keeper.account, excluded.account)
where keeper.fenced_at is null

-- name: detach
update pilot set gone_at = now(), message = null, troubles = null, silent = '{}' where node_id = %(node)s and agent = %(agent)s

-- name: mark_keepers_gone
-- Those without open attempts.
update keeper k set gone_at = now()
where k.node_id = %(node)s and k.id = any(%(keepers)s)
    and not exists (
        select from attempt a
        where a.node_id = k.node_id and a.keeper_id = k.id and is_open(a)
    )
