"""`maestro node create` and the other changes of nodes, of one or of many."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import whole
from orchestra.cli.node_record import node_record
from orchestra.cli.node_settings import confirm_closing, in_sentence, setting_arguments, settings_of
from orchestra.domain import human
from orchestra.domain.errors import BadInput, Cancelled

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.nodes import Node, Slots, SlotsWanted


def name_argument(parser: Parser) -> None:
    parser.add_argument("-n", "--name", required=True, metavar="NODE", help="the node's name")


def names_argument(parser: Parser) -> None:
    parser.add_argument(
        "-n",
        "--name",
        required=True,
        metavar="NODE",
        help="the node's name, or several in quotes: 'gpu[01-12]', 'gpu[1,3,7-9]'",
    )


def _names(ctx: Context) -> tuple[str, ...]:
    from orchestra.domain.node_ranges import expand

    return expand(ctx.args.name)


def _subject(ctx: Context, names: Sequence[object]) -> str:
    """What a sentence is about: `node gauss`, `12 nodes gpu[01-12]`."""
    return f"node {ctx.args.name}" if len(names) == 1 else f"{len(names)} nodes {ctx.args.name}"


def create_arguments(parser: Parser) -> None:
    slot_arguments(parser)
    setting_arguments(parser)


def slot_arguments(parser: Parser) -> None:
    names_argument(parser)
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


def set_arguments(parser: Parser) -> None:
    slot_arguments(parser)
    setting_arguments(parser)
    parser.add_argument("--owner", metavar="USER", help="give the node to this user")
    parser.add_argument(
        "-y", "--yes", action="store_true", help="do not ask before hours end running jobs"
    )


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


def create(ctx: Context) -> None:
    from orchestra.interface.node_groups import CreateNodes

    names, (cpu, gpu), settings = _names(ctx), _slots_wanted(ctx), settings_of(ctx)
    with ctx.interface() as ask:
        created = ask(CreateNodes(names, cpu, gpu, settings))
    first = created[0]
    each = " each" if len(created) > 1 else ""
    more = in_sentence(created, settings)
    if len(created) == 1 or ctx.out.for_people:
        ctx.out.item(
            first,
            lambda node: [f"{_subject(ctx, created)}: {_slots_in_words(node)}{each}{more}"],
            record=node_record,
            key=lambda node: node.name,
        )
    else:
        ctx.out.items(created, (), record=node_record, key=lambda node: node.name, empty="")
    name = shlex.quote(ctx.args.name)
    if not first.cpu.maximum and not first.gpu.maximum:
        it = "They take no jobs until they have" if each else "It takes no jobs until it has"
        ctx.out.note(f"{it} slots: maestro node set -n {name} -ec N")
    if ctx.out.for_people:
        where = "each machine: maestro pilot run -n NODE" if each else None
        ctx.out.note(f"Start its pilot on {where or f'that machine: maestro pilot run -n {name}'}")


def set_(ctx: Context) -> None:
    from orchestra.domain.models.nodes import UNCHANGED
    from orchestra.interface.node_groups import SetNodes

    names, (cpu, gpu) = _names(ctx), _slots_wanted(ctx)
    owner, settings = ctx.args.owner, settings_of(ctx)
    given = (owner, cpu.enabled, cpu.maximum, gpu.enabled, gpu.maximum)
    if all(each is None for each in given) and settings == UNCHANGED:
        raise BadInput(
            "there is nothing to change.",
            hint="Use at least one of -ec, -mc, -eg, -mg, --memory, --open, --nice, --label, --owner.",
        )
    with ctx.interface() as ask:
        confirm_closing(ctx, ask, names, settings.open_hours)
        nodes = ask(SetNodes(names, cpu, gpu, owner, settings))
    one = len(nodes) == 1
    whose = f"; {'it belongs' if one else 'they belong'} to user {nodes[0].owner}" if owner else ""
    kinds = {_slots_in_words(node) for node in nodes}
    what = kinds.pop() + ("" if one else " each") if len(kinds) == 1 else "changed"
    ctx.out.say(f"{_subject(ctx, nodes)}: {what}{in_sentence(nodes, settings)}{whose}")
    for node in nodes:
        _note_over(ctx, node, "" if one else f" of {node.name}")


def _note_over(ctx: Context, node: Node, where: str) -> None:
    for kind, slots, used in node.kinds:
        if used > slots.enabled:
            ctx.out.note(f"{used} {kind} slots{where} are in use; the jobs there run to their end.")


def _slots_in_words(node: Node) -> str:
    return human.listed([_kind_in_words("CPU", node.cpu), _kind_in_words("GPU", node.gpu)])


def _kind_in_words(kind: str, slots: Slots) -> str:
    more = f" of {slots.maximum}" if slots.maximum != slots.enabled else ""
    return f"{slots.enabled}{more} {kind} slot{'' if slots.enabled == 1 and not more else 's'}"


def drain_arguments(parser: Parser) -> None:
    names_argument(parser)
    parser.add_argument("-r", "--reason", metavar="TEXT", help="reason, shown by `node list`")
    parser.add_argument(
        "--at",
        metavar="TIME",
        help="from then on: 18:00, Fri 18:00, tomorrow 07:30, 2026-12-01 18:00; jobs that cannot end before it are "
        "not started",
    )


def drain(ctx: Context) -> None:
    from orchestra.domain.moments import parse_moment, shown
    from orchestra.interface.node_groups import DrainNodes

    names = _names(ctx)
    at = parse_moment(ctx.args.at, datetime.now(UTC)) if ctx.args.at is not None else None
    with ctx.interface() as ask:
        nodes = ask(DrainNodes(names, ctx.args.reason, at))
    if at:
        ctx.out.say(
            f"{_subject(ctx, nodes)} {_verb(nodes, 'takes', 'take')} no new jobs from {shown(at)} on; until then only "
            "those that end in time"
        )
        ctx.out.note(f"To call it off: maestro node resume -n {shlex.quote(ctx.args.name)}")
        return
    used = sum(node.cpu_in_use + node.gpu_in_use for node in nodes)
    rest = f"; {human.count(used, 'slot')} in use until the jobs there end" if used else ""
    ctx.out.say(f"{_subject(ctx, nodes)} {_verb(nodes, 'takes', 'take')} no new jobs{rest}")
    ctx.out.note(f"To take jobs again: maestro node resume -n {shlex.quote(ctx.args.name)}")


def resume(ctx: Context) -> None:
    from orchestra.interface.node_groups import ResumeNodes

    names = _names(ctx)
    with ctx.interface() as ask:
        resumed = ask(ResumeNodes(names))
    if not resumed:
        ctx.out.say(f"{_subject(ctx, names)} {_verb(names, 'was', 'were')} not drained")
        return
    ctx.out.say(f"{_some_of(ctx, names, resumed)} {_verb(resumed, 'takes', 'take')} jobs again")


def stop(ctx: Context) -> None:
    from orchestra.interface.node_groups import StopNodes

    names = _names(ctx)
    with ctx.interface() as ask:
        stopping = ask(StopNodes(names))
    if not stopping:
        ctx.out.say(f"no pilot is online on {_subject(ctx, names)}")
        return
    whose = _verb(
        stopping,
        "takes no new jobs; its pilot stops",
        "take no new jobs; their pilots stop",
    )
    ctx.out.say(f"{_some_of(ctx, names, stopping)} {whose} when the running jobs have ended")


def _some_of(ctx: Context, names: Sequence[str], some: Sequence[str]) -> str:
    """Return `node gauss`, `12 nodes gpu[01-12]`, or `3 of 12 nodes gpu[01-12]`."""
    few = f"{len(some)} of " if len(some) < len(names) else ""
    return few + _subject(ctx, names)


def _verb(nodes: Sequence[object], of_one: str, of_several: str) -> str:
    return of_one if len(nodes) == 1 else of_several


def lost_arguments(parser: Parser) -> None:
    names_argument(parser)
    parser.add_argument("-r", "--reason", metavar="TEXT", help="reason, recorded with its jobs")
    parser.add_argument("--force", action="store_true", help="even if its pilot is online")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def lost(ctx: Context) -> None:
    from orchestra.interface.node_changes import AttemptsAtStake, LoseNode

    names = _names(ctx)
    with ctx.interface() as ask:
        affected = sum(ask(AttemptsAtStake(name, ctx.args.force)) for name in names)
        question = (
            f"Run the {human.count(affected, 'job')} of {_subject(ctx, names)} on other nodes? Only if "
            f"{_verb(names, 'that machine is', 'those machines are')} certainly off: otherwise they run twice."
        )
        if affected and not ctx.out.ask(question, yes=ctx.args.yes):
            raise Cancelled
        requeued = sum(ask(LoseNode(name, ctx.args.reason, ctx.args.force)) for name in names)
    jobs = human.count(requeued, "job")
    ctx.out.say(f"{_subject(ctx, names)} {_verb(names, 'is', 'are')} lost; {jobs} requeued")


def delete(ctx: Context) -> None:
    from orchestra.interface.node_groups import DeleteNodes

    names = _names(ctx)
    with ctx.interface() as ask:
        ask(DeleteNodes(names))
    ctx.out.say(f"{_subject(ctx, names)} deleted")
