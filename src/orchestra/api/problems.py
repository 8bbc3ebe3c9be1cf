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
    headers = {}
    if isinstance(error, NotSignedIn):
        headers["WWW-Authenticate"] = 'Bearer realm="Orchestra"'
    if isinstance(error, TooManyAttempts):
        headers["Retry-After"] = str(error.params.get("seconds", 60))
    elif isinstance(error, DatabaseUnavailable):
        headers["Retry-After"] = str(RETRY_AFTER)
    return Response(
        codec.encode(problem),
        status_code=problem.status,
        headers=headers,
        media_type=problems.MEDIA_TYPE,
    )
