"""Changes of several nodes at once: all of them, or none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestra.domain.models.nodes import UNCHANGED, Node, NodeSettings, SlotsWanted
from orchestra.interface.operation import Change


@dataclass(frozen=True, slots=True)
class CreateNodes(Change[tuple[Node, ...]]):
    """Create nodes with the same slots and settings, which belong to the caller.

    Raises:
        BadInput, AlreadyExists: as `CreateNode`, of the first one that cannot be created.
    """

    names: tuple[str, ...]
    cpu: SlotsWanted
    gpu: SlotsWanted
    settings: NodeSettings = UNCHANGED


@dataclass(frozen=True, slots=True)
class SetNodes(Change[tuple[Node, ...]]):
    """Change the slots, the owner or settings of nodes; running jobs stay.

    Raises:
        NotFound, BadInput, Refused: as `SetNode`.
    """

    names: tuple[str, ...]
    cpu: SlotsWanted
    gpu: SlotsWanted
    owner: str | None = None
    settings: NodeSettings = UNCHANGED


@dataclass(frozen=True, slots=True)
class DrainNodes(Change[tuple[Node, ...]]):
    """Start no new jobs on nodes, now or from a moment on; running jobs continue.

    Raises:
        NotFound, BadInput, Refused: as `DrainNode`.
    """

    names: tuple[str, ...]
    reason: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ResumeNodes(Change[tuple[str, ...]]):
    """Let jobs start on nodes again. The answer names those that were drained.

    Raises:
        NotFound, Refused: as `ResumeNode`.
    """

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopNodes(Change[tuple[str, ...]]):
    """Ask the pilots of nodes to claim no new jobs and to exit when theirs have ended. The answer names their nodes.

    Raises:
        NotFound, Refused: as `StopNode`.
    """

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteNodes(Change[None]):
    """Delete nodes that have no jobs and no pilot.

    Raises:
        NotFound, Refused: as `DeleteNode`.
    """

    names: tuple[str, ...]
