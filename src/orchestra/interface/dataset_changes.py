"""Changes of data sets. The files themselves are read by the caller, on its machine."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.datasets import DataSet, Manifest
from orchestra.interface.answers.datasets import Removal, Update
from orchestra.interface.operation import Change, Question


@dataclass(frozen=True, slots=True)
class CheckNewDataSet(Question[str]):
    """The full name of a new data set of the caller; asked before its files are read.

    Raises:
        BadInput: the name is invalid, or not in the caller's namespace.
        AlreadyExists: the name is taken.
    """

    name: str


@dataclass(frozen=True, slots=True)
class OwnDataSet(Question[DataSet]):
    """A data set that the caller may change; asked before its files are read again.

    Raises:
        BadInput, NotFound: there is none with that name.
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
    """Register a data set's present files as a new version; none is made if nothing has changed.

    `seen` is the id of the version that the caller knows: a newer one is not overwritten.

    Raises:
        NotFound: there is none.
        Refused: it belongs to somebody else, or has just been changed by somebody else.
        BadInput: the manifest cannot be used.
    """

    name: str
    manifest: Manifest
    seen: int


@dataclass(frozen=True, slots=True)
class DeleteDataSet(Change[Removal]):
    """Delete a data set; its files stay where they are.

    Raises:
        NotFound: there is none.
        Refused: it belongs to somebody else, or a live task uses it.
    """

    name: str
