"""The caller."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.users import User
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class Me(Question[User]):
    """The caller's user, created at first need."""
