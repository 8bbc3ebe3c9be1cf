"""Data sets: `client.datasets`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestra.client import call_words, uploading, words
from orchestra.client.session import Session, with_hint
from orchestra.domain import file_choice
from orchestra.domain.errors import BadInput, Refused
from orchestra.domain.human import count, listed
from orchestra.domain.models.datasets import DataSet, FileChoice, Manifest, ManifestEntry
from orchestra.homefolder import expanded
from orchestra.interface.me import Me

if TYPE_CHECKING:
    import builtins

    from orchestra.files.sweeps import Plan

_log = logging.getLogger("orchestra.client")

AnyPath = str | os.PathLike[str]
Patterns = str | Sequence[str]
Sweep = AnyPath | Mapping[str, Any]
"""The path of a sweep's file, or its contents."""


@dataclass(frozen=True, slots=True)
class SweepPreview:
    """What a sweep would write: how many configs, and the first ones as name and content."""

    points: int
    first: tuple[tuple[str, str], ...]


class DataSets:
    """Registered lists of files. Their names are `user.<username>.<name>`; for your own, `<name>` is enough."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(
        self,
        name: str,
        path: AnyPath | Sequence[AnyPath],
        *,
        include: Patterns = (),
        exclude: Patterns = (),
        all_files: bool = False,
        upload: bool | None = None,
    ) -> DataSet:
        """Register a file, the files of a folder, or a list of files; sizes, times and checksums are taken now.

        Args:
            include: patterns of the files of the folder to take, "*.yaml" or "model/*.yaml"; all without it.
            exclude: patterns of files not to take.
            all_files: take also what is skipped by default: hidden files, leftovers of editors, READMEs beside configs.
            upload: send the files to the server; None: if it takes uploads and does not see them where they lie.

        Raises:
            BadInput: the name is invalid or not in your namespace, or the files cannot be registered.
            AlreadyExists: the name is taken.
        """
        from orchestra.files import file_lists
        from orchestra.interface.dataset_changes import CheckNewDataSet, RegisterDataSet

        full = self._session(CheckNewDataSet(name))
        with with_hint():
            choice = _choice(include, exclude, all_files=all_files)
            found = file_lists.of_paths(_all_here(path), choice=choice)
        _log_left_out(found)
        return self._session(
            RegisterDataSet(name, uploading.taken(self._session, full, found, upload))
        )

    def get(self, name: str) -> DataSet:
        """Return a data set. For your own, the last part of the name will do: "grid" for "user.ana.grid".

        Raises:
            NotFound: there is none with that name; suggests a similar one.
        """
        from orchestra.interface.datasets import GetDataSet

        return self._session(GetDataSet(self._name(name)))

    def _name(self, dataset: str | DataSet) -> str:
        return self._session.names.dataset(name_of(dataset))

    def list(self, *, user: str | None = None, all: bool = False) -> builtins.list[DataSet]:  # noqa: A002
        """Return your data sets by name, another user's, or everybody's.

        Raises:
            NotFound: there is no such user.
        """
        from orchestra.interface.datasets import ListDataSets

        owner = None if all else user or self._session(Me()).name
        return [*self._session(ListDataSets(owner))]

    def files(self, name: str | DataSet) -> builtins.list[ManifestEntry]:
        """Return the files of a data set's newest version, in the order of the jobs that a task makes of them.

        Raises:
            NotFound: there is none with that name.
        """
        from orchestra.interface.datasets import GetDataSet, files_from

        return [*files_from(self._session, self._session(GetDataSet(self._name(name))))]

    def update(
        self,
        name: str | DataSet,
        path: AnyPath | Sequence[AnyPath] | None = None,
        *,
        include: Patterns = (),
        exclude: Patterns = (),
        all_files: bool = False,
        upload: bool | None = None,
    ) -> DataSet:
        """Read the files again, or those at another path, and register a new version if something has changed.

        Files are chosen in the same way as before, unless `include`, `exclude` or `all_files` says otherwise.

        Raises:
            NotFound, Refused: there is no such data set, or it belongs to somebody else.
            BadInput: the files cannot be registered.
        """
        from orchestra.files import file_lists
        from orchestra.interface.dataset_changes import OwnDataSet, UpdateDataSet
        from orchestra.interface.datasets import listed_files

        known = self._name(name)
        before = self._session(OwnDataSet(known))
        is_chosen = bool(include or exclude or all_files)
        with with_hint():
            choice = _choice(include, exclude, all_files=all_files) if is_chosen else None
            paths = [] if path is None else _all_here(path)
            found = file_lists.again(
                before, listed_files(self._session, before), choice=choice, paths=paths
            )
        _log_left_out(found)
        found = uploading.taken(self._session, known, found, upload)
        return self._session(UpdateDataSet(known, found, before.version_id)).dataset

    def remove(self, name: str | DataSet) -> None:
        """Delete a data set; its files stay where they are, unless they were uploaded and nothing else needs them.

        Raises:
            NotFound, Refused: there is no such data set, it belongs to somebody else, or a live task uses it.
        """
        from orchestra.interface import uploading as uploads
        from orchestra.interface.dataset_changes import DeleteDataSet

        with self._session.interface() as ask:
            uploads.remove(ask, ask(DeleteDataSet(self._name(name))))

    def sweep(
        self,
        name: str,
        sweep: Sweep,
        path: AnyPath,
        *,
        format: str | None = None,  # noqa: A002 - the word of the command line
        yes: bool = False,
    ) -> DataSet:
        """Write one config for each point of a sweep into a new folder and register them.

        Args:
            sweep: path of the sweep's file (docs/sweeps.md), or its contents as a dictionary.
            path: the folder; it must be new or empty.
            format: "json" or "yaml" configs.
            yes: write the configs even if they are more than the setting `sweep_limit`.

        Raises:
            BadInput, AlreadyExists: the sweep or the name cannot be used.
            Refused, VolumeError: the folder cannot be used, or there are too many configs.
        """
        from orchestra.files import sweeps
        from orchestra.interface.dataset_changes import CheckNewDataSet, RegisterDataSet

        planned, folder = _plan(sweep, format), _here(path)
        if planned.points > self._session.settings.sweep_limit and not yes:
            raise Refused(
                f"this sweep has {count(planned.points, 'config')}.", hint="yes=True writes them."
            )
        full = self._session(CheckNewDataSet(name))
        with with_hint():
            return sweeps.create(
                *(name, planned, folder),
                lambda found: self._session(
                    RegisterDataSet(name, uploading.taken(self._session, full, found))
                ),
            ).dataset

    def preview_sweep(
        self,
        sweep: Sweep,
        *,
        format: str | None = None,  # noqa: A002
        limit: int = 3,
    ) -> SweepPreview:
        """Return the number of a sweep's configs, and the first ones; nothing is written.

        Raises:
            BadInput: the sweep cannot be used.
        """
        planned = _plan(sweep, format)
        first = tuple((each.name, each.content) for each in planned.first(limit))
        return SweepPreview(planned.points, first)


def name_of(dataset: str | DataSet) -> str:
    """Return a data set's name.

    Raises:
        BadInput: it is neither.
    """
    name = dataset.name if isinstance(dataset, DataSet) else dataset
    return words.text("a data set, or its name,", name)


def _here(path: AnyPath) -> Path:
    from orchestra.files import local_machine

    return Path(local_machine.full_path(path))


def _log_left_out(found: Manifest) -> None:
    """Name what was skipped, as the command line does; without a handler, such messages go to stderr."""
    from orchestra.files.listing import skipped_sentence

    if skipped := skipped_sentence(found.skipped):
        _log.warning("%s", call_words.worded(skipped))
    if found.missing:
        _log.warning("No longer there, and no longer listed: %s", listed(found.missing, most=3))


def _all_here(path: AnyPath | Sequence[AnyPath]) -> builtins.list[Path]:
    return [_here(each) for each in ([path] if isinstance(path, str | os.PathLike) else path)]


def _choice(include: Patterns, exclude: Patterns, *, all_files: bool) -> FileChoice:
    return file_choice.check(FileChoice(_patterns(include), _patterns(exclude), all_files))


def _patterns(given: Patterns) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _plan(sweep: Sweep, format: str | None) -> Plan:  # noqa: A002
    from orchestra.files import sweeps

    if format not in (None, "json", "yaml"):
        raise BadInput(f'format must be "json" or "yaml", not {format!r}.')
    if isinstance(sweep, Mapping):
        return sweeps.plan_of(_plain(sweep), Path("the sweep"), format=format)
    return sweeps.plan(expanded(sweep), format=format)


def _plain(value: Any) -> Any:
    """Return plain values as a file would have them: arrays, ranges and tuples become lists."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if hasattr(value, "tolist"):  # numpy's arrays and numbers, and pandas' columns
        return value.tolist()
    if isinstance(value, list | tuple | range):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, os.PathLike) else value
