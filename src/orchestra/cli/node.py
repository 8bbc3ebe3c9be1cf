"""`maestro node`: nodes and their slots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import whole
from orchestra.cli.output import Record, ago, clean, local
from orchestra.cli.registry import Verb
from orchestra.cli.table import Column, Fit
from orchestra.domain import human
from orchestra.domain.errors import BadInput, Cancelled

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.nodes import Node, Slots, SlotsWanted


def _name_argument(parser: Parser) -> None:
    parser.add_argument("-n", "--name", required=True, metavar="NODE", help="the node's name")


def _slot_arguments(parser: Parser) -> None:
    _name_argument(parser)
    slots = parser.add_argument_group("slots")
    slots.add_argument(
        *("-ec", "--enabledCPUSlots"), type=whole, metavar="N", help="number of enabled CPU slots"
    )
    slots.add_argument(
        *("-mc", "--maxNumberOfCPUSlots"),
        type=whole,
        action="append",
        metavar="N",
        help="maximum of CPU slots (default: those enabled); if given twice, the second is for GPU slots",
    )
    slots.add_argument(
        *("-eg", "--enabledGPUSlots"), type=whole, metavar="N", help="number of enabled GPU slots"
    )
    slots.add_argument(
        *("-mg", "--maxNumberOfGPUSlots"),
        type=whole,
        metavar="N",
        help="maximum of GPU slots (default: those enabled)",
    )


def _set_arguments(parser: Parser) -> None:
    _slot_arguments(parser)
    parser.add_argument("--owner", metavar="USER", help="give the node to this user")


def _slots_wanted(ctx: Context) -> tuple[SlotsWanted, SlotsWanted]:
    from orchestra.domain.models.nodes import SlotsWanted

    args = ctx.args
    maxima: list[int] = args.maxNumberOfCPUSlots or []
    gpu_maximum = args.maxNumberOfGPUSlots
    if len(maxima) > (1 if gpu_maximum is not None else 2):
        raise BadInput("-mc was given too often.", hint="-mc is for CPU slots, -mg for GPU slots.")
    if len(maxima) == 2:
        gpu_maximum = maxima[1]
    cpu = SlotsWanted("CPU", args.enabledCPUSlots, maxima[0] if maxima else None)
    return cpu, SlotsWanted("GPU", args.enabledGPUSlots, gpu_maximum)


def _create(ctx: Context) -> None:
    from orchestra.interface.node_changes import CreateNode

    cpu, gpu = _slots_wanted(ctx)
    with ctx.interface() as ask:
        node = ask(CreateNode(ctx.args.name, cpu, gpu))
    ctx.out.item(
        node,
        lambda node: [f"node {node.name}: {_slots_in_words(node)}"],
        record=_record,
        key=lambda node: node.name,
    )
    if not node.cpu.maximum and not node.gpu.maximum:
        ctx.out.note(f"It takes no jobs until it has slots: maestro node set -n {node.name} -ec N")
    if ctx.out.for_people:
        ctx.out.note(f"Start its pilot on that machine: maestro pilot run -n {node.name}")


def _set(ctx: Context) -> None:
    from orchestra.interface.node_changes import SetNode

    cpu, gpu = _slots_wanted(ctx)
    owner = ctx.args.owner
    given = (owner, cpu.enabled, cpu.maximum, gpu.enabled, gpu.maximum)
    if all(each is None for each in given):
        raise BadInput(
            "there is nothing to change.", hint="Use at least one of -ec, -mc, -eg, -mg, --owner."
        )
    with ctx.interface() as ask:
        node = ask(SetNode(ctx.args.name, cpu, gpu, owner))
    whose = f"; it belongs to user {node.owner}" if owner else ""
    ctx.out.say(f"node {node.name}: {_slots_in_words(node)}{whose}")
    for kind, slots, used in (
        ("CPU", node.cpu, node.cpu_in_use),
        ("GPU", node.gpu, node.gpu_in_use),
    ):
        if used > slots.enabled:
            ctx.out.note(f"{used} {kind} slots are in use; the jobs there run to their end.")


def _slots_in_words(node: Node) -> str:
    return human.listed([_kind_in_words("CPU", node.cpu), _kind_in_words("GPU", node.gpu)])


def _kind_in_words(kind: str, slots: Slots) -> str:
    more = f" of {slots.maximum}" if slots.maximum != slots.enabled else ""
    return f"{slots.enabled}{more} {kind} slot{'' if slots.enabled == 1 and not more else 's'}"


def state_of(node: Node) -> str:
    """Return the state of a node in one word."""
    if node.online:
        return "drained" if node.drained_at else "online"
    return "offline"


def _slots_column(slots: Slots, used: int) -> str:
    most = f" ({slots.maximum})" if slots.maximum != slots.enabled else ""
    over = f" +{used - slots.enabled}" if used > slots.enabled else ""
    return f"{min(used, slots.enabled)}/{slots.enabled}{over}{most}"


def _over(node: Node) -> Iterator[str]:
    """Yield which slots are still in use although they are no longer enabled."""
    for kind, slots, used in (
        ("CPU", node.cpu, node.cpu_in_use),
        ("GPU", node.gpu, node.gpu_in_use),
    ):
        if used > slots.enabled:
            jobs = human.count(used - slots.enabled, f"{kind} slot")
            yield f"{jobs} more than enabled in use, until jobs there end"


def _note(node: Node) -> str:
    notes = []
    if node.drained_at:
        why = f': "{node.drain_reason}"' if node.drain_reason else ""
        notes.append(f"drained {ago(node.drained_at)} by {node.drained_by}{why}")
    notes += _over(node)
    if node.message:
        notes.append(node.message)
    if not notes and node.seen_at is None:
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
        Column("STATE", state_of, state=True),
        Column("CPU", lambda node: _slots_column(node.cpu, node.cpu_in_use), right=True),
        Column("GPU", lambda node: _slots_column(node.gpu, node.gpu_in_use), right=True),
        Column("SEEN", lambda node: ago(node.seen_at) if node.seen_at else "never", fit=Fit.WHOLE),
        Column("HOST", lambda node: node.host or ""),
        Column("VERSION", lambda node: node.version or "", fit=Fit.WHOLE),
        Column("NOTE", _note, fit=Fit.FOLD),
    )
    name, *rest = columns
    owner: Column[Node] = Column("OWNER", lambda node: node.owner or "")
    several = len({node.owner for node in found}) > 1
    ctx.out.items(
        found,
        (name, owner, *rest) if several else columns,
        narrow=(columns, tuple(c for c in columns if c.title not in ("HOST", "VERSION"))),
        record=_record,
        key=lambda node: node.name,
        empty="No nodes yet: maestro up creates one for this machine, maestro node create others.",
    )


def _record(node: Node) -> Record:
    return {
        "name": node.name,
        "owner": node.owner,
        "state": state_of(node),
        "online": node.online,
        "cpu": {"in_use": node.cpu_in_use, "enabled": node.cpu.enabled, "max": node.cpu.maximum},
        "gpu": {"in_use": node.gpu_in_use, "enabled": node.gpu.enabled, "max": node.gpu.maximum},
        "drained_at": node.drained_at,
        "drained_by": node.drained_by,
        "drain_reason": node.drain_reason,
        "seen_at": node.seen_at,
        "host": node.host,
        "version": node.version,
        "runtimes": [_runtime_record(runtime) for runtime in node.runtimes],
        "message": node.message,
        "created_at": node.created_at,
    }


def _runtime_record(runtime: str) -> Record:
    name, _, version = runtime.partition(" ")
    return {"name": name, "version": version or None}


def _show(ctx: Context) -> None:
    from orchestra.interface.nodes import GetNode

    with ctx.interface() as ask:
        node = ask(GetNode(ctx.args.name))
    ctx.out.item(node, _lines, record=_record, key=lambda node: node.name)


def _lines(node: Node) -> Iterator[str]:
    yield f"{node.name}   {state_of(node)}"
    yield f"  owner      {node.owner or 'the admins'}"
    for kind, slots, used in (
        ("CPU", node.cpu, node.cpu_in_use),
        ("GPU", node.gpu, node.gpu_in_use),
    ):
        yield f"  {kind} slots  {used} in use, {slots.enabled} enabled, maximum {slots.maximum}"
    if node.drained_at:
        why = f': "{clean(node.drain_reason)}"' if node.drain_reason else ""
        yield f"  drained    {local(node.drained_at)} by {node.drained_by}{why}"
    if node.seen_at:
        yield f"  pilot      version {node.version} on {node.host}, last seen {local(node.seen_at)}"
        yield f"  runtimes   {human.listed(node.runtimes) or 'none for containers'}"
    else:
        yield f"  pilot      none yet: maestro pilot run -n {node.name}"
    for words in _over(node):
        yield f"  slots      {words}"
    if node.message:
        yield f"  says       {clean(node.message)}"
    yield f"  created    {local(node.created_at)}"


def _drain_arguments(parser: Parser) -> None:
    _name_argument(parser)
    parser.add_argument("-r", "--reason", metavar="TEXT", help="reason, shown by `node list`")


def _drain(ctx: Context) -> None:
    from orchestra.interface.node_changes import DrainNode

    with ctx.interface() as ask:
        node = ask(DrainNode(ctx.args.name, ctx.args.reason))
    used = node.cpu_in_use + node.gpu_in_use
    rest = f"; {human.count(used, 'slot')} in use until the jobs there end" if used else ""
    ctx.out.say(f"node {node.name} takes no new jobs{rest}")
    ctx.out.note(f"To take jobs again: maestro node resume -n {node.name}")


def _resume(ctx: Context) -> None:
    from orchestra.interface.node_changes import ResumeNode

    with ctx.interface() as ask:
        resumed = ask(ResumeNode(ctx.args.name))
    ctx.out.say(f"node {ctx.args.name} {'takes jobs again' if resumed else 'was not drained'}")


def _stop(ctx: Context) -> None:
    from orchestra.interface.node_changes import StopNode

    with ctx.interface() as ask:
        asked = ask(StopNode(ctx.args.name))
    if asked:
        ctx.out.say(
            f"node {ctx.args.name} takes no new jobs; its pilot stops when the running jobs have ended"
        )
    else:
        ctx.out.say(f"no pilot is online on node {ctx.args.name}")


def _lost_arguments(parser: Parser) -> None:
    _name_argument(parser)
    parser.add_argument("-r", "--reason", metavar="TEXT", help="reason, recorded with its jobs")
    parser.add_argument("--force", action="store_true", help="even if its pilot is online")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _lost(ctx: Context) -> None:
    from orchestra.interface.node_changes import AttemptsAtStake, LoseNode

    name = ctx.args.name
    with ctx.interface() as ask:
        affected = ask(AttemptsAtStake(name, ctx.args.force))
        question = (
            f"Run the {human.count(affected, 'job')} of node {name} on other nodes? "
            "Only if that machine is certainly off: otherwise they run twice."
        )
        if affected and not ctx.out.ask(question, yes=ctx.args.yes):
            raise Cancelled
        requeued = ask(LoseNode(name, ctx.args.reason, ctx.args.force))
    ctx.out.say(f"node {name} is lost; {human.count(requeued, 'job')} requeued")


def _delete(ctx: Context) -> None:
    from orchestra.interface.node_changes import DeleteNode

    with ctx.interface() as ask:
        ask(DeleteNode(ctx.args.name))
    ctx.out.say(f"node {ctx.args.name} deleted")


VERBS = (
    Verb(
        "create",
        "create a node with its slots",
        _create,
        _slot_arguments,
        example="maestro node create -n caloba21 -ec 0 -mc 0 -eg 2 -mg 2\n"
        "maestro node create -n caloba51 -ec 40",
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
        _name_argument,
        example="maestro node show -n caloba21",
        output=True,
    ),
    Verb(
        "set",
        "change the slots or the owner of a node; running jobs continue",
        _set,
        _set_arguments,
        example="maestro node set -n caloba51 -ec 20\nmaestro node set -n caloba51 --owner bob",
    ),
    Verb(
        "drain",
        "stop starting jobs on a node; running jobs continue",
        _drain,
        _drain_arguments,
        example='maestro node drain -n caloba22 --reason "new disk"',
    ),
    Verb(
        "resume",
        "start jobs on a drained node again",
        _resume,
        _name_argument,
        example="maestro node resume -n caloba22",
    ),
    Verb(
        "stop",
        "stop the pilot of a node after its running jobs have ended",
        _stop,
        _name_argument,
        example="maestro node stop -n caloba21",
    ),
    Verb(
        "lost",
        "declare a machine dead and requeue its jobs at once",
        _lost,
        _lost_arguments,
        example='maestro node lost -n caloba22 --reason "power supply burnt"',
    ),
    Verb(
        "delete",
        "delete a node that runs no jobs",
        _delete,
        _name_argument,
        example="maestro node delete -n caloba21",
    ),
)
