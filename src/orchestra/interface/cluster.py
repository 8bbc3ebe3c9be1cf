"""Questions about the database as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.cluster import Recovery
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class WhySettling(Question[Recovery | None]):
    """Why no job starts at present, if the database is recovering; else None."""
