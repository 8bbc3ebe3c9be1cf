"""Questions about data sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestra.domain.models.datasets import DataSet, DataSetVersion, ManifestEntry
from orchestra.interface.operation import Interface, Question


@dataclass(frozen=True, slots=True)
class ListDataSets(Question[tuple[DataSet, ...]]):
    """The data sets of a user by name, or everybody's if `owner` is None.

    Raises:
        NotFound: there is no such user.
    """

    owner: str | None = None


@dataclass(frozen=True, slots=True)
class GetDataSet(Question[DataSet]):
    """The data set with a name.

    Raises:
        BadInput: the name is invalid.
        NotFound: there is none.
    """

    name: str


@dataclass(frozen=True, slots=True)
class ListFiles(Question[tuple[ManifestEntry, ...]]):
    """A page of the files of a data set's newest version.

    Raises:
        BadInput, NotFound: there is no such data set.
    """

    name: str
    first: int = 0
    limit: int = 5_000


@dataclass(frozen=True, slots=True)
class ListVersions(Question[tuple[DataSetVersion, ...]]):
    """The newest versions of a data set, newest first.

    Raises:
        BadInput, NotFound: there is no such data set.
    """

    name: str
    limit: int = 100


def listed_files(ask: Interface, dataset: DataSet) -> tuple[str, ...]:
    """Return the paths below its root of the files that a data set lists one by one; none for a folder's files."""
    if not dataset.choice.listed:
        return ()
    return tuple(file.path for file in files_from(ask, dataset))


def files_from(ask: Interface, dataset: DataSet, first: int = 0) -> Iterator[ManifestEntry]:
    """Yield the files of a data set's newest version from number `first` on, page by page."""
    while page := ask(ListFiles(dataset.name, first)):
        yield from page
        first += len(page)
        if first >= dataset.files:
            return
