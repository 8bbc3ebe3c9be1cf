"""What `pool create` and `pool set` take, and the settings that they mean."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import at_least
from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.pools.walltimes import is_in_minutes, parse_walltime
from orchestra.domain.quantities import parse_duration, parse_size

if TYPE_CHECKING:
    from argparse import Namespace

    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.pools import PoolSettings

NOTHING = "none"
"""Takes a value away, so that the engine's default is used again."""
_TEXTS = ("partition", "account", "qos", "constraint", "gres")


def name_argument(parser: Parser) -> None:
    parser.add_argument("name", metavar="POOL", help="the pool's name")


def setting_arguments(parser: Parser) -> None:
    """Add the options of a pool's settings."""
    parser.takes_dash = frozenset({"--sbatch"})
    _asked(parser)
    _placed(parser)
    _limited(parser)


def _asked(parser: Parser) -> None:
    group = parser.add_argument_group("each allocation")
    group.add_argument(
        "--queue", choices=("cpu", "gpu"), help="whose jobs run there (default cpu, with GPUs gpu)"
    )
    group.add_argument(
        "--cpus", type=at_least("--cpus", 1), metavar="N", help="CPUs on each node (default 1)"
    )
    group.add_argument("--memory", type=_memory, metavar="SIZE", help="memory on each node: 16G")
    group.add_argument("--gpus", type=at_least("--gpus", 0), metavar="N", help="GPUs on each node")
    group.add_argument(
        "--nodes", type=at_least("--nodes", 1), metavar="N", help="nodes, each with a pilot"
    )
    group.add_argument(
        "--walltime",
        type=str,
        metavar="TIME",
        help="its time limit: 4h, 1d, or as in Slurm 04:00:00",
    )


def _placed(parser: Parser) -> None:
    group = parser.add_argument_group("Slurm's options (default: those of the cluster)")
    group.add_argument("--partition", metavar="NAMES", help="partition, or several: long,short")
    group.add_argument("--account", metavar="NAME", help="account to charge")
    group.add_argument("--qos", metavar="NAME", help="quality of service")
    group.add_argument("--constraint", metavar="TEXT", help="features of nodes: a100&nvlink")
    group.add_argument("--gres", metavar="TEXT", help="generic resources: gpu:a100:2")
    group.add_argument(
        "--sbatch",
        action="append",
        metavar="WORDS",
        help='more options of sbatch: "--exclude=n1 -L x"',
    )
    group.add_argument(
        "--keep-slurm-env",
        choices=("on", "off"),
        help="give jobs the variables SLURM_* (default off)",
    )


def _limited(parser: Parser) -> None:
    group = parser.add_argument_group("limits")
    group.add_argument(
        "--max-pilots",
        type=at_least("--max-pilots", 1),
        metavar="N",
        help="pilots at most (default 10)",
    )
    group.add_argument(
        "--min-pilots",
        type=at_least("--min-pilots", 0),
        metavar="N",
        help="pilots kept without work (default 0)",
    )
    group.add_argument(
        "--max-pending",
        type=at_least("--max-pending", 1),
        metavar="N",
        help="allocations pending at a time (default 4)",
    )
    group.add_argument(
        "--min-work",
        type=parse_duration,
        metavar="TIME",
        help="work that is worth one more pilot (default 2m)",
    )
    group.add_argument(
        "--idle",
        type=parse_duration,
        metavar="TIME",
        help="time without a job after which a pilot leaves (default 2m)",
    )


def settings_of(ctx: Context) -> PoolSettings:
    """Return the settings that were typed.

    Raises:
        BadInput: one of them cannot be read.
    """
    from orchestra.domain.models.pools import PoolSettings
    from orchestra.domain.states import Queue

    args = ctx.args
    return PoolSettings(
        queue=Queue(args.queue) if args.queue else None,
        **{name: _text(getattr(args, name)) for name in _TEXTS},
        cpus=args.cpus,
        memory_bytes=args.memory,
        gpus=args.gpus,
        nodes=args.nodes,
        sbatch=_sbatch(args.sbatch),
        keep_slurm_env={"on": True, "off": False}.get(args.keep_slurm_env),
        max_pilots=args.max_pilots,
        min_pilots=args.min_pilots,
        max_pending=args.max_pending,
        walltime=_walltime(ctx, args),
        min_work=args.min_work,
        idle=args.idle,
    )


def _text(typed: str | None) -> str | None:
    return "" if typed == NOTHING else typed


def _memory(typed: str) -> int:
    return 0 if typed == NOTHING else parse_size(typed)


def _walltime(ctx: Context, args: Namespace) -> float | None:
    typed: str | None = args.walltime
    if typed is None or typed == NOTHING:
        return None if typed is None else 0.0
    seconds = parse_walltime(typed)
    if is_in_minutes(typed):
        ctx.out.note(
            f"note: --walltime {typed} is {typed} minutes, as in Slurm; {typed}h would be hours"
        )
    return seconds or -1.0  # refused as too short


def _sbatch(typed: list[str] | None) -> tuple[str, ...] | None:
    if typed is None:
        return None
    if typed == [NOTHING]:
        return ()
    try:
        return tuple(word for words in typed for word in shlex.split(words))
    except ValueError:
        raise BadInput(f'--sbatch "{one_line(" ".join(typed))}" has a quote too many.') from None
