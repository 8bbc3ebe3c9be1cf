"""Results of tasks."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.results import Sources
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class FindResults(Question[Sources]):
    """What the database knows about the results of a task, named by number or name; `files/results.py` reads the rest.

    The task may still be running. With `live`, running jobs are included. With `sample`, a task of more than 2,000 jobs
    is answered by a random sample of its results, the same one each time, and its best ones.

    Raises:
        BadInput, NotFound: there is no such task.
    """

    word: str
    live: bool = False
    sample: bool = False
