"""In which order tasks are served. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True)
class Contender:
    """A task as the order sees it. `in_use` counts its living jobs, `ready` those that a pilot may claim."""

    task: int
    queue: Queue
    owner: int
    priority: int
    first_in_line: bool
    in_use: int
    ready: int


def rank(contenders: Iterable[Contender]) -> dict[int, int]:
    """Give each task with ready jobs its rank within its queue, 0 for the best.

    A higher priority goes first; then the owner who uses fewer slots of the queue; then what is retried; then what is
    older. Tasks of one owner do not compete by use: the first one keeps its slots.
    """
    everyone = list(contenders)
    use = _use(everyone)
    ready = [contender for contender in everyone if contender.ready > 0]
    ready.sort(key=lambda c: (-c.priority, use[c.queue, c.owner], not c.first_in_line, c.task))
    ranks: dict[int, int] = {}
    placed: dict[Queue, int] = {}
    for contender in ready:
        ranks[contender.task] = placed.get(contender.queue, 0)
        placed[contender.queue] = ranks[contender.task] + 1
    return ranks


def _use(contenders: Iterable[Contender]) -> Mapping[tuple[Queue, int], int]:
    use: dict[tuple[Queue, int], int] = {}
    for contender in contenders:
        key = contender.queue, contender.owner
        use[key] = use.get(key, 0) + contender.in_use
    return use
