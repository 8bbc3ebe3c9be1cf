"""With which status a command ends that an error ended."""

from __future__ import annotations

from orchestra.domain.errors import Cancelled, Incomplete, OrchestraError

MISTAKE = 2
_OF_CLASS: dict[type[OrchestraError], int] = {Incomplete: 1, Cancelled: 130}


def status_of(error: OrchestraError) -> int:
    """Give the status of an error: that of its class, or of the nearest one above which has one."""
    return next((_OF_CLASS[kind] for kind in type(error).mro() if kind in _OF_CLASS), MISTAKE)
