"""Why jobs of a task do not start, as far as the task and the nodes explain it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestra.domain import dependencies, troubles
from orchestra.domain.matchmaking import Need, NodeOffer, why_no_node
from orchestra.domain.models.tasks import Task
from orchestra.domain.pools.prospects import Prospect, fitting, why_no_pilot
from orchestra.domain.states import TaskState
from orchestra.domain.wording import Sentence


def reasons(
    task: Task,
    offers: Sequence[NodeOffer],
    *,
    conductor: bool,
    pools: Sequence[Prospect] = (),
) -> tuple[Sentence, ...]:
    """Return the reasons in sentences, the most important first; none if no job waits without need.

    Args:
        conductor: whether a conductor is running.
        pools: those of its queue.
    """
    waiting = task.counts.registered + task.counts.assigned
    if not waiting or not task.state.is_live or task.state is TaskState.KILL:
        return ()
    if task.hold:
        return (f"It is held by {task.hold.by}: {task.hold.reason}",)
    if task.after:
        return tuple(dependencies.sentences(task.id, task.after))
    if found := why_no_node(need := Need.of(task), offers):
        none_comes = tuple(why_no_pilot(pools, need))
        return none_comes if fitting(pools, need) else (found, *none_comes)
    if not conductor:
        return (
            "There is no conductor at present; work continues within seconds after a pilot starts.",
        )
    return tuple(_of_image(task, offers))


def _of_image(task: Task, offers: Sequence[NodeOffer]) -> Iterator[str]:
    """Return what pilots report about the task's image."""
    for offer in offers:
        if offer.online and (told := troubles.of_image(offer.troubles, task.id, task.image)):
            yield f"The pilot of node {offer.node} says: {told.text}"
