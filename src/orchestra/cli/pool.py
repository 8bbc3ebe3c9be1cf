"""`maestro pool`: pilots that an engine starts when there is work. The changes are in `pool_change`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestra.cli import pool_change, pool_options
from orchestra.cli.argument_types import at_least
from orchestra.cli.pool_record import pool_record
from orchestra.cli.registry import Verb, later
from orchestra.cli.table import Column, Fit
from orchestra.command_words import worded
from orchestra.domain.pools import pool_text

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.pools import Pool


def _list(ctx: Context) -> None:
    from orchestra.interface.pools import ListPools

    with ctx.interface() as ask:
        found = ask(ListPools())
    now = datetime.now(UTC)
    columns: tuple[Column[Pool], ...] = (
        Column("POOL", lambda pool: pool.name, fit=Fit.START),
        Column("STATE", lambda pool: pool_text.state_of(pool, now), state=True),
        Column("QUEUE", lambda pool: pool.spec.queue.value, fit=Fit.WHOLE),
        Column("RUNNING", _running, right=True),
        Column("PENDING", lambda pool: len(pool_text.pending(pool)), right=True),
        Column("JOBS", lambda pool: sum(each.running for each in pool.live), right=True),
        Column("NODE SIZE", lambda pool: pool_text.size_in_words(pool.spec)),
        Column("ENGINE", _engine),
        Column("WHY", lambda pool: worded(pool_text.why(pool, now)), fit=Fit.FOLD),
    )
    narrow = (
        tuple(each for each in columns if each.title not in ("NODE SIZE", "ENGINE")),
        tuple(
            each for each in columns if each.title not in ("NODE SIZE", "ENGINE", "JOBS", "QUEUE")
        ),
    )
    ctx.out.items(
        found,
        columns,
        narrow=narrow,
        record=lambda pool: pool_record(pool, now),
        key=lambda pool: pool.name,
        empty="No pools yet: maestro pool create NAME --engine slurm creates one.",
    )


def _running(pool: Pool) -> str:
    counts = pool_text.counts(pool)
    return f"{counts.running}/{counts.most}"


def _engine(pool: Pool) -> str:
    where = pool_text.choices_in_words(pool.spec)
    return f"{pool.engine}, {where}" if where else pool.engine


def _show_arguments(parser: Parser) -> None:
    pool_options.name_argument(parser)
    parser.add_argument(
        "--script",
        action="store_true",
        help="print what an allocation runs: the batch script, with its sbatch command",
    )
    parser.add_argument(
        "--last",
        type=at_least("--last", 0),
        default=5,
        metavar="N",
        help="ended allocations to show (default 5)",
    )


VERBS = (
    Verb(
        "create",
        "create a pool: pilots that come when there is work, and leave when there is none",
        pool_change.create,
        pool_change.create_arguments,
        description="Create a pool: pilots that an engine such as Slurm starts when jobs wait, and that leave when "
        "none do. Without options: the default partition, one CPU. Nothing is submitted before maestro pool run "
        "runs it.",
        example="maestro pool create small --engine slurm\n"
        "maestro pool create long --engine slurm --partition long --cpus 16 --memory 64G --walltime 1d\n"
        "maestro pool create a100 --engine slurm --gres gpu:a100:2 --cpus 8 --account physics --max-pilots 4\n"
        'maestro pool create wide --engine slurm --nodes 4 --sbatch "--exclusive --exclude=n7"',
        output=True,
    ),
    Verb(
        "list",
        "show the pools, what runs, what is pending, and why",
        _list,
        example="maestro pool list\nmaestro pool list -o json",
        output=True,
    ),
    Verb(
        "show",
        "show one pool: its allocations, its latest decision, and what holds it back",
        later("orchestra.cli.pool_show:show"),
        _show_arguments,
        example="maestro pool show long\nmaestro pool show long --script",
        output=True,
    ),
    Verb(
        "dry-run",
        "show what the pool would submit or withdraw now, and why; nothing is done",
        later("orchestra.cli.pool_dry_run:dry_run"),
        pool_options.name_argument,
        example="maestro pool dry-run long",
        output=True,
    ),
    Verb(
        "set",
        "change a pool; allocations that exist stay as they are",
        pool_change.set_,
        pool_change.set_arguments,
        description="Change a pool; allocations that exist stay as they are. The word none takes a value away, so that "
        "the engine's default is used again.",
        example="maestro pool set long --max-pilots 20 --walltime 2d\n"
        "maestro pool set long --partition none --sbatch none\n"
        "maestro pool set long --owner bob",
    ),
    Verb(
        "run",
        "submit pilots for pools, on a machine where sbatch is",
        later("orchestra.cli.local.pool_run:run"),
        later("orchestra.cli.local.pool_run:arguments"),
        description="Submit pilots for pools when there is work, and watch them. It runs where the batch system's "
        "commands are, such as a login node, under the account whose pilots they are to be. Of several processes for "
        "one pool one acts, and another one takes over when it ends. It is also a conductor, because while no pilot "
        "serves, there is no other one. Ctrl-C ends it; allocations and their jobs go on.",
        example="maestro pool run long\nmaestro pool run cpu gpu",
    ),
    Verb(
        "pause",
        "submit nothing more: pending allocations are withdrawn, running ones go on",
        pool_change.pause,
        pool_change.pause_arguments,
        example='maestro pool pause long --reason "the cluster moves on Friday"',
    ),
    Verb(
        "resume",
        "submit again, at once, also where the pool waits after a refusal",
        pool_change.resume,
        pool_options.name_argument,
        example="maestro pool resume long",
    ),
    Verb(
        "delete",
        "delete a pool, and end its allocations with --drain or --now",
        pool_change.delete,
        pool_change.delete_arguments,
        description="Delete a pool, at once if it has no allocations. With --drain its pilots take no new jobs and "
        "leave when the running ones have ended; with --now they end at once, and their jobs run again elsewhere. "
        "Finished jobs and their results stay.",
        example="maestro pool delete long\nmaestro pool delete long --drain\nmaestro pool delete long --now",
    ),
)
