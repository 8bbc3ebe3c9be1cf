"""Changes of nodes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestra.domain.models.nodes import UNCHANGED, Node, NodeSettings, SlotsWanted
from orchestra.interface.operation import Change, Question


@dataclass(frozen=True, slots=True)
class CreateNode(Change[Node]):
    """Create a node, which belongs to the caller.

    Raises:
        BadInput: the name, a number of slots or a setting is invalid.
        AlreadyExists: the name is taken.
    """

    name: str
    cpu: SlotsWanted
    gpu: SlotsWanted
    settings: NodeSettings = UNCHANGED


@dataclass(frozen=True, slots=True)
class SetNode(Change[Node]):
    """Change a node's slots, its owner or settings; running jobs stay.

    Raises:
        NotFound: there is no such node, or no such user.
        BadInput, Refused: a number of slots or a setting is invalid, or the node belongs to somebody else.
    """

    name: str
    cpu: SlotsWanted
    gpu: SlotsWanted
    owner: str | None = None
    settings: NodeSettings = UNCHANGED


@dataclass(frozen=True, slots=True)
class DrainNode(Change[Node]):
    """Start no new jobs on a node, now or from a moment on; running jobs continue.

    Until that moment, jobs that cannot end before it are left to other nodes.

    Raises:
        NotFound: there is no such node.
        BadInput: the reason cannot be stored, or the moment has passed.
        Refused: it belongs to somebody else, or is to be drained later and is drained already.
    """

    name: str
    reason: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ResumeNode(Change[bool]):
    """Let jobs start on a node again, and for good. The answer is False if it was not drained, nor to be.

    Raises:
        NotFound, Refused: there is none, or it belongs to somebody else.
    """

    name: str


@dataclass(frozen=True, slots=True)
class StopNode(Change[bool]):
    """Ask a node's pilot to claim no new jobs and to exit when its jobs have ended; `now` ends the jobs.

    The answer is False if there is no pilot. Allowed to the node's owner, and to the user who started the pilot.

    Raises:
        NotFound, Refused: there is none, or it belongs to somebody else.
    """

    name: str
    now: bool = False


@dataclass(frozen=True, slots=True)
class AttemptsAtStake(Question[int]):
    """How many attempts `LoseNode` would requeue.

    Raises:
        NotFound, Refused: as `LoseNode`.
    """

    name: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class AttemptsEndedByHours(Question[int]):
    """How many attempts would be ended if a node had these hours from now on: none, if it is open then.

    Raises:
        BadInput, NotFound, Refused: as `SetNode`.
    """

    name: str
    open_hours: str


@dataclass(frozen=True, slots=True)
class LoseNode(Change[int]):
    """Declare a node lost: its jobs are requeued at once. The answer is the number of attempts.

    Raises:
        BadInput: the reason cannot be stored.
        NotFound: there is none with that name.
        Refused: its pilot is online and `force` is False, or the node belongs to somebody else.
    """

    name: str
    reason: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class DeleteNode(Change[None]):
    """Delete a node that has no jobs and no pilot.

    Raises:
        NotFound, Refused: there is none, it is in use, or belongs to somebody else.
    """

    name: str
