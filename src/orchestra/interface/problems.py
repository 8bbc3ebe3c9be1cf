"""Errors over HTTP, as problem details (RFC 9457), and back.

`title`, `detail` and `hint` are for people. `message` and `remedy` are the sentences with their terms, so that the
command line and the Python client word them as they word their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestra.domain import errors
from orchestra.domain.errors import OrchestraError
from orchestra.domain.wording import Sentence, Words

MEDIA_TYPE = "application/problem+json"
URN = "urn:orchestra:error:"

_STATUSES: dict[type[OrchestraError], int] = {
    errors.NotSignedIn: 401,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.WrongHost: 421,
    errors.Refused: 409,
    errors.AlreadyExists: 409,
    errors.Superseded: 409,
    errors.BadInput: 422,
    errors.TooManyAttempts: 429,
    errors.TimedOut: 504,
    errors.DatabaseUnavailable: 503,
    errors.SchemaMismatch: 503,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it is sent.

    Args:
        type: the kind of error, for programs: the prefix `URN` and the error's code.
        title: what its class means.
        detail, hint: what is wrong, and what to do next.
        message, remedy: the same with terms.
    """

    type: str
    title: str
    status: int
    detail: str
    hint: str | None = None
    code: str = OrchestraError.code
    params: dict[str, str | int | float | bool | None] | None = None
    message: str | Words | None = None
    remedy: str | Words | None = None


def status_of(error: OrchestraError) -> int:
    """Return the HTTP status of an error's class, or of its nearest base class that has one."""
    return next((_STATUSES[kind] for kind in type(error).mro() if kind in _STATUSES), 500)


def problem_of(error: OrchestraError) -> Problem:
    """Return an error as it is sent."""
    return Problem(
        type=URN + error.code,
        title=_title(type(error)),
        status=status_of(error),
        detail=str(error.message),
        hint=error.hint,
        code=error.code,
        params=error.params or None,
        message=error.message,
        remedy=error.remedy,
    )


def error_of(problem: Problem) -> OrchestraError:
    """Return the error that was sent. A code that this version does not know becomes a plain OrchestraError."""
    found = _classes().get(problem.code, OrchestraError)
    message: Sentence = problem.detail if problem.message is None else problem.message
    params: dict[str, Any] = problem.params or {}
    return found(message, hint=problem.remedy or problem.hint, **params)


def _title(kind: type[OrchestraError]) -> str:
    return (kind.__doc__ or "").partition("\n")[0].rstrip(".")


def _classes() -> dict[str, type[OrchestraError]]:
    found: dict[str, type[OrchestraError]] = {}
    left = [OrchestraError]
    while left:
        kind = left.pop()
        if kind.__module__ == errors.__name__:
            found[kind.code] = kind
        left.extend(kind.__subclasses__())
    return found
