"""The failures of a task in groups."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.failure_groups import Ending, by_node, grouped
from orchestra.domain.failure_reasons import Reason
from orchestra.domain.log_lines import without_colours
from orchestra.domain.models.failures import FailedAttempt, FailureLine, FailureReason
from orchestra.domain.models.tasks import Task
from orchestra.domain.outcome_text import last_lines
from orchestra.interface.answers.failures import TaskFailures
from orchestra.services.tasks import selection
from orchestra.store.tasks import facts

LINES = 5
"""The most different last lines that are told for each reason."""
TAIL_LINES = 12


def of_task(conn: psycopg.Connection, word: str) -> TaskFailures:
    """Return the failures of a task by reason, by last line and by node.

    Raises:
        BadInput, NotFound: there is no such task.
    """
    task = selection.find(conn, word)
    read = facts.endings(conn, task.id) if has_failures(task) else []
    reasons = [
        (reason, group, grouped(group, lambda ending: ending.line)[:LINES])
        for reason, group in grouped(read, lambda ending: ending.reason)
    ]
    first_ones = [group[0] for _, _, lines in reasons for _, group in lines]
    examples = facts.examples(conn, task.id, first_ones)
    return TaskFailures(
        task,
        tuple(_reason(reason, group, lines, examples) for reason, group, lines in reasons),
        looked=len(read),
        failed=max(task.counts.failed, len(read)),
    )


def has_failures(task: Task) -> bool:
    """Whether a task has jobs that failed, as far as its counts tell."""
    return bool(task.counts.failed or task.counts.broken)


def _reason(
    reason: Reason,
    group: Sequence[Ending],
    lines: Sequence[tuple[str | None, Sequence[Ending]]],
    examples: dict[int, tuple[FailedAttempt, str]],
) -> FailureReason:
    told = tuple(_line(line, alike, *examples[alike[0].index]) for line, alike in lines)
    return FailureReason(str(reason), reason.words, len(group), by_node(group), told)


def _line(
    line: str | None, group: Sequence[Ending], example: FailedAttempt, config: str
) -> FailureLine:
    return FailureLine(
        line=line,
        jobs=len(group),
        nodes=by_node(group),
        index=example.index,
        node=example.node,
        config=config,
        what=example.what,
        reason=example.reason if example.reason != example.what else None,
        tail=last_lines(without_colours(example.log_tail), TAIL_LINES),
        has_log=example.has_log,
    )
