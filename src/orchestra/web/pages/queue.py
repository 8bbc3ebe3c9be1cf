"""A queue: what runs, what comes next, and why it waits."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.errors import NotFound
from orchestra.domain.models.queues import QueuedJob
from orchestra.domain.models.tasks import Task
from orchestra.domain.order_text import RULE
from orchestra.domain.states import Queue
from orchestra.domain.user_limits import gpus, in_words
from orchestra.domain.wording import Sentence
from orchestra.interface.explanations import ExplainJob
from orchestra.interface.operation import Interface
from orchestra.interface.queues import ShowOrder, ShowQueue
from orchestra.interface.tasks import ListTasks
from orchestra.web.forms import asked
from orchestra.web.rendering import page

SHOWN = 100
EXPLAINED = 4
"""Tasks for whose next job the page says why it waits."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task with waiting jobs: the next of them, if it is among the first of the queue, and why that waits."""

    task: Task
    next: int | None = None
    why: tuple[Sentence, ...] = ()


def show_queue(call: Call) -> Response:
    """Show a queue.

    Raises:
        NotFound: there is none of this name.
    """
    name = asked(call).text("name", "cpu")
    if name not in set(Queue):
        raise NotFound(f'there is no queue "{name}".', hint="There are two: cpu and gpu.")
    with call.server.interface(call.identity) as ask:
        report, order = ask(ShowQueue(Queue(name))), ask(ShowOrder())
        tasks = [
            line.task
            for line in ask(ListTasks())
            if line.task.queue == name and line.task.counts.assigned and line.task.state.is_live
        ]
        # What has no rank, and what is held, is not claimed now.
        tasks.sort(
            key=lambda task: (task.hold is not None, task.rank is None, task.rank or 0, task.id)
        )
        waiting = [_waiting(ask, task, report.waiting, place) for place, task in enumerate(tasks)]
    return page(
        call,
        "queue.html",
        here="Queue",
        queue=report.queue,
        queues=list(Queue),
        order=order,
        rule=RULE,
        places={task.id: task for task in order.tasks},
        limits=in_words,
        gpus=gpus,
        running=report.running[:SHOWN],
        more_running=len(report.running) - SHOWN,
        waiting=waiting[:SHOWN],
        more_waiting=len(waiting) - SHOWN,
    )


def _waiting(ask: Interface, task: Task, jobs: tuple[QueuedJob, ...], place: int) -> Waiting:
    if task.hold:
        return Waiting(task, why=(f"held by {task.hold.by}: {task.hold.reason}",))
    first = next((job.index for job in jobs if job.task_id == task.id), None)
    if first is None or place >= EXPLAINED:
        return Waiting(task, first)
    explained = ask(ExplainJob(f"{task.id}/{first}")).explanation
    return Waiting(task, first, explained.told)


ENDPOINTS = (Endpoint("GET", "/queue", show_queue),)
