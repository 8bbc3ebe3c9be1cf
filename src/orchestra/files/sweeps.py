"""Sweeps on disk: one config a point, in a new folder that is there as a whole or not at all."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Any

from orchestra.domain import documents, sweep_files, sweeps
from orchestra.domain.documents import Unusable
from orchestra.domain.errors import BadInput, DatabaseUnavailable, Refused, VolumeError
from orchestra.domain.models.datasets import DataSet, Manifest
from orchestra.domain.sweeps import Sweep
from orchestra.domain.wording import Action, Field, words
from orchestra.files import (
    config_writer,
    document_files,
    fs_health,
    manifest,
    sweep_check,
    sweep_parser,
)
from orchestra.files.thread_map import Progress
from orchestra.homefolder import expanded

_REPORT = 500


@dataclass(frozen=True, slots=True)
class Config:
    """One config of a sweep: its file's name and what is in it."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep that can be written. `template` is the text of the user's own file, `unused` what it does not ask for."""

    sweep: Sweep
    ending: str
    template: str | None = None
    template_name: str = ""
    unused: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        return self.sweep.points

    def configs(self) -> Iterator[Config]:
        """Give every config, in order.

        Raises:
            BadInput: the template asks for a value that a point does not have.
        """
        short = sweep_files.labels(self.sweep.names())
        for number, point in enumerate(self.sweep):
            name = sweep_files.file_name(number, self.points, point, short) + self.ending
            yield Config(name, self._content(self.sweep.config(point)))

    def first(self, limit: int) -> list[Config]:
        """Give the first configs."""
        return list(islice(self.configs(), limit))

    def _content(self, config: dict[str, Any]) -> str:
        if self.template is not None:
            return sweep_files.fill(
                *(self.template, config, self.template_name), config_writer.in_template(self.ending)
            )
        return (
            config_writer.as_json(config)
            if self.ending == ".json"
            else config_writer.as_yaml(config)
        )


def plan(path: Path, *, format: str | None = None) -> Plan:  # noqa: A002 - the word of the file
    """Read a sweep's file, and its template if it has one. Its first config, or what a template may misread, is tried.

    Raises:
        BadInput: it cannot be used; one sentence on what is wrong, and where.
    """
    return plan_of(_values(path), path, format=format)


def plan_of(found: Any, where: Path, *, format: str | None = None) -> Plan:  # noqa: A002
    """Give the plan of what a sweep's file says. `where` names it in errors, and a template lies beside it.

    Raises:
        BadInput: it cannot be used; one sentence on what is wrong, and where.
    """
    try:
        sweep = sweeps.parse(found, where.name)
    except ValueError as error:  # of what stands for more values than a table of them has
        raise BadInput(f"{where} {error}.") from None
    except RecursionError:  # made by a program; no file comes to that
        raise BadInput(f"{where} refers to itself.") from None
    if sweep.template is None:
        planned = Plan(sweep, "." + (format or sweep.format))
        _refuse_not_finite(planned, where)
        _try(planned, where)
    else:
        if format:
            raise BadInput(
                words(Field.FORMAT, " does not go with a template, whose own form is kept.")
            )
        planned = _with_template(sweep, where.parent / expanded(sweep.template))
        sweep_check.template(sweep, planned.template or "", planned.template_name, planned.ending)
    return planned


def _refuse_not_finite(planned: Plan, where: Path) -> None:
    if planned.ending == ".json" and (name := planned.sweep.first_not_finite()):
        raise BadInput(
            f'{where.name}: "{name}" is infinite or NaN, which JSON cannot hold.',
            hint=words(
                "Write YAML (",
                Field.FORMAT("yaml"),
                '), or a string that your program understands: "inf".',
            ),
        )


def _values(path: Path) -> Any:
    try:
        return sweep_parser.parse(path.name, document_files.load(str(path)))
    except Unusable as error:
        raise BadInput(f"{path} {error}.") from None


def _with_template(sweep: Sweep, path: Path) -> Plan:
    try:
        text = document_files.load(str(path)).decode()
    except (Unusable, UnicodeDecodeError) as error:
        why = error if isinstance(error, Unusable) else "is not UTF-8 text"
        raise BadInput(f"the template {path} {why}.") from None
    wanted = sweep_files.placeholders(text)
    if not wanted:
        raise BadInput(f"the template {path} has no placeholders.", hint="lr = {{lr}}")
    unused = tuple(
        name
        for name in sweep.names()
        if not any(each == name or each.startswith(f"{name}.") for each in wanted)
    )
    return Plan(sweep, path.suffix, text, path.name, unused)


def _try(planned: Plan, where: Path) -> None:
    (config,) = planned.first(1)
    try:
        documents.parse(config.name, config.content.encode())
    except Unusable as error:
        raise BadInput(f"{where.name}: its first config {error}.") from None


@dataclass(frozen=True, slots=True)
class Written:
    """A data set that was made of a sweep; `alike` counts configs that are the same as an earlier one."""

    dataset: DataSet
    manifest: Manifest
    alike: int


def create(
    name: str,
    planned: Plan,
    folder: Path,
    register: Callable[[Manifest], DataSet],
    *,
    progress: Progress | None = None,
    checksums: manifest.Progress | None = None,
) -> Written:
    """Write the configs into a new folder and have them registered. Nothing is left where that fails.

    Args:
        register: registers them under `name`, which can be used.

    Raises:
        Refused, VolumeError: the folder cannot be used.
    """
    with _new_folder(folder) as beside:
        alike = _write(planned, beside, progress)
        _put_into_place(beside, folder)
    try:
        found = manifest.scan(folder, checksums)
        registered = register(found)
    except DatabaseUnavailable as error:  # perhaps it was registered, and only the answer was lost
        error.remedy = words(
            f"The configs are in {folder}: ", Action.CREATE_DATASET(name=name, path=str(folder))
        )
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Written(registered, found, alike)


def check_folder(folder: Path) -> None:
    """Refuse a folder with something in it, and one that cannot be made.

    Raises:
        Refused, VolumeError: it cannot be used.
    """
    fs_health.check(folder.parent)
    try:
        if folder.parent.exists() and not folder.parent.is_dir():
            raise VolumeError(
                f"{folder.parent} is not a folder, so {folder.name} has no place in it."
            )
        if not folder.parent.is_dir():
            raise VolumeError(
                f"the folder {folder.parent} does not exist, so {folder.name} has no place."
            )
        if folder.exists() and not folder.is_dir():
            raise VolumeError(f"{folder} is not a folder.")
        if folder.is_dir() and any(folder.iterdir()):
            raise Refused(
                f"{folder} has something in it already.",
                hint=words("Name a new folder with ", Field.PATH, "."),
            )
    except OSError as error:
        raise VolumeError(f"{folder} cannot be used: {error.strerror}.") from None


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder beside, which is removed at the end if it is still there."""
    check_folder(folder)
    beside = folder.parent / f".{folder.name}.{token_hex(4)}"
    try:
        beside.mkdir()
        if folder.exists():
            _make_alike(beside, folder)
        yield beside
    except OSError as error:
        raise VolumeError(f"{folder} cannot be written: {error.strerror}.") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _make_alike(beside: Path, folder: Path) -> None:
    """Give a new folder the group and the mode of the empty one whose place it takes.

    What is alike is left alone: who is not in a folder's group takes its set-group-ID bit away by any chmod.
    """
    wanted, found = folder.stat(), beside.stat()
    if wanted.st_gid != found.st_gid:
        with suppress(PermissionError):  # it is another's, and this account not in its group
            os.chown(beside, -1, wanted.st_gid)
    if wanted.st_mode != beside.stat().st_mode:
        beside.chmod(stat.S_IMODE(wanted.st_mode))


def _write(planned: Plan, folder: Path, progress: Progress | None) -> int:
    seen: set[int] = set()
    for number, config in enumerate(planned.configs(), 1):
        with open(f"{folder}/{config.name}", "w", encoding="utf-8") as file:  # noqa: PTH123 - 100,000 of them
            file.write(config.content)
        seen.add(hash(config.content))
        if progress and number % _REPORT == 0:
            progress(number, planned.points)
    return planned.points - len(seen)


def _put_into_place(beside: Path, folder: Path) -> None:
    try:
        os.rename(beside, folder)  # noqa: PTH104 - replaces an empty folder, and only that
    except OSError as error:
        raise VolumeError(f"{folder} cannot be made: {error.strerror}.") from None
