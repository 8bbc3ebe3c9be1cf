"""Questions about nodes."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.nodes import Node
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ListNodes(Question[tuple[Node, ...]]):
    """All nodes by name."""


@dataclass(frozen=True, slots=True)
class GetNode(Question[Node]):
    """The node with a name.

    Raises:
        NotFound: there is none.
    """

    name: str
