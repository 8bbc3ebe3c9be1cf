"""The files of a run: a task that is created together with its data sets."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.datasets import Manifest


@dataclass(frozen=True, slots=True)
class Files:
    """Files that become the data set of a tag.

    A data set of the owner's with the same files is used as it is. One of the same folder whose files were chosen in
    the same way gets a new version if they have changed. Otherwise there is a new data set.

    Args:
        tag: IN for the configs, DATA, or another tag, without the %.
        name: the name of a new data set; if it is taken, a number is added.
    """

    tag: str
    name: str
    manifest: Manifest
