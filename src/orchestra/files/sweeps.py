"""Sweeps on disk: one config per point, in a new folder that appears completely or not at all."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
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
    sweep_options,
    sweep_parser,
)
from orchestra.files.thread_map import Progress
from orchestra.homefolder import expanded

_REPORT = 500


@dataclass(frozen=True, slots=True)
class Config:
    """A config of a sweep: its file name and its contents."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked sweep. `template` is the text of the user's template, `unused` the names that it does not use."""

    sweep: Sweep
    ending: str
    template: str | None = None
    template_name: str = ""
    unused: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        return self.sweep.points

    def configs(self) -> Iterator[Config]:
        """Yield every config, in order.

        Raises:
            BadInput: the template uses a value that a point does not have.
        """
        short = sweep_files.labels(self.sweep.names())
        for number, point in enumerate(self.sweep):
            name = sweep_files.file_name(number, self.points, point, short) + self.ending
            yield Config(name, self._content(self.sweep.config(point)))

    def first(self, limit: int) -> list[Config]:
        """The first configs."""
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


def plan(
    path: Path | None,
    options: Mapping[str, Any] = MappingProxyType({}),
    *,
    format: str | None = None,  # noqa: A002 - the name used in the file
) -> Plan:
    """Read and check a sweep's file, and its template if it has one.

    Args:
        path: None for a sweep that consists of options.
        options: what `sweep_options.described` returns; they add to the grid of the file.

    Raises:
        BadInput: it cannot be used; one sentence on what is wrong, and where.
    """
    if path is None:
        return plan_of(options, Path("the sweep"), format=format)
    found = sweep_options.joined(_values(path), options, path.name)
    return plan_of(found, path, format=format)


def plan_of(found: Any, where: Path, *, format: str | None = None) -> Plan:  # noqa: A002
    """Check the contents of a sweep's file. `where` names it in errors; its template is in the same folder.

    Raises:
        BadInput: it cannot be used; one sentence on what is wrong, and where.
    """
    try:
        sweep = sweeps.parse(found, where.name)
    except ValueError as error:  # too many values for a table of results
        raise BadInput(f"{where} {error}.") from None
    except RecursionError:  # only possible for values made by a program
        raise BadInput(f"{where} refers to itself.") from None
    if sweep.template is None:
        planned = Plan(sweep, "." + (format or sweep.format))
        _refuse_not_finite(planned, where)
        _check_first_config(planned, where)
    else:
        if format:
            raise BadInput(
                words(Field.FORMAT, " cannot be used with a template, which has its own format.")
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
                '), or a string that your program understands, such as "inf".',
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


def _check_first_config(planned: Plan, where: Path) -> None:
    (config,) = planned.first(1)
    try:
        documents.parse(config.name, config.content.encode())
    except Unusable as error:
        raise BadInput(f"{where.name}: its first config {error}.") from None


@dataclass(frozen=True, slots=True)
class Written:
    """A data set made from a sweep; `alike` counts configs that are equal to an earlier one."""

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
    """Write the configs to a new folder and register them. Nothing is left behind on failure.

    Args:
        register: registers them under `name`, which has been checked.

    Raises:
        Refused, VolumeError: the folder cannot be used.
    """
    with _new_folder(folder) as beside:
        alike = _write(planned, beside, progress)
        _put_into_place(beside, folder)
    try:
        found = manifest.scan(folder, checksums)
        registered = register(found)
    except (
        DatabaseUnavailable
    ) as error:  # it may have been registered, and only the answer was lost
        error.remedy = words(
            f"The configs are in {folder}: ", Action.CREATE_DATASET(name=name, path=str(folder))
        )
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Written(registered, found, alike)


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not empty, or that cannot be created.

    Raises:
        Refused, VolumeError: it cannot be used.
    """
    fs_health.check(folder.parent)
    try:
        if folder.parent.exists() and not folder.parent.is_dir():
            raise VolumeError(
                f"{folder.parent} is not a folder, so {folder.name} cannot be created in it."
            )
        if not folder.parent.is_dir():
            raise VolumeError(
                f"the folder {folder.parent} does not exist, so {folder.name} cannot be created in it."
            )
        if folder.exists() and not folder.is_dir():
            raise VolumeError(f"{folder} is not a folder.")
        if folder.is_dir() and any(folder.iterdir()):
            raise Refused(
                f"{folder} is not empty.",
                hint=words("Name a new folder with ", Field.PATH, "."),
            )
    except OSError as error:
        raise VolumeError(f"{folder} cannot be used: {error.strerror}.") from None


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside it, which is removed at the end if it still exists."""
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
    """Set the group and mode of a new folder to those of the empty one that it replaces.

    Only differences are changed: a chmod by someone outside a folder's group clears its set-group-ID bit.
    """
    wanted, found = folder.stat(), beside.stat()
    if wanted.st_gid != found.st_gid:
        with suppress(PermissionError):  # this account is not in its group
            os.chown(beside, -1, wanted.st_gid)
    if wanted.st_mode != beside.stat().st_mode:
        beside.chmod(stat.S_IMODE(wanted.st_mode))


def _write(planned: Plan, folder: Path, progress: Progress | None) -> int:
    seen: set[int] = set()
    for number, config in enumerate(planned.configs(), 1):
        with open(f"{folder}/{config.name}", "w", encoding="utf-8") as file:  # noqa: PTH123 - faster for 100,000 files
            file.write(config.content)
        seen.add(hash(config.content))
        if progress and number % _REPORT == 0:
            progress(number, planned.points)
    return planned.points - len(seen)


def _put_into_place(beside: Path, folder: Path) -> None:
    try:
        os.rename(beside, folder)  # noqa: PTH104 - replaces an empty folder, and only that
    except OSError as error:
        raise VolumeError(f"{folder} cannot be created: {error.strerror}.") from None
