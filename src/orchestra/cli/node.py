"""`maestro node`: nodes and their slots. The changes are in `node_change`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestra.cli import node_change
from orchestra.cli.node_record import node_record
from orchestra.cli.output import ago, clean, local
from orchestra.cli.registry import Verb
from orchestra.cli.table import Column, Fit
from orchestra.domain import gpus, human
from orchestra.domain.labels import found_labels, in_words, shown_labels
from orchestra.domain.node_text import hours_in_words, hours_now, planned_drain

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.domain.models.nodes import Node, Slots


def _slots_column(slots: Slots, used: int) -> str:
    most = f" ({slots.maximum})" if slots.maximum != slots.enabled else ""
    over = f" +{used - slots.enabled}" if used > slots.enabled else ""
    return f"{min(used, slots.enabled)}/{slots.enabled}{over}{most}"


def _over(node: Node) -> Iterator[str]:
    """Yield which slots are still in use although they are no longer enabled."""
    for kind, slots, used in node.kinds:
        if used > slots.enabled:
            jobs = human.count(used - slots.enabled, f"{kind} slot")
            yield f"{jobs} more than enabled in use, until jobs there end"


def _note(node: Node) -> str:
    notes = []
    if node.drained_at:
        why = f': "{node.drain_reason}"' if node.drain_reason else ""
        notes.append(f"drained {ago(node.drained_at)} by {node.drained_by}{why}")
    now = datetime.now(UTC)
    notes += filter(None, (planned_drain(node, now), hours_now(node, now)))
    if node.ends_at:
        notes.append(f"ends {ago(node.ends_at)}")
    notes += _over(node)
    if node.message:
        notes.append(node.message)
    if node.seen_at is None and not node.drained_at:
        notes.append(f"no pilot yet: maestro pilot run -n {node.name}")
    return "; ".join(notes)


def _list(ctx: Context) -> None:
    from orchestra.interface.cluster import WhySettling
    from orchestra.interface.nodes import ListNodes

    with ctx.interface() as ask:
        found, state = ask(ListNodes()), ask(WhySettling())
    if state:
        ctx.out.note(f"The database is recovering: {state}.")
    columns: tuple[Column[Node], ...] = (
        Column("NODE", lambda node: node.name, fit=Fit.START),
        Column("STATE", lambda node: node.state, state=True),
        Column("CPU", lambda node: _slots_column(node.cpu, node.cpu_in_use), right=True),
        Column("GPU", lambda node: _slots_column(node.gpu, node.gpu_in_use), right=True),
        Column("MEMORY", _memory_column, right=True),
        Column("SEEN", lambda node: ago(node.seen_at) if node.seen_at else "never", fit=Fit.WHOLE),
        Column("HOST", lambda node: node.host or ""),
        Column("VERSION", lambda node: node.version or "", fit=Fit.WHOLE),
        Column("POOL", lambda node: node.pool or ""),
        Column("LABELS", lambda node: in_words(shown_labels(node)), fit=Fit.FOLD),
        Column("NOTE", _note, fit=Fit.FOLD),
    )
    if not any(map(shown_labels, found)):
        columns = _without(columns, "LABELS")
    if not any(node.pool for node in found):
        columns = _without(columns, "POOL")
    if not any(map(_memory_column, found)):
        columns = _without(columns, "MEMORY")
    name, *rest = columns
    owner: Column[Node] = Column("OWNER", lambda node: node.owner or "")
    several = len({node.owner for node in found}) > 1
    ctx.out.items(
        found,
        (name, owner, *rest) if several else columns,
        narrow=(
            columns,
            _without(columns, "HOST", "VERSION"),
            _without(columns, "HOST", "VERSION", "MEMORY"),
            _without(columns, "HOST", "VERSION", "MEMORY", "LABELS"),
        ),
        record=node_record,
        key=lambda node: node.name,
        empty="No nodes yet: maestro up creates one for this machine, maestro node create others.",
    )


def _without(columns: tuple[Column[Node], ...], *titles: str) -> tuple[Column[Node], ...]:
    return tuple(column for column in columns if column.title not in titles)


def _memory_column(node: Node) -> str:
    enabled = node.memory_enabled
    return f"{human.size(node.memory_in_use)}/{human.size(enabled)}" if enabled else ""


def _show(ctx: Context) -> None:
    from orchestra.interface.nodes import GetNode

    with ctx.interface() as ask:
        node = ask(GetNode(ctx.args.name))
    ctx.out.item(node, _lines, record=node_record, key=lambda node: node.name)


def _lines(node: Node) -> Iterator[str]:
    yield f"{node.name}   {node.state}"
    yield f"  owner      {node.owner or 'the admins'}"
    for kind, slots, used in node.kinds:
        yield f"  {kind} slots  {used} in use, {slots.enabled} enabled, maximum {slots.maximum}"
    if memory := _memory(node):
        yield f"  memory     {memory}"
    if node.pool:
        yield f"  pool       {node.pool}"
    yield from _when(node)
    if node.seen_at:
        yield f"  pilot      version {node.version} on {node.host}, last seen {local(node.seen_at)}"
        yield f"  runtimes   {human.listed(node.runtimes) or 'none for containers'}"
    else:
        yield f"  pilot      none yet: maestro pilot run -n {node.name}"
    for words in _over(node):
        yield f"  slots      {words}"
    if node.slots_share:
        yield f"  slots      {node.slots_share}"
    if node.labels:
        yield f"  labels     {in_words(node.labels)}"
    yield f"  found      {in_words(found_labels(node))}"
    if node.found.devices:
        yield f"  GPUs       {clean(gpus.in_words(node.found.devices))}"
    if node.message:
        yield f"  says       {clean(node.message)}"
    yield f"  created    {local(node.created_at)}"


def _when(node: Node) -> Iterator[str]:
    """Yield when it takes jobs, and how nice they are."""
    if node.drained_at:
        why = f': "{clean(node.drain_reason)}"' if node.drain_reason else ""
        yield f"  drained    {local(node.drained_at)} by {node.drained_by}{why}"
    if node.drain_at:
        why = f': "{clean(node.drain_at_reason)}"' if node.drain_at_reason else ""
        yield f"  drains     {local(node.drain_at)} by {node.drain_at_by}{why}"
    if node.gone_at:
        yield f"  gone       {local(node.gone_at)}, with its allocation"
    elif node.ends_at:
        yield f"  ends       {local(node.ends_at)}, with its allocation"
    if node.open_hours:
        yield f"  hours      {_hours(node)}"
    if node.nice:
        yield f"  nice       {node.nice}"


def _memory(node: Node) -> str | None:
    """What jobs have asked for, of what they may use: `2 GB in use, 64 GB enabled`."""
    if node.memory_enabled is None:
        return f"{human.size(node.memory_in_use)} in use" if node.memory_in_use else None
    return f"{human.size(node.memory_in_use)} in use, {human.size(node.memory_enabled)} enabled"


def _hours(node: Node) -> str:
    now = hours_now(node, datetime.now(UTC))
    hours = f"open {hours_in_words(node.open_hours or '')}"
    return hours if now == hours else f"{hours}; {now}"


VERBS = (
    Verb(
        "create",
        "create a node with its slots, or several nodes",
        node_change.create,
        node_change.create_arguments,
        example="maestro node create -n caloba21 -ec 0 -mc 0 -eg 2 -mg 2\n"
        "maestro node create -n caloba51 -ec 40 --label rack=3\n"
        "maestro node create -n 'gpu[01-12]' -eg 4",
        output=True,
    ),
    Verb(
        "list",
        "show the nodes and how many of their slots are in use",
        _list,
        example="maestro node list\nmaestro node list -o json",
        output=True,
    ),
    Verb(
        "show",
        "show one node",
        _show,
        node_change.name_argument,
        example="maestro node show -n caloba21",
        output=True,
    ),
    Verb(
        "set",
        "change the slots, settings or owner of a node; running jobs continue, unless new hours end them",
        node_change.set_,
        node_change.set_arguments,
        example="maestro node set -n caloba51 -ec 20 --memory 64GB\n"
        'maestro node set -n caloba51 --open "19:00-07:00,sat,sun" --nice 10\n'
        "maestro node set -n caloba51 --open always\n"
        "maestro node set -n caloba51 --owner bob",
    ),
    Verb(
        "drain",
        "stop starting jobs on a node, now or from a moment on; running jobs continue",
        node_change.drain,
        node_change.drain_arguments,
        example='maestro node drain -n caloba22 --reason "new disk"\n'
        'maestro node drain -n caloba22 --at "Fri 18:00" --reason "new disk"\n'
        "maestro node drain -n 'gpu[01-04,9]' --reason \"new disks\"",
    ),
    Verb(
        "resume",
        "start jobs on a drained node again, or call off a planned drain",
        node_change.resume,
        node_change.names_argument,
        example="maestro node resume -n caloba22",
    ),
    Verb(
        "stop",
        "stop the pilot of a node after its running jobs have ended",
        node_change.stop,
        node_change.names_argument,
        example="maestro node stop -n caloba21",
    ),
    Verb(
        "lost",
        "declare a machine dead and requeue its jobs at once",
        node_change.lost,
        node_change.lost_arguments,
        example='maestro node lost -n caloba22 --reason "power supply burnt"',
    ),
    Verb(
        "delete",
        "delete a node that runs no jobs",
        node_change.delete,
        node_change.names_argument,
        example="maestro node delete -n caloba21",
    ),
)
