"""Failed attempts in groups: by reason, by the last lines of their logs, by node. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from orchestra.domain.failure_reasons import Reason
from orchestra.domain.log_lines import last_line_pattern
from orchestra.domain.models.failures import JobsOnNode
from orchestra.domain.states import Cause

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Ending:
    """How the latest attempt of a failed job ended. `end` has the last bytes of its log."""

    index: int
    number: int
    node: str | None
    cause: Cause
    exit_status: int | None
    signal: int | None
    end: bytes | None = None

    @property
    def reason(self) -> Reason:
        return Reason.of(self.cause, self.exit_status, self.signal)

    @property
    def line(self) -> str | None:
        """A pattern of the last line of its log."""
        return last_line_pattern(self.end)


def grouped(
    endings: Iterable[Ending], by: Callable[[Ending], Key]
) -> list[tuple[Key, Sequence[Ending]]]:
    """Return groups, the largest first, then the one with the lowest job; each is in the order given."""
    groups: dict[Key, list[Ending]] = {}
    for ending in endings:
        groups.setdefault(by(ending), []).append(ending)
    return sorted(groups.items(), key=lambda group: (-len(group[1]), group[1][0].index))


def by_node(endings: Iterable[Ending]) -> tuple[JobsOnNode, ...]:
    """Return how many failed on each node, the most first."""
    counted = Counter(ending.node for ending in endings)
    found = sorted(counted.items(), key=lambda each: (-each[1], each[0] or ""))
    return tuple(JobsOnNode(node, jobs) for node, jobs in found)
