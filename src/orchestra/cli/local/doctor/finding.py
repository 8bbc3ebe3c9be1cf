"""The values that checks return: findings and failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestra.domain.errors import OrchestraError


class Verdict(Enum):
    """A problem stops work; a warning may become a problem, or reports a surprise."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `remedy` is what to do, if possible a command."""

    check: str
    verdict: Verdict
    says: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Takes the place of values that could not be read."""

    says: str
    remedy: str | None = None


def failure_of(error: OrchestraError) -> Failure:
    """Turn an error into a failure."""
    from orchestra import command_words

    return Failure(command_words.message_of(error), command_words.hint_of(error))


def ok(check: str, says: str, remedy: str | None = None) -> Finding:
    """Nothing is wrong; `remedy` is what could be done next."""
    return Finding(check, Verdict.OK, says, remedy)


def warning(check: str, says: str, remedy: str | None = None) -> Finding:
    """Work goes on, but somebody should check this."""
    return Finding(check, Verdict.WARNING, says, remedy)


def problem(check: str, says: str, remedy: str | None = None) -> Finding:
    """Something does not work."""
    return Finding(check, Verdict.PROBLEM, says, remedy)


def failed(check: str, failure: Failure) -> Finding:
    """Report what could not be inspected as a problem."""
    return problem(check, failure.says, failure.remedy)


def worst(findings: Sequence[Finding]) -> Verdict:
    """Return the most serious verdict, ok if there are no findings."""
    found = {finding.verdict for finding in findings}
    order = (Verdict.PROBLEM, Verdict.WARNING)
    return next((verdict for verdict in order if verdict in found), Verdict.OK)
