"""What pages are told: that something has changed, and is to be read again. Pure.

A page names topics: `tasks` for all of them, `task:7` for one, `nodes`. A hint names what has changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestra.domain.errors import BadInput

TOPICS_AT_MOST = 50
HINTS_AT_MOST = 200
"""More at once are one `resync`."""
_TOPIC = re.compile(r"(tasks|nodes)|task:(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Topics:
    """What a page shows, or all pages together."""

    all_tasks: bool = False
    nodes: bool = False
    tasks: frozenset[int] = frozenset()

    def __or__(self, other: Topics) -> Topics:
        return Topics(
            self.all_tasks or other.all_tasks, self.nodes or other.nodes, self.tasks | other.tasks
        )


@dataclass(frozen=True, slots=True)
class Changed:
    """What has changed since the previous look.

    Args:
        everything: anything may have changed.
        tasks, jobs: the tasks that have changed, and those whose jobs have.
    """

    everything: bool = False
    tasks: frozenset[int] = field(default_factory=frozenset)
    jobs: frozenset[int] = field(default_factory=frozenset)
    nodes: bool = False


@dataclass(frozen=True, slots=True)
class Hint:
    """One hint: its kind (`task`, `jobs`, `node` or `resync`), and the task that it is about."""

    kind: str
    task: int | None = None

    def concerns(self, topics: Topics) -> bool:
        """Whether a page that shows the topics is to know it."""
        if self.kind == "node":
            return topics.nodes
        return self.task is None or topics.all_tasks or self.task in topics.tasks


RESYNC = Hint("resync")


def parse_topics(text: str) -> Topics:
    """Parse `task:7,nodes,tasks`.

    Raises:
        BadInput: a topic is unknown, or there is none or too many.
    """
    names = [each for each in text.split(",") if each]
    found = {name: _TOPIC.fullmatch(name) for name in names}
    for name, match in found.items():
        if not match:
            raise BadInput(
                f"there is no topic {name[:40]!r}.", hint="Topics are tasks, nodes and task:NUMBER."
            )
    if not 0 < len(names) <= TOPICS_AT_MOST:
        raise BadInput(f"a stream needs 1 to {TOPICS_AT_MOST} topics, such as ?topics=tasks,nodes.")
    return Topics(
        "tasks" in found,
        "nodes" in found,
        frozenset(int(match[2]) for match in found.values() if match and match[2]),
    )


def hints(changed: Changed) -> tuple[Hint, ...]:
    """Return what pages are told."""
    if changed.everything or len(changed.tasks) + len(changed.jobs) > HINTS_AT_MOST:
        return (RESYNC,)
    return (
        *_each("task", changed.tasks),
        *_each("jobs", changed.jobs - changed.tasks),
        *([Hint("node")] if changed.nodes else []),
    )


def _each(kind: str, tasks: Iterable[int]) -> Iterable[Hint]:
    return (Hint(kind, task) for task in sorted(tasks))
