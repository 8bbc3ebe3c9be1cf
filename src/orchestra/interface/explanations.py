"""Why a job waits, runs or failed."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.interface.answers.explanations import Explained
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ExplainJob(Question[Explained]):
    """Why a job waits, where it runs, what happened to it.

    Raises:
        BadInput, NotFound: the text is not the address of one job, or there is no such job.
    """

    address: str
