"""The configs that `maestro run` writes: those of a sweep."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli import dataset_sweep
from orchestra.cli.output import clean
from orchestra.domain import human
from orchestra.domain.errors import BadInput, Refused

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.datasets import DataSet, Manifest
    from orchestra.domain.models.runs import Files
    from orchestra.files.sweeps import Plan
    from orchestra.interface.answers.runs import Run


def arguments(parser: Parser) -> None:
    """Add the options that describe a sweep."""
    dataset_sweep.grid_arguments(parser)
    parser.add_argument(
        "--sweep",
        type=Path,
        metavar="FILE",
        help="description of a sweep, as for `dataset sweep`; --grid and --seeds add to it",
    )


def planned(ctx: Context, words: Sequence[str]) -> Swept | None:
    """Return the configs of the sweep that the options describe; None if there are no such options.

    Raises:
        BadInput: it cannot be used, or configs were named as well.
    """
    from orchestra.files import sweeps

    options = dataset_sweep.options(ctx)
    if not options and ctx.args.sweep is None:
        if ctx.args.format:
            raise BadInput("--format is for the configs of a sweep, and there is none.")
        return None
    if words:
        raise BadInput(
            f"{words[0]} was named as a config, but the configs are those of the sweep.",
            hint="Leave out the configs, or --grid, --seeds and --sweep.",
        )
    found = sweeps.plan(ctx.args.sweep, options, format=ctx.args.format)
    dataset_sweep.note_unused(ctx, found)
    return Swept(ctx, found)


@dataclass(frozen=True, slots=True)
class Swept:
    """The configs of a sweep; they are written into a folder beside that of the task."""

    ctx: Context
    plan: Plan

    def is_free(self, folder: str, /) -> bool:
        """Return whether that folder can be made."""
        return not os.path.lexists(_place(folder))

    def planned(self, folder: str, /) -> Files:
        """Return what would be written."""
        from orchestra.domain.models.datasets import Manifest, ManifestEntry

        texts = ((config.name, config.content.encode()) for config in self.plan.configs())
        entries = tuple(
            ManifestEntry(name, len(text), 0, hashlib.sha256(text).digest()) for name, text in texts
        )
        return _files(folder, Manifest(str(_place(folder)), is_folder=True, entries=entries))

    def used(self, folder: str, create: Callable[[Files], Run], /) -> Run:
        """Write them, and create a run over them."""
        place = _place(folder)
        if not self.is_free(folder):
            raise Refused(f"{place} exists already.", hint="Choose another --name.")
        dataset_sweep.confirm(self.ctx, self.plan, place)
        runs: list[Run] = []

        def register(found: Manifest) -> DataSet:
            runs.append(create(_files(folder, found)))
            return next(each.dataset for each in runs[0].plan.inputs if each.tag == "IN")

        made = dataset_sweep.write(self.ctx, self.plan, place.name, place, register)
        self.ctx.out.note(
            f"{human.count(self.plan.points, 'config')} written to {clean(str(place))}"
        )
        dataset_sweep.note_written(self.ctx, made)
        return runs[0]


def _place(folder: str) -> Path:
    """Return the folder for the configs: beside the task's, or in the current one if the volume is not here."""
    beside = Path(f"{folder}.configs")
    return beside if beside.parent.exists() else Path.cwd() / beside.name


def _files(folder: str, found: Manifest) -> Files:
    from orchestra.domain.models.runs import Files

    return Files("IN", _place(folder).name, found)
