"""Changes of data sets."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.manifests import Changes
from orchestra.domain.models.datasets import DataSet


@dataclass(frozen=True, slots=True)
class Update:
    """A data set after an update, and what has changed; without changes there is no new version."""

    dataset: DataSet
    changes: Changes


@dataclass(frozen=True, slots=True)
class Removal:
    """A deleted data set: `forgotten` altogether, or kept for the tasks that refer to it."""

    dataset: DataSet
    forgotten: bool
