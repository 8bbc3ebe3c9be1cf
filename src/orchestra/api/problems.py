"""Errors as answers."""

from __future__ import annotations

from starlette.responses import Response

from orchestra.domain.errors import (
    DatabaseUnavailable,
    NotSignedIn,
    OrchestraError,
    TooManyAttempts,
)
from orchestra.interface import codec, problems

RETRY_AFTER = 2
"""Seconds after which a client may try again when the database is away."""


def answer(error: OrchestraError) -> Response:
    """Return an error as problem details."""
    problem = problems.problem_of(error)
    return Response(
        codec.encode(problem),
        status_code=problem.status,
        headers=headers(error),
        media_type=problems.MEDIA_TYPE,
    )


def headers(error: OrchestraError) -> dict[str, str]:
    """Return the headers that belong to an error, whatever its form."""
    if isinstance(error, NotSignedIn):
        return {"WWW-Authenticate": 'Bearer realm="Orchestra"'}
    if isinstance(error, TooManyAttempts):
        return {"Retry-After": str(error.params.get("seconds", 60))}
    if isinstance(error, DatabaseUnavailable):
        return {"Retry-After": str(RETRY_AFTER)}
    return {}
