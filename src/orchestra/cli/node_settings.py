"""Options of `maestro node create` and `node set` besides slots: labels, memory, hours, niceness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import whole
from orchestra.domain import human
from orchestra.domain.errors import BadInput, Cancelled
from orchestra.domain.labels import in_words, parse_label
from orchestra.domain.node_text import hours_in_words
from orchestra.domain.quantities import parse_size

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.nodes import Node, NodeSettings
    from orchestra.interface.operation import Interface

ALL_MEMORY = ("0", "all")


def setting_arguments(parser: Parser) -> None:
    """Add the options."""
    settings = parser.add_argument_group("settings")
    settings.add_argument(
        "--memory",
        metavar="SIZE",
        help="memory that jobs may use together, such as 64GB; all: what the machine has (default)",
    )
    settings.add_argument(
        "--open",
        metavar="HOURS",
        help="when jobs may run, by the node's clock: 19:00-07:00,sat,sun; always: no hours (default)",
    )
    settings.add_argument(
        "--nice",
        type=whole,
        metavar="N",
        help="added to the niceness of jobs, up to 19, so that other programs go first (default: 0)",
    )
    settings.add_argument(
        "--label",
        type=parse_label,
        action="append",
        default=[],
        dest="labels",
        metavar="NAME=VALUE",
        help="label for --constraint of tasks: gpu=a100, rack=3; NAME= removes it; can be repeated",
    )


def settings_of(ctx: Context) -> NodeSettings:
    """Return what the options say.

    Raises:
        BadInput: a value cannot be understood.
    """
    from orchestra.domain.models.nodes import NodeSettings
    from orchestra.domain.node_settings import checked

    args = ctx.args
    settings = NodeSettings(dict(args.labels), _memory(args.memory), args.open, args.nice)
    return checked(settings)


def _memory(text: str | None) -> int | None:
    if text is None:
        return None
    if text.strip().lower() in ALL_MEMORY:
        return 0
    try:
        return parse_size(text)
    except BadInput as error:
        raise BadInput(error.message, hint='For example 64GB, or "all".') from None


def confirm_closing(ctx: Context, ask: Interface, names: Sequence[str], hours: str | None) -> None:
    """Ask before hours close nodes on which jobs run.

    Raises:
        Cancelled: the answer was no.
        BadInput: there is no terminal to ask at, and no --yes.
    """
    from orchestra.interface.node_changes import AttemptsEndedByHours

    if hours is None:
        return
    ended = sum(ask(AttemptsEndedByHours(name, hours)) for name in names)
    closed = f"node {names[0]} is" if len(names) == 1 else "some of these nodes are"
    question = (
        f"By these hours, {closed} closed now. End {human.count(ended, 'job')} there? They run again elsewhere or "
        "later, which costs no retry."
    )
    if ended and not ctx.out.ask(question, yes=ctx.args.yes):
        raise Cancelled


def in_sentence(nodes: Sequence[Node], settings: NodeSettings) -> str:
    """What was set, for the sentence that names the nodes: `; memory 64 GB; nice 10`."""
    return "".join(f"; {part}" for part in _parts(nodes[0], nodes, settings))


def _parts(node: Node, nodes: Sequence[Node], settings: NodeSettings) -> Iterator[str]:
    if settings.memory_bytes is not None:
        yield f"memory {human.size(node.memory_bytes) if node.memory_bytes else 'as found'}"
    if settings.open_hours is not None:
        yield f"open {hours_in_words(node.open_hours)}" if node.open_hours else "always open"
    if settings.nice is not None:
        yield f"nice {node.nice}"
    if settings.labels:
        yield _labels_in_words(nodes)


def _labels_in_words(nodes: Sequence[Node]) -> str:
    """What labels nodes have now: `labels gpu=a100, rack=3`."""
    if any(node.labels != nodes[0].labels for node in nodes):
        return "labels changed"
    return f"labels {in_words(nodes[0].labels)}" if nodes[0].labels else "no labels"
