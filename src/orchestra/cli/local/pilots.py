"""What the commands about pilots share: find a pilot, start one and wait for it, wait until it has left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.local import machine
from orchestra.cli.local.connection import caller
from orchestra.domain import gpus as domain_gpus
from orchestra.domain import human
from orchestra.domain.errors import AlreadyExists, DatabaseUnavailable, NotFound, OrchestraError
from orchestra.domain.models.nodes import SlotsWanted
from orchestra.domain.wording import words
from orchestra.files import local_machine, machine_resources
from orchestra.services.database import admin
from orchestra.services.nodes import nodes
from orchestra.store.postgres import datafolder
from orchestra.wiring.database import uses_server
from orchestra.wiring.folders import pilot_folder
from orchestra.wiring.identity import node_name
from orchestra.wiring.pilot import PilotSpec, spawn_pilot

if TYPE_CHECKING:
    import psycopg

    from orchestra.cli.context import Context
    from orchestra.config import Settings
    from orchestra.domain.caller import Caller
    from orchestra.domain.models.nodes import Device, Node, Pilot

PAUSE = 0.1
ONLINE_WITHIN = 30.0
LEAVE_WITHIN = 10.0


def of_node(conn: psycopg.Connection, node: str) -> Pilot | None:
    """Return the pilot that serves a node: seen within a minute and, if it is on this machine, alive."""
    return next(
        (pilot for pilot in nodes.pilots(conn) if pilot.node == node and serves(pilot)), None
    )


def serves(pilot: Pilot) -> bool:
    """Whether a pilot is at work: seen within a minute and, on this machine, with a living process."""
    return pilot.online and (not is_here(pilot) or lives(pilot.pid))


def is_here(pilot: Pilot) -> bool:
    """Whether a pilot runs on this machine, whose host name may have changed since its start."""
    return pilot.host == local_machine.host() or _runs_here(pilot)


def _runs_here(pilot: Pilot) -> bool:
    """Whether its process is in this boot. Containers on one machine share the boot, but not the processes."""
    if pilot.boot_id != datafolder.this_host().boot_id:
        return False
    try:
        return b"pilot" in Path(f"/proc/{pilot.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _under_other_names(found: Sequence[Pilot], settings: Settings) -> list[Pilot]:
    """Return the pilots of this machine whose nodes have other names: running ones first, the account's own first.

    Machines copied from one image can share a machine id, so it only counts with an embedded database.
    """
    names = (node_name(settings), local_machine.host())
    others = [pilot for pilot in found if pilot.node not in names and pilot.pool is None]
    running = sorted(filter(_runs_here, others), key=is_mine, reverse=True)
    if uses_server(settings):
        return running
    machine = datafolder.this_host().machine_id
    return running + [p for p in others if p.machine_id == machine and p not in running]


def other_names_here(found: Sequence[Pilot], settings: Settings) -> list[str]:
    """Return the nodes that this machine may be under an earlier name."""
    return [] if settings.node else [p.node for p in _under_other_names(found, settings)]


def is_mine(pilot: Pilot) -> bool:
    """Whether a pilot was started by this account."""
    return pilot.account == local_machine.account()


def takes_mine(pilot: Pilot) -> bool:
    """Whether a pilot runs the tasks that this account creates."""
    return is_mine(pilot) or pilot.serve_all or pilot.account == "root"


def lives(pid: int) -> bool:
    """Whether a process of this machine is alive; a zombie is not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return not Path("/proc/self").exists() and local_machine.process_exists(pid)
    return state != "Z"


def node_or_this(ctx: Context, conn: psycopg.Connection, name: str | None) -> str:
    """Return the name of the given node, or of this machine's.

    Raises:
        NotFound: there is no such node.
    """
    if name:
        return nodes.get(conn, name).name
    candidate = this_node(ctx, conn)
    if nodes.find(conn, candidate):
        return candidate
    raise NotFound(
        f'this machine, "{node_name(ctx.settings)}", is not a node yet.',
        hint="maestro up or maestro pilot run --create-node makes it one, or choose another with -n.\n"
        f"maestro node create -n {node_name(ctx.settings)} -ec CPU_SLOTS -eg GPU_SLOTS",
    )


