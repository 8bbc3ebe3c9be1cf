"""Why jobs of a task do not start: the reasons that a look at the task and the nodes can give. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestra.domain.human import count
from orchestra.domain.models import Task
from orchestra.domain.states import Queue, TaskState
from orchestra.store.tasks import Supply


def reasons(task: Task, nodes: Sequence[Supply], *, conductor: bool) -> tuple[str, ...]:
    """Give the reasons in sentences, the first one the most important; none where nothing waits without need.

    `conductor` says whether somebody carries out the conductor's duties.
    """
    waiting = task.counts.registered + task.counts.assigned
    if not waiting or not task.state.is_live or task.state is TaskState.KILL:
        return ()
    if task.hold:
        return (f"It is held by {task.hold.by}: {task.hold.reason}",)
    found = tuple(_first(_stages(task, nodes)))
    if found:
        return found
    if not conductor:
        return ("Nobody conducts at present; it goes on within seconds of a pilot's start.",)
    return ()


def _first(stages: Iterator[str | None]) -> Iterator[str]:
    for reason in stages:
        if reason:
            yield reason
            return


def _stages(task: Task, nodes: Sequence[Supply]) -> Iterator[str | None]:
    """Narrow the nodes down; the step that leaves none is the reason."""
    kind = task.queue.value.upper()
    if not nodes:
        yield "There is no node yet: maestro up, or maestro node create and maestro pilot run."
        return
    nodes = [node for node in nodes if _slots(node, task.queue)]
    if not nodes:
        yield f"No node has an enabled {kind} slot."
        return
    needed = max(1, task.resources.gpus if task.queue is Queue.GPU else task.resources.cores)
    most = max(_slots(node, task.queue) for node in nodes)
    if most < needed:
        yield f"A job needs {count(needed, f'{kind} slot')}; no node has more than {most}."
        return
    nodes = [node for node in nodes if _slots(node, task.queue) >= needed]
    if not any(node.online for node in nodes):
        yield f"No pilot is online on a node with enough {kind} slots: maestro pilot run."
        return
    nodes = [node for node in nodes if node.online]
    if all(node.drained for node in nodes):
        yield f"Every node with {kind} slots is drained: maestro node list."
        return
    nodes = [node for node in nodes if not node.drained]
    yield from _pickiness(task, nodes)


def _pickiness(task: Task, nodes: Sequence[Supply]) -> Iterator[str | None]:
    willing = [node for node in nodes if node.serves(task.account)]
    if not willing:
        yield (
            f'No pilot serves tasks of the Unix account "{task.account}": it starts its own, '
            "or another one with --serve-all."
        )
        return
    if task.image and not any(node.runtimes for node in willing):
        yield f"No node has a container runtime for the image {task.image}."


def _slots(node: Supply, queue: Queue) -> int:
    return node.gpu_enabled if queue is Queue.GPU else node.cpu_enabled
