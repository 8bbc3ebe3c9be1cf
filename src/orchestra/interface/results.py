"""What came of a task."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.results import Sources
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class FindResults(Question[Sources]):
    """What is known of the results of a task that a number or a name means; `files/results.py` reads the rest.

    The task may still be working.

    Raises:
        BadInput, NotFound: there is no such task.
    """

    word: str
