"""This machine as a node, other nodes that hold jobs, the conductor, and what pilots have left on this disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestra.cli.local.doctor.configuration import short
from orchestra.cli.local.doctor.database import Contents
from orchestra.cli.local.doctor.finding import Failure, Finding, failed, ok, problem, warning
from orchestra.cli.output import ago
from orchestra.domain import human
from orchestra.domain.node_text import hours_now, planned_drain
from orchestra.files.local_machine import host

if TYPE_CHECKING:
    from orchestra.domain.models.nodes import Node, Pilot
    from orchestra.domain.state_inventory import StateInventory


@dataclass(frozen=True, slots=True)
class ThisMachine:
    """This machine: its name as a node, its host name, this program's version, the time."""

    name: str
    host: str
    version: str
    now: datetime


def inspect(name: str) -> ThisMachine:
    """Read which machine this is."""
    from orchestra import __version__

    return ThisMachine(name, host(), __version__, datetime.now(UTC))


def this_node(contents: Contents, here: ThisMachine) -> Node | None:
    """Return this machine's node, by its configured name, its host name or an earlier name."""
    names = (here.name, here.host, *contents.renamed)
    return next((node for name in names for node in contents.nodes if node.name == name), None)


def assess(contents: Contents, here: ThisMachine, *, agent_lives: bool | None) -> Iterator[Finding]:
    """Report on this node and its pilot. `agent_lives`: whether this machine has its process, None if unknown."""
    node = this_node(contents, here)
    if node is None:
        yield ok("node", f'this machine, "{here.name}", is not a node; maestro up makes it one')
        return
    pilot = next((one for one in contents.pilots if one.node == node.name), None)
    elsewhere = pilot is not None and not is_here(contents, here, pilot)
    yield _assess_node(node, pilot, here, agent_lives, elsewhere=elsewhere)
    if node.drained_at:
        why = f': "{node.drain_reason}"' if node.drain_reason else ""
        yield warning(
            "node",
            f"{node.name} was drained {ago(node.drained_at, here.now)} by {node.drained_by}{why}, so it takes no jobs.",
            f"maestro node resume -n {node.name}",
        )
    for when in (planned_drain(node, here.now), hours_now(node, here.now)):
        if when:
            yield ok("node", f"{node.name}: {when}")
    if pilot and node.online and pilot.message:
        yield warning(
            "pilot", f"the pilot of {node.name} reports: {human.one_line(pilot.message, 300)}"
        )
    if pilot and node.online and pilot.version != here.version:
        yield warning(
            "pilot",
            f"the pilot of {node.name} has version {pilot.version}, this program {here.version}.",
            f"maestro pilot run -n {node.name} --detach   takes over; running jobs continue",
        )


def is_here(contents: Contents, here: ThisMachine, pilot: Pilot) -> bool:
    """Whether a pilot is, or was, on this machine."""
    return pilot.host == here.host or pilot.node in contents.renamed


def _assess_node(
    node: Node, pilot: Pilot | None, here: ThisMachine, agent_lives: bool | None, *, elsewhere: bool
) -> Finding:
    start = f"maestro pilot run -n {node.name}"
    if pilot is None:
        return warning("node", f"{node.name} has never had a pilot, so it runs nothing.", start)
    dead = agent_lives is False and not elsewhere
    if node.online and not dead:
        where = f" by a pilot on {pilot.host}" if elsewhere else ""
        return ok("node", f"{node.name} is online{where}, {_slots(node)}")
    silent = ago(pilot.seen_at, here.now)
    if pilot.jobs:
        held = human.count(pilot.jobs, "job")
        return problem(
            "node", f"{node.name} has no pilot (last seen {silent}) and holds {held}.", start
        )
    return warning(
        "node", f"{node.name} has no pilot (last seen {silent}), so it runs nothing.", start
    )


def _slots(node: Node) -> str:
    words = (
        f"{min(node.cpu_in_use, node.cpu.enabled)} of {human.count(node.cpu.enabled, 'CPU slot')}"
    )
    if node.gpu.enabled:
        words += f" and {min(node.gpu_in_use, node.gpu.enabled)} of {human.count(node.gpu.enabled, 'GPU slot')}"
    over = sum(
        max(0, used - slots.enabled)
        for used, slots in ((node.cpu_in_use, node.cpu), (node.gpu_in_use, node.gpu))
    )
    return f"{words} in use" + (f", {over} more until jobs there end" if over else "")


