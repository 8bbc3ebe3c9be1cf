"""Nodes: `client.nodes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestra.client import users, words
from orchestra.client.session import Session
from orchestra.domain.errors import BadInput
from orchestra.domain.models.nodes import Node, NodeSettings, SlotsWanted

if TYPE_CHECKING:
    import builtins
    from datetime import datetime

    from orchestra.domain.models.users import User


class Nodes:
    """Machines and their slots. A node belongs to the user who created it; its owner and admins may change it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self) -> builtins.list[Node]:
        """Return all nodes by name, with their slots, how many are in use, and whether a pilot is online."""
        from orchestra.interface.nodes import ListNodes

        return [*self._session(ListNodes())]

    def get(self, name: str | Node) -> Node:
        """Return a node as it is now.

        Raises:
            NotFound: there is none with that name; suggests a similar one.
        """
        from orchestra.interface.nodes import GetNode

        return self._session(GetNode(name_of(name)))

    def create(
        self,
        name: str,
        *,
        cpus: int = 0,
        gpus: int = 0,
        max_cpus: int | None = None,
        max_gpus: int | None = None,
        labels: Mapping[str, str | int] | None = None,
        memory: int | str | None = None,
        open_hours: str | None = None,
        nice: int | None = None,
    ) -> Node:
        """Create a node, which belongs to you. It takes jobs once its pilot runs: `maestro pilot run` there.

        Args:
            name: the machine's name, as `maestro node list` shows it.
            cpus: CPU slots that take jobs.
            gpus: GPU slots that take jobs.
            max_cpus: upper limit of `cpus`; equal to it by default.
            max_gpus: upper limit of `gpus`; equal to it by default.
            labels: for the constraints of tasks: `{"gpu": "a100", "rack": 3}`.
            memory: that jobs may use together: bytes, or "64GB"; "all" for what the machine has, as by default.
            open_hours: when jobs may run, by the node's clock: "19:00-07:00,sat,sun"; "always" as by default.
            nice: added to the niceness of jobs, 0 to 19, so that other programs go first.

        Raises:
            BadInput: the name, the slots or a setting cannot be used.
            AlreadyExists: the name is taken.
        """
        from orchestra.interface.node_changes import CreateNode

        cpu, gpu = _slots("cpus", cpus, max_cpus), _slots("gpus", gpus, max_gpus)
        return self._session(
            CreateNode(name_of(name), cpu, gpu, _settings(labels, memory, open_hours, nice))
        )

    def set(
        self,
        name: str | Node,
        *,
        cpus: int | None = None,
        gpus: int | None = None,
        max_cpus: int | None = None,
        max_gpus: int | None = None,
        owner: str | User | None = None,
        labels: Mapping[str, str | int] | None = None,
        memory: int | str | None = None,
        open_hours: str | None = None,
        nice: int | None = None,
    ) -> Node:
        """Change a node's slots, settings (see `create`) or its owner. Return the node.

        None leaves a value as it is, and so do labels that are not given; a label with an empty value is removed.
        Running jobs stay, unless it has `open_hours` by which it is closed now: they are ended without a question,
        and run again elsewhere or later, at no cost of a retry.

        Raises:
            NotFound: there is no such node, or no such user.
            BadInput: a number of slots or a setting is invalid, or there is nothing to change.
            Refused: the node belongs to somebody else, or its pilot is too old to keep to hours.
        """
        from orchestra.interface.node_changes import SetNode

        given = (cpus, gpus, max_cpus, max_gpus, owner, memory, open_hours, nice)
        if not labels and all(each is None for each in given):
            raise BadInput(
                "nothing to change was given: cpus, gpus, max_cpus, max_gpus, owner, labels, memory, open_hours or "
                "nice."
            )
        cpu, gpu = _slots("cpus", cpus, max_cpus), _slots("gpus", gpus, max_gpus)
        whom = None if owner is None else users.name_of(owner)
        settings = _settings(labels, memory, open_hours, nice)
        return self._session(SetNode(name_of(name), cpu, gpu, whom, settings))

    def drain(
        self, name: str | Node, reason: str | None = None, *, at: datetime | str | None = None
    ) -> Node:
        """Start no new jobs on a node; running jobs continue. May be repeated, with another reason.

        Args:
            name: the node, or its name.
            reason: shown beside the node.
            at: from then on, such as "Fri 18:00"; until then, jobs that cannot end before it are left to other nodes.

        Raises:
            NotFound, Refused: there is no such node, or it belongs to somebody else.
            BadInput: the moment has passed, or cannot be understood.
        """
        from orchestra.interface.node_changes import DrainNode

        return self._session(DrainNode(name_of(name), reason, words.moment("at", at)))

    def resume(self, name: str | Node) -> bool:
        """Let jobs start on a node again. Return whether it was drained.

        Raises:
            NotFound, Refused: there is no such node, or it belongs to somebody else.
        """
        from orchestra.interface.node_changes import ResumeNode

        return self._session(ResumeNode(name_of(name)))

    def stop(self, name: str | Node, *, now: bool = False) -> bool:
        """Have a node's pilot claim no new jobs and exit when its jobs have ended. Return whether it has a pilot.

        `now` ends the running jobs and requeues them.

        Raises:
            NotFound, Refused: there is no such node, or it belongs to somebody else.
        """
        from orchestra.interface.node_changes import StopNode

        return self._session(StopNode(name_of(name), now))

    def lost(self, name: str | Node, reason: str | None = None, *, force: bool = False) -> int:
        """Declare a node lost: its jobs are requeued at once. Return how many there are.

        Only for a machine that is certainly off: otherwise jobs may run twice. There is no question. `force` does it
        even while the node's pilot is online.

        Raises:
            NotFound: there is none with that name.
            Refused: its pilot is online and `force` is False, or the node belongs to somebody else.
        """
        from orchestra.interface.node_changes import LoseNode

        return self._session(LoseNode(name_of(name), reason, force))

    def delete(self, name: str | Node) -> None:
        """Delete a node that holds no job and whose pilot is gone.

        Raises:
            NotFound, Refused: there is none of that name, it is in use, or somebody else's.
        """
        from orchestra.interface.node_changes import DeleteNode

        self._session(DeleteNode(name_of(name)))


def name_of(node: str | Node) -> str:
    """Return a node's name.

    Raises:
        BadInput: it is neither.
    """
    name = node.name if isinstance(node, Node) else node
    return words.text("a node, or its name,", name)


def _settings(
    labels: Mapping[str, str | int] | None,
    memory: int | str | None,
    open_hours: str | None,
    nice: int | None,
) -> NodeSettings:
    is_all = memory in (0, "all")
    return NodeSettings(
        words.labels(labels),
        0 if is_all else words.size("memory", memory),
        None if open_hours is None else words.text("open_hours", open_hours),
        None if nice is None else words.whole("nice", nice, least=0),
    )


def _slots(name: str, enabled: int | None, maximum: int | None) -> SlotsWanted:
    kind = "CPU" if name == "cpus" else "GPU"
    enabled = None if enabled is None else words.whole(name, enabled, least=0)
    most = None if maximum is None else words.whole(f"max_{name}", maximum, least=0)
    return SlotsWanted(kind, enabled, most)
