"""What a look ends with, and what is said of it: values alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestra.domain.errors import OrchestraError


class Verdict(Enum):
    """How something is. A problem keeps work from going on; a warning is about to, or may surprise."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `remedy` is what to do: a command where there is one."""

    check: str
    verdict: Verdict
    says: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """What stands in the place of values that could not be had."""

    says: str
    remedy: str | None = None


def trouble_of(error: OrchestraError) -> Trouble:
    """Say why values could not be had."""
    from orchestra import command_words

    return Trouble(command_words.message_of(error), command_words.hint_of(error))


def ok(check: str, says: str, remedy: str | None = None) -> Finding:
    """All is well; a remedy is then merely what could be done next."""
    return Finding(check, Verdict.OK, says, remedy)


def warning(check: str, says: str, remedy: str | None = None) -> Finding:
    """Work goes on, but somebody should look."""
    return Finding(check, Verdict.WARNING, says, remedy)


def problem(check: str, says: str, remedy: str | None = None) -> Finding:
    """Something does not work."""
    return Finding(check, Verdict.PROBLEM, says, remedy)


def of_trouble(check: str, trouble: Trouble) -> Finding:
    """A look that failed is a problem."""
    return problem(check, trouble.says, trouble.remedy)


def worst(findings: Sequence[Finding]) -> Verdict:
    """Give the gravest of the verdicts, ok where there are none."""
    found = {finding.verdict for finding in findings}
    order = (Verdict.PROBLEM, Verdict.WARNING)
    return next((verdict for verdict in order if verdict in found), Verdict.OK)