def assess_others(
    contents: Contents, here: ThisMachine, *, agent_lives: bool | None = None
) -> Iterator[Finding]:
    """Report other nodes that hold jobs and are offline, and the conductor; `agent_lives` as in `assess`."""
    mine = this_node(contents, here)
    for pilot in contents.pilots:
        if pilot.jobs and not pilot.online and (mine is None or pilot.node != mine.name):
            yield warning(
                "nodes",
                f"{pilot.node} was last seen {ago(pilot.seen_at, here.now)} and holds "
                f"{human.count(pilot.jobs, 'job')}.",
                f"maestro pilot run -n {pilot.node}   there; or, if that machine will not come back: "
                f"maestro node lost -n {pilot.node}",
            )
    for pilot in contents.pilots:
        if pilot.online and pilot.silent:
            folders = human.listed(pilot.silent, most=3)
            do = "does" if len(pilot.silent) == 1 else "do"
            yield problem(
                "folders",
                f"{folders} {do} not answer on {pilot.node}; jobs that need them wait.",
                f"Check on {pilot.node} whether the server of that file system can be reached.",
            )
    gone = mine.name if mine and agent_lives is False else None
    yield _assess_conductor(
        contents, [p.node for p in contents.pilots if p.online and p.node != gone]
    )


def _assess_conductor(contents: Contents, online: Sequence[str]) -> Finding:
    if contents.conductor and contents.stuck:
        parts = list(map(str, contents.stuck))
        return warning(
            "conductor",
            f"{contents.conductor} is the conductor, and cannot continue with {human.listed(parts, most=3)}.",
            "It retries, less and less often; its log says more.",
        )
    if contents.conductor:
        return ok("conductor", f"{contents.conductor} is the conductor")
    if contents.settling:
        return ok("conductor", "no conductor runs before the database has recovered")
    if not online:
        return ok(
            "conductor",
            "no pilot runs, so there is no conductor; tasks continue when one starts",
            "maestro up   or: maestro pilot run",
        )
    return problem(
        "conductor",
        f"there is no conductor, although {human.listed(online, most=3)} {'is' if len(online) == 1 else 'are'} online: "
        "no task makes progress.",
        "maestro conductor run",
    )


def assess_keepers(
    contents: Contents, state_inventories: Sequence[StateInventory] | Failure
) -> Iterator[Finding]:
    """Report keepers without a pilot, and what nobody on this machine will report to the database."""
    if isinstance(state_inventories, Failure):
        yield failed("keepers", state_inventories)
        return
    ours = [one for one in state_inventories if contents.cluster.startswith(one.cluster)]
    stale = list(_stale(contents, ours))
    yield from stale
    yield from _foreign([one for one in state_inventories if one not in ours])
    if living := sum(one.keepers for one in ours if not stale):
        jobs = sum(one.running for one in ours)
        yield ok(
            "keepers", f"{human.count(living, 'keeper')} here, with {human.count(jobs, 'job')}"
        )
    for one in ours:
        if one.set_aside:
            yield warning(
                "outcomes",
                f"{human.count(one.set_aside, 'outcome')} of node {one.node} could not be reported to the database and "
                f"{'is' if one.set_aside == 1 else 'are'} in {short(one.folder / 'set-aside')}.",
                "maestro job show TASK/N   shows how each job ended; then the files can be removed",
            )


def _stale(contents: Contents, ours: Sequence[StateInventory]) -> Iterator[Finding]:
    for one in ours:
        start = f"maestro pilot run -n {one.node}"
        if one.agent:
            continue
        if one.unsent:
            yield problem(
                "keepers",
                f"{human.count(one.unsent, 'outcome')} of node {one.node} "
                f"{'waits' if one.unsent == 1 else 'wait'} on this disk for a pilot to report "
                f"{'it' if one.unsent == 1 else 'them'}.",
                start,
            )
        elif one.running:
            jobs = human.count(one.running, "job")
            yield warning(
                "keepers",
                f"{jobs} of node {one.node} run here without a pilot.",
                start,
            )
    for pilot in contents.pilots:
        for keeper in pilot.keepers:
            if keeper.fenced and keeper.jobs:
                yield warning(
                    "keepers",
                    f"the keeper {keeper.pid} on {keeper.host} was given up, and its "
                    f"{human.count(keeper.jobs, 'job')} go to other nodes.",
                )


def _foreign(others: Sequence[StateInventory]) -> Iterator[Finding]:
    for one in others:
        if one.keepers and one.running:
            yield warning(
                "keepers",
                f"{human.count(one.running, 'job')} of node {one.node} run here for another database "
                f"({one.cluster}...).",
                'Is "postgres" in the configuration right? If so, wait until they end.',
            )
        elif one.unsent and not one.agent:
            yield warning(
                "keepers",
                f"{human.count(one.unsent, 'outcome')} of node {one.node} wait here for another database "
                f"({one.cluster}...).",
                f"A pilot with that configuration reports them; without one, remove {short(one.folder)}",
            )
