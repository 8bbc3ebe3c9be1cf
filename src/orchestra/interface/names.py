"""Names for completion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestra.interface.operation import Question

Kind = Literal["task", "dataset", "node", "user"]


@dataclass(frozen=True, slots=True)
class ListNames(Question[tuple[str, ...]]):
    """The names of one kind of thing; of tasks and data sets only the newest thousands, newest first."""

    kind: Kind