def node_to_serve(ctx: Context, conn: psycopg.Connection, name: str | None, *, create: bool) -> str:
    """Return the name of the node that a pilot here serves: the given one, or this machine's.

    Args:
        create: create the node with the slots of this machine, if there is none.

    Raises:
        NotFound: there is no such node; says how to have it created.
    """
    wanted = name or this_node(ctx, conn)
    if create and nodes.find(conn, wanted) is None:
        devices = machine.gpus(ctx.out.note)
        with suppress(AlreadyExists):  # created a moment before
            node = create_node(conn, caller(ctx, conn), wanted, devices)
            ctx.out.note(f"created node {node.name}: {slots_in_words(node, devices)}")
    try:
        return node_or_this(ctx, conn, name)
    except NotFound as error:
        if name is None or error.remedy is None:
            raise
        also = words(
            error.remedy, "\n--create-node creates it with this machine's processors and GPUs."
        )
        raise NotFound(error.message, hint=also, **error.params) from None


def create_node(
    conn: psycopg.Connection,
    me: Caller,
    name: str,
    devices: Sequence[Device],
    *,
    cpus: int | None = None,
    gpus: int | None = None,
) -> Node:
    """Create the node that this machine is, with as many slots as it has processors and GPUs by default.

    Raises:
        AlreadyExists: the name is taken.
    """
    cpu = SlotsWanted("CPU", machine_resources.cpu_count() if cpus is None else cpus)
    return nodes.create(
        conn, me, name, cpu, SlotsWanted("GPU", len(devices) if gpus is None else gpus)
    )


def slots_in_words(node: Node, devices: Sequence[Device]) -> str:
    """Return text such as "8 CPU slots, 2 GPU slots (NVIDIA A100-SXM4-40GB x 2, 43 GB each)"."""
    words = (
        f"{human.count(node.cpu.enabled, 'CPU slot')}, {human.count(node.gpu.enabled, 'GPU slot')}"
    )
    return f"{words} ({domain_gpus.in_words(devices)})" if node.gpu.enabled and devices else words


def this_node(ctx: Context, conn: psycopg.Connection) -> str:
    """Return the name of this machine as a node, which may not exist yet.

    The configured name wins. Without one, a machine whose host name changes stays the same node.
    """
    own = node_name(ctx.settings)
    if ctx.settings.node:
        return own
    found, names = nodes.pilots(conn), (own, local_machine.host())
    known = [name for name in names if nodes.find(conn, name)]
    if any(p.node in names and is_here(p) and serves(p) for p in found):
        return known[0]
    others = _under_other_names(found, ctx.settings)
    renamed = [p.node for p in others if serves(p) and p.host != local_machine.host()]
    return next(iter([*renamed, *known, *(pilot.node for pilot in others)]), own)


def start(ctx: Context, conn: psycopg.Connection, spec: PilotSpec) -> Pilot:
    """Start a pilot in the background and wait until it serves its node.

    Raises:
        OrchestraError: it ended at once; the message is its own.
    """
    cluster = admin.cluster_id(conn)
    output = pilot_folder(ctx.settings, cluster, spec.node) / "agent.out"
    before = output.stat().st_size if output.exists() else 0
    pid = spawn_pilot(ctx.settings, cluster, spec)
    deadline = time.monotonic() + ONLINE_WITHIN
    while time.monotonic() < deadline:
        pilot = of_node(conn, spec.node)
        if pilot and pilot.pid == pid:
            return pilot
        if os.waitpid(pid, os.WNOHANG)[0]:
            raise _ended(output, before, spec.node)
        time.sleep(PAUSE)
    raise DatabaseUnavailable(
        f"the pilot of node {spec.node} (pid {pid}) did not come online within 30 s.",
        hint=f"Its log is {output.with_name('agent.log')}",
    )


def _ended(output: Path, before: int, node: str) -> OrchestraError:
    said = output.read_bytes()[before:].decode(errors="replace").strip()
    error, *hints = said.removeprefix("error: ").splitlines() or ["it printed nothing."]
    return OrchestraError(
        f"the pilot of node {node} did not start: {error}",
        hint="\n".join(hint.strip() for hint in hints) or None,
    )


def wait_until_gone(
    conn: psycopg.Connection, names: list[str], changed: Callable[[int], None]
) -> None:
    """Wait until no pilot serves these nodes; `changed` gets the number of jobs that they hold."""
    while there := [p for p in nodes.pilots(conn) if p.node in names and serves(p)]:
        changed(sum(pilot.jobs for pilot in there))
        time.sleep(PAUSE)
    # They have left the database; their processes on this machine still close their connections.
    deadline = time.monotonic() + LEAVE_WITHIN
    leaving = [p.pid for p in nodes.pilots(conn) if p.node in names and is_here(p)]
    while any(lives(pid) for pid in leaving) and time.monotonic() < deadline:
        time.sleep(PAUSE)
