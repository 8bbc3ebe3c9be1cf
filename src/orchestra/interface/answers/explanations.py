"""Why a job waits, where it runs, what happened to it."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.explanation.facts import Explanation, Facts


@dataclass(frozen=True, slots=True)
class Explained:
    """A job with its explanation."""

    facts: Facts
    explanation: Explanation
