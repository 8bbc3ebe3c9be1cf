"""`maestro dataset sweep`: write a data set of configs from a description of what varies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestra.cli import uploading
from orchestra.cli.dataset_record import contents, note_texts, record
from orchestra.cli.output import Record, clean
from orchestra.domain import human
from orchestra.domain.errors import BadInput, Cancelled

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.datasets import DataSet, Manifest
    from orchestra.files.sweeps import Plan, Written

DESCRIPTION = """Write one config for each point of a sweep into a new folder, and register them as a data set.
--grid and --seeds describe a small sweep, or add to the grid of a file. The file is YAML, JSON or TOML. Its sections
grid, list, zip and random are combined with each other:

  base:                            # values of every config
    epochs: 30
  grid:                            # every combination
    hidden: [16, 32, 64]
    optimizer.lr: {geomspace: [0.001, 0.1, 3]}    # a value within optimizer
    seed: {range: [0, 5]}                         # 0 1 2 3 4
  list:                            # these points
    - {model: small, batch: 64}
    - {model: large, batch: 8}
  zip:                             # the first of each, the second of each, ...
    width: [1, 2]
    depth: [2, 1]
  random:                          # this many points, the same ones each time
    points: 20
    seed: 1
    values:
      dropout: {uniform: [0, 0.5]}
      l2: {loguniform: [1.0e-6, 0.01]}
      layers: {integer: [1, 8]}
      activation: [relu, tanh]
  template: train.cfg              # a file of your own with {{hidden}}
  format: yaml                     # without a template; json unless given

docs/sweeps.md explains each section."""
EXAMPLE = (
    "maestro dataset sweep grid.yaml --dry_run\n"
    "maestro dataset sweep -n seeds --grid lr=0.1,0.01 --grid width=8,16 --seeds 5 -p configs\n"
    "maestro dataset sweep -n user.ana.grid grid.yaml -p configs"
)
_SHOWN = 3


def sweep_arguments(parser: Parser) -> None:
    """Add the arguments of `dataset sweep`."""
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="description of the sweep: grid.yaml; not needed with --grid or --seeds",
    )
    grid_arguments(parser)
    parser.add_argument(
        "-n",
        "--name",
        metavar="NAME",
        help="name of the data set: NAME, in full user.<username>.NAME",
    )
    parser.add_argument(
        "-p", "--path", type=Path, metavar="FOLDER", help="new folder for the configs"
    )
    parser.add_argument(
        *("--dry_run", "--dry-run"),
        dest="dry_run",
        action="store_true",
        help="show the number of configs and the first three, but write nothing",
    )
    uploading.arguments(parser)


def grid_arguments(parser: Parser) -> None:
    """Add the options that describe a sweep, and how its configs are written."""
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="vary a value of the configs: lr=0.1,0.01; optimizer.lr is one within optimizer; with several of these, "
        "every combination",
    )
    parser.add_argument(
        "--seeds",
        metavar="N",
        help="vary seed: 5 for the seeds 0 to 4, or a list of them: 3,7,9",
    )
    parser.add_argument(
        "--format", choices=("json", "yaml"), help="format of the configs (default json)"
    )
    parser.add_argument(
        "--yes", action="store_true", help="do not ask before many configs are written"
    )


def options(ctx: Context) -> dict[str, Any]:
    """Return the sweep that `--grid` and `--seeds` describe, for `files.sweeps.plan`; empty without them.

    Raises:
        BadInput: one of them cannot be used.
    """
    from orchestra.files import sweep_options

    return sweep_options.described(ctx.args.grid, ctx.args.seeds)


def sweep(ctx: Context) -> None:
    """Write the configs of a sweep and register them."""
    from orchestra.files import sweeps

    args = ctx.args
    varied = options(ctx)
    if args.file is None and not varied:
        raise BadInput("which sweep?", hint="Name its file, or say what varies: --grid lr=0.1,0.01")
    planned = sweeps.plan(args.file, varied, format=args.format)
    note_unused(ctx, planned)
    if args.dry_run:
        _print_plan(ctx, planned)
        return
    if not args.name or not args.path:
        missing = "-n/--name" if not args.name else "-p/--path"
        raise BadInput(f"{missing} is missing.", hint=f"For example: {EXAMPLE.splitlines()[-1]}")
    sweeps.check_folder(args.path.absolute())
    confirm(ctx, planned, args.path)
    _create(ctx, planned)


def _create(ctx: Context, planned: Plan) -> None:
    from orchestra.interface.dataset_changes import CheckNewDataSet, RegisterDataSet

    name, folder = ctx.args.name, ctx.args.path.absolute()
    with ctx.interface() as ask:
        full = ask(CheckNewDataSet(name))

        def register(found: Manifest) -> DataSet:
            return ask(RegisterDataSet(name, uploading.taken(ctx, ask, full, found)))

        made = write(ctx, planned, name, folder, register)
    ctx.out.item(
        made.dataset,
        lambda found: [f"{found.name}: {contents(found)}, checksums taken"],
        record=record,
        key=lambda found: found.name,
    )
    note_written(ctx, made)
    if ctx.out.form == "table" and not ctx.out.quiet:
        ctx.out.note(f"    next       maestro task create -c {made.dataset.name} ...")


def write(
    ctx: Context, planned: Plan, name: str, folder: Path, register: Callable[[Manifest], DataSet]
) -> Written:
    """Write the configs of a sweep into a new folder and register them, with a progress line."""
    from orchestra.files import sweeps

    with ctx.out.progress("writing configs", planned.points, "files") as line:

        def checksums(done: int, total: int, _read: int) -> None:
            line.total = total
            line.set(done, "taking checksums")

        return sweeps.create(
            *(name, planned, folder, register),
            progress=lambda done, _total: line.set(done),
            checksums=checksums,
        )


def confirm(ctx: Context, planned: Plan, folder: Path) -> None:
    """Ask whether many configs are to be written.

    Raises:
        Cancelled: no.
    """
    if planned.points > ctx.settings.sweep_limit:
        question = f"Write {human.count(planned.points, 'config')} into {folder}?"
        if not ctx.out.ask(question, yes=ctx.args.yes):
            raise Cancelled


def note_written(ctx: Context, made: Written) -> None:
    """Note what may not be intended."""
    note_texts(ctx, made.manifest)
    if made.alike:
        ctx.out.note(
            f"warning: {human.count(made.alike, 'config is', 'configs are')} the same as an earlier one"
        )


def note_unused(ctx: Context, planned: Plan) -> None:
    """Note which values the template does not use."""
    if planned.unused:
        ctx.out.note(
            f"warning: the template {planned.template_name} does not use {human.listed(planned.unused, most=5)}"
        )


def _print_plan(ctx: Context, planned: Plan) -> None:
    first = planned.first(_SHOWN)

    def lines(plan: Plan) -> Iterator[str]:
        yield f"{human.count(plan.points, 'config')}; nothing was written"
        for config in first:
            shown = config.content.rstrip("\n").split("\n")
            if len(shown) == 1:
                yield f"    {config.name}   {clean(shown[0])}"
                continue
            yield f"    {config.name}"
            yield from (f"        {clean(line)}" for line in shown)

    def as_record(plan: Plan) -> Record:
        return {
            "points": plan.points,
            "first": [{"file": config.name, "content": config.content} for config in first],
        }

    ctx.out.item(planned, lines, record=as_record, key=lambda plan: plan.points)
