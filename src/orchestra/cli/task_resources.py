"""The options that say what a job needs and which nodes may run it, of `task create`, `clone`, `set` and `run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestra.cli.argument_types import Amount, at_least
from orchestra.domain.errors import BadInput
from orchestra.domain.quantities import parse_gpus

if TYPE_CHECKING:
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.placement import Placement
    from orchestra.domain.models.tasks import Resources
    from orchestra.domain.states import Queue

NONE = "none"


def arguments(parser: Parser) -> None:
    """Add what a new task can ask for."""
    needs = parser.add_argument_group("resources of a job")
    cpu_arguments(needs)
    needs.add_argument(
        "--gpus",
        type=some_gpus(0),
        default=(0, None),
        metavar="N",
        help="GPUs (queue gpu: 1); 0.5 is half of one, which other jobs share",
    )
    for option, text in AMOUNTS.items():
        needs.add_argument(option, action=Amount, metavar=unit(option), help=text)
    needs.add_argument("--exclusive", action="store_true", help="run no other job on its node")
    where = parser.add_argument_group("which nodes")
    for option, (metavar, text) in WHERE.items():
        where.add_argument(option, action="append", metavar=metavar, help=text)


AMOUNTS = {
    "--gpu-memory": "memory needed on each GPU; of a shared one it is the part that is taken: 20GB",
    "--memory": "memory that the node must have free, and a limit; a job that uses more is ended: 4GB",
    "--scratch": "room needed on the node's own disk, for $ORCHESTRA_SCRATCH: 20GB",
    "--walltime": "time that a job takes at most, to plan with; it ends no job (default: --timeout): 2h",
}
WHERE = {
    "--constraint": (
        "LABELS",
        "only nodes with these labels: 'gpu=a100|h100', 'memory>=64GB,rack=3'; in quotes",
    ),
    "--node": ("NODE", "only these nodes: 'gpu[01-04]'; can be repeated"),
    "--not-node": ("NODE", "not these nodes; can be repeated"),
}


def unit(option: str) -> str:
    """The metavar of an amount."""
    return "TIME" if option == "--walltime" else "SIZE"


def cpu_arguments(parser: Any) -> None:
    """Add the options of CPU slots."""
    parser.add_argument(
        "--cpus",
        type=at_least("--cpus", 0),
        metavar="N",
        help="CPU slots (default 1; queue gpu: none unless given)",
    )
    parser.add_argument(
        "--cores",
        type=at_least("--cores", 1),
        metavar="N",
        help="the same; on queue gpu processors that libraries use, which take no slot",
    )


def some_gpus(least: int) -> Callable[[str], tuple[int, int | None]]:
    """Return a function that parses a number of GPUs, or a part of one."""

    def read(text: str) -> tuple[int, int | None]:
        gpus, milli = parse_gpus(text)
        if gpus < least:
            raise BadInput(f'--gpus needs at least {least}, or a part of one, not "{text}".')
        return gpus, milli

    return read


def resources_of(args: Any, queue: Queue) -> Resources:
    """Return what the options ask for.

    Raises:
        BadInput: two of them contradict each other.
    """
    from orchestra.domain.models.tasks import Resources
    from orchestra.domain.task_resources import with_cpus

    gpus, milli = args.gpus
    asked = Resources(
        gpus=gpus,
        gpu_milli=milli,
        vram_bytes=args.gpu_memory,
        memory_bytes=args.memory,
        scratch_bytes=args.scratch,
        exclusive=args.exclusive,
    )
    return with_cpus(queue, asked, args.cpus, args.cores)


def placement_of(args: Any) -> Placement:
    """Return which nodes the options allow.

    Raises:
        BadInput: one of them cannot be understood.
    """
    from orchestra.domain.placement import placement_of

    return placement_of(
        constraint_of(args.constraint) or "",
        nodes_of(args.node) or (),
        nodes_of(args.not_node) or (),
    )


def constraint_of(given: list[str] | None) -> str | None:
    """Return what several `--constraint` say together; `none` says nothing."""
    return None if given is None else ",".join(text for text in given if not _is_none(text))


def nodes_of(given: list[str] | None) -> tuple[str, ...] | None:
    """Return the words of several `--node`; `none` names no node."""
    return None if given is None else tuple(word for word in given if not _is_none(word))


def _is_none(text: str) -> bool:
    return text.strip().lower() == NONE
