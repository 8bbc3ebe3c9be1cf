"""What can be done to nodes."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.nodes import Node, SlotsWanted
from orchestra.interface.operation import Change, Question


@dataclass(frozen=True, slots=True)
class CreateNode(Change[Node]):
    """Make a node. It belongs to the caller.

    Raises:
        BadInput: the name or the slots cannot be.
        AlreadyExists: the name is taken.
    """

    name: str
    cpu: SlotsWanted
    gpu: SlotsWanted


@dataclass(frozen=True, slots=True)
class SetNode(Change[Node]):
    """Change how many slots a node has, or give it to another user; running jobs stay.

    Raises:
        NotFound: there is no such node, or no such user.
        BadInput, Refused: the slots cannot be, or it is somebody else's.
    """

    name: str
    cpu: SlotsWanted
    gpu: SlotsWanted
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class DrainNode(Change[Node]):
    """Let no new job start on a node; the running ones go on.

    Raises:
        NotFound, BadInput, Refused: there is none, the reason cannot be kept, or it is somebody else's.
    """

    name: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ResumeNode(Change[bool]):
    """Let jobs start on a node again. The answer is False where it was not drained.

    Raises:
        NotFound, Refused: there is none, or it is somebody else's.
    """

    name: str


@dataclass(frozen=True, slots=True)
class StopNode(Change[bool]):
    """Ask a node's pilot to take nothing new and to leave when its jobs have ended; `now` has them ended.

    The answer is False where no pilot is there. Who started the pilot may end it, whoever owns the node.

    Raises:
        NotFound, Refused: there is none, or it is somebody else's.
    """

    name: str
    now: bool = False


@dataclass(frozen=True, slots=True)
class AttemptsAtStake(Question[int]):
    """How many attempts `LoseNode` would give to other nodes.

    Raises:
        NotFound, Refused: as `LoseNode`.
    """

    name: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class LoseNode(Change[int]):
    """Declare a node lost: what ran there is given to others at once. The answer is how many attempts that were.

    Raises:
        BadInput: the reason cannot be kept.
        NotFound: there is none of that name.
        Refused: its pilot is online and `force` is not given, or it is somebody else's.
    """

    name: str
    reason: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class DeleteNode(Change[None]):
    """Delete a node that holds no job and whose pilot is gone.

    Raises:
        NotFound, Refused: there is none, it is in use, or somebody else's.
    """

    name: str
