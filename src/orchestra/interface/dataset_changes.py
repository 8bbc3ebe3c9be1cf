"""What can be done to data sets. Files are looked at by who asks, where they are."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.datasets import DataSet, Manifest
from orchestra.interface.answers.datasets import Removal, Update
from orchestra.interface.operation import Change, Question


@dataclass(frozen=True, slots=True)
class CheckNewDataSet(Question[None]):
    """Refuse a name that a new data set of the caller cannot have, before its files are read.

    Raises:
        BadInput: it is not a name, or not one of the caller's own.
        AlreadyExists: it is taken.
    """

    name: str


@dataclass(frozen=True, slots=True)
class OwnDataSet(Question[DataSet]):
    """A data set that the caller may change: asked before its files are looked at again.

    Raises:
        BadInput, NotFound: there is none of that name.
        Refused: it belongs to somebody else.
    """

    name: str


@dataclass(frozen=True, slots=True)
class RegisterDataSet(Change[DataSet]):
    """Register the files of a manifest under a name.

    Raises:
        BadInput: the name or the manifest cannot be used.
        AlreadyExists: the name is taken.
    """

    name: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class UpdateDataSet(Change[Update]):
    """Make a new version of a data set from what its files are now. Where nothing has changed, nothing is made.

    `seen` is the id of the version that was looked at before: another one since then is not overwritten.

    Raises:
        NotFound: there is none.
        Refused: it belongs to somebody else, or changes just now.
        BadInput: the manifest cannot be used.
    """

    name: str
    manifest: Manifest
    seen: int


@dataclass(frozen=True, slots=True)
class DeleteDataSet(Change[Removal]):
    """Take a data set off the list; its files stay where they are.

    Raises:
        NotFound: there is none.
        Refused: it belongs to somebody else, or a live task works with it.
    """

    name: str
