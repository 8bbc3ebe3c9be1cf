"""Why jobs of a task do not start: the reasons that a look at the task and the nodes can give. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from orchestra.domain import chains, troubles
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import Queue, TaskState
from orchestra.domain.supply import Need, Place, obstacle
from orchestra.domain.wording import Said
from orchestra.store.queues import Supply


def reasons(task: Task, nodes: Sequence[Supply], *, conductor: bool) -> tuple[Said, ...]:
    """Give the reasons in sentences, the first one the most important; none where nothing waits without need.

    `conductor` says whether somebody carries out the conductor's duties.
    """
    waiting = task.counts.registered + task.counts.assigned
    if not waiting or not task.state.is_live or task.state is TaskState.KILL:
        return ()
    if task.hold:
        return (f"It is held by {task.hold.by}: {task.hold.reason}",)
    if task.after:
        return tuple(chains.sentences(task.id, task.after))
    places = [_place(node, task.queue) for node in nodes]
    if found := obstacle(Need.of(task), places):
        return (found,)
    if not conductor:
        return ("Nobody conducts at present; it goes on within seconds of a pilot's start.",)
    return tuple(_of_image(task, nodes))


def _of_image(task: Task, nodes: Sequence[Supply]) -> Iterator[str]:
    """Give what pilots say of the task's image."""
    for node in nodes:
        if node.online and (told := troubles.of_image(node.troubles, task.id, task.image)):
            yield f"The pilot of node {node.name} says: {told.text}"


def _place(node: Supply, queue: Queue) -> Place:
    return Place(
        node=node.name,
        enabled=node.gpu_enabled if queue is Queue.GPU else node.cpu_enabled,
        online=node.online,
        drained_at=_ONCE if node.drained else None,
        account=node.account,
        serves_all=node.is_root or node.serve_all,
        runtimes=node.runtimes,
    )


_ONCE = datetime.min.replace(tzinfo=UTC)
"""When a node was drained does not matter here."""
