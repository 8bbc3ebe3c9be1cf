"""What `maestro run` registers: configs, data and script."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestra.cli import dataset_files, run_sweep
from orchestra.cli.dataset import checksums, note_left_out
from orchestra.cli.output import clean
from orchestra.cli.run_program import kind
from orchestra.domain import naming
from orchestra.domain.errors import BadInput, NotFound
from orchestra.domain.program_call import SCRIPT_TAG, Kind

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.run_program import Program
    from orchestra.domain.models.datasets import Manifest
    from orchestra.domain.models.runs import Files
    from orchestra.interface.answers.runs import Run
    from orchestra.interface.operation import Interface


class Configs(Protocol):
    """The configs of a run. Those of a sweep are written when the name of the task is known."""

    def is_free(self, folder: str, /) -> bool:
        """Return whether they can be written beside the folder of a task."""
        ...

    def planned(self, folder: str, /) -> Files:
        """Return them as they are, or would be for a task with that folder."""
        ...

    def used(self, folder: str, create: Callable[[Files], Run], /) -> Run:
        """Create a run over them; if that fails, nothing stays of what was written."""
        ...


class Existing:
    """Configs that are files already; they are read at the first need."""

    def __init__(self, ctx: Context, program: Program, words: Sequence[str]) -> None:
        self._read = partial(_scanned, ctx, program, words)

    @cached_property
    def files(self) -> Files:
        """The configs as they are."""
        return self._read()

    def is_free(self, _folder: str, /) -> bool:
        return True

    def planned(self, _folder: str, /) -> Files:
        return self.files

    def used(self, _folder: str, create: Callable[[Files], Run], /) -> Run:
        return create(self.files)


def configs(ctx: Context, program: Program) -> Configs:
    """Return the configs that were named, or those of a sweep.

    Raises:
        BadInput: there are none.
    """
    from orchestra.files import local_machine, scripts

    words = [word for word in program.configs if not _is_script(word, program)]
    if swept := run_sweep.planned(ctx, words):
        return swept
    if not words:
        raise BadInput(
            "which configs?",
            hint="Name a folder or files, one job for each file: maestro run train.py configs/; or say what varies: "
            "--grid lr=0.1,0.01",
        )
    if missing := [word for word in words if not os.path.lexists(word)]:
        meant = scripts.suggestion(local_machine.full_path(missing[0]))
        raise BadInput(f"there is no file or folder {clean(missing[0])}.{meant}")
    return Existing(ctx, program, words)


def others(ctx: Context, program: Program) -> Iterator[Files]:
    """Yield the data and the script, if there are any."""
    from orchestra.files import manifest

    if data := _data_path(ctx):
        with checksums(ctx) as progress:
            found = manifest.scan(data, progress)
        note_left_out(ctx, found)
        yield _files(ctx, "DATA", found)
    if program.path:
        yield _files(ctx, SCRIPT_TAG, manifest.scan(program.path))


def _files(ctx: Context, tag: str, found: Manifest) -> Files:
    from orchestra.domain.models.runs import Files

    name = naming.part_of(Path(found.root).name) or "files"
    return Files(tag, f"user.{ctx.names.username}.{name}", found)


def _scanned(ctx: Context, program: Program, words: Sequence[str]) -> Files:
    from orchestra.files import file_lists

    choice = dataset_files.choice(ctx)
    if script := _below(words, program):
        choice = replace(choice, exclude=(*choice.exclude, script))
    if script or len(words) < len(program.configs):
        ctx.out.note(f"{clean(str(program.path))} is the script, and not one of the configs")
    with checksums(ctx) as progress:
        found = file_lists.of_paths(words, progress, choice)
    note_left_out(ctx, found)
    return _files(ctx, "IN", found)


def _is_script(word: str, program: Program) -> bool:
    return program.path is not None and _same_file(word, program.path)


def _below(configs: Sequence[str], program: Program) -> str | None:
    """Return a pattern for the script, if the configs are a folder that it is in."""
    from glob import escape

    if program.path is None or len(configs) != 1 or kind(configs[0]) is not Kind.FOLDER:
        return None
    for folder in Path(program.path).parents:
        if _same_file(folder, configs[0]):
            return escape(str(Path(program.path).relative_to(folder)))
    return None


def _same_file(one: str | Path, other: str | Path) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def _data_path(ctx: Context) -> str | None:
    """Return the absolute path that `--data` names; None if it is the name of a data set."""
    from orchestra.files import local_machine

    given = ctx.args.with_data
    if given is None:
        return None
    path = local_machine.full_path(given)
    return path if "/" in given or kind(path) is not Kind.NOTHING else None


def data_set(ctx: Context, ask: Interface) -> str | None:
    """Return the data set that `--data` names; None if it is a path, or was not given."""
    from orchestra.interface.datasets import GetDataSet

    given = ctx.args.with_data
    if given is None or _data_path(ctx):
        return None
    try:
        return ask(GetDataSet(ctx.names.dataset(given))).name
    except NotFound:
        raise NotFound(
            f'there is no file, folder or data set "{clean(given)}" for --data.',
            hint="maestro dataset list -a shows all data sets.",
            kind="dataset",
            name=given,
        ) from None
