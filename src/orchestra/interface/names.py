"""What somebody may type next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestra.interface.operation import Question

Kind = Literal["task", "dataset", "node", "user"]


@dataclass(frozen=True, slots=True)
class ListNames(Question[tuple[str, ...]]):
    """The names of what there is of a kind; of tasks and data sets the newest thousands, newest first."""

    kind: Kind
