"""The exit statuses of errors."""

from __future__ import annotations

from orchestra.domain.errors import Cancelled, Incomplete, OrchestraError

MISTAKE = 2
INTERRUPTED = 128 + 2  # what a shell reports of SIGINT
_OF_CLASS: dict[type[OrchestraError], int] = {Incomplete: 1, Cancelled: INTERRUPTED}


def status_of(error: OrchestraError) -> int:
    """Return the status of an error's class, or of its nearest base class that has one."""
    return next((_OF_CLASS[kind] for kind in type(error).mro() if kind in _OF_CLASS), MISTAKE)
