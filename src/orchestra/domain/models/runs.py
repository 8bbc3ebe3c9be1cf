"""The files of a run: a task that is created together with its data sets."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.datasets import Manifest


@dataclass(frozen=True, slots=True)
class Files:
    """Files that become the data set of a tag.

    A data set of the owner's with the same files is used as it is. If one with the same root differs, it gets a new
    version. Otherwise there is a new data set.

    Args:
        tag: IN for the configs, DATA, or another tag, without the %.
        name: the name of a new data set; if it is taken, a number is added.
        versions: a data set with the same root may get a new version.
    """

    tag: str
    name: str
    manifest: Manifest
    versions: bool = True
