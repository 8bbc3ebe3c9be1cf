-- Agents and keepers: who decides for a node, and what attempts belong to.

-- name: lock_node
select id, drained_at is not null as drained, cpu_enabled, gpu_enabled from node where name = %(node)s for update

-- name: protocols
select protocol, oldest_protocol from cluster

-- name: serving_pilot
-- Alive: heard of within a minute, and it did not say goodbye.
select agent, machine_id, host, seen_at > now() - interval '60 seconds' and gone_at is null as alive
from pilot
where node_id = %(node)s

-- name: attach
insert into pilot
    (node_id, agent, machine_id, boot_id, host, pid, account, is_root, serve_all, may_conduct, version, protocol, runtimes)
values
    (%(node)s, %(agent)s, %(machine)s, %(boot)s, %(host)s, %(pid)s, %(account)s, %(is_root)s, %(serve_all)s,
    %(may_conduct)s, %(version)s, %(protocol)s, %(runtimes)s)
on conflict (node_id) do update set
    agent = excluded.agent, machine_id = excluded.machine_id, boot_id = excluded.boot_id, host = excluded.host,
    pid = excluded.pid, account = excluded.account, is_root = excluded.is_root, serve_all = excluded.serve_all,
    may_conduct = excluded.may_conduct, version = excluded.version, protocol = excluded.protocol,
    runtimes = excluded.runtimes, message = null, leave = false, leave_now = false, started_at = now(),
    seen_at = now(), gone_at = null

-- name: renew_pilot
update pilot p set seen_at = now(), gone_at = null, message = %(message)s
from node n
where p.node_id = %(node)s and p.agent = %(agent)s and n.id = p.node_id
returning p.leave, p.leave_now, n.drained_at is not null as drained, n.cpu_enabled, n.gpu_enabled

-- name: renew_keepers
update keeper set renewed_at = now(), lease_until = now() + make_interval(secs => %(lease)s), gone_at = null
where node_id = %(node)s and id = any(%(keepers)s) and fenced_at is null

-- name: register_keeper
insert into keeper (id, node_id, machine_id, boot_id, pid, version, protocol, lease_until)
values
    (%(keeper)s, %(node)s, %(machine)s, %(boot)s, %(pid)s, %(version)s, %(protocol)s,
    now() + make_interval(secs => %(lease)s))
on conflict (id) do update set
    renewed_at = now(), lease_until = excluded.lease_until, gone_at = null
where keeper.fenced_at is null

-- name: detach
update pilot set gone_at = now(), message = null where node_id = %(node)s and agent = %(agent)s

-- name: forget_keepers
-- Those that hold nothing any more.
update keeper k set gone_at = now()
where k.node_id = %(node)s and k.id = any(%(keepers)s)
    and not exists (
        select from attempt a
        where a.node_id = k.node_id and a.keeper_id = k.id and a.ended_at is null and a.lost_at is null
    )
