"""What lists and commands say of causes and counts, and whether what they advise can be done."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestra.cli import node as nodes
from orchestra.domain.job_text import attempt_state
from orchestra.domain.lifecycle import TestFacts
from orchestra.domain.models.jobs import Attempt
from orchestra.domain.models.nodes import FoundResources, Node, Slots
from orchestra.domain.models.tasks import Hold, hold_cause
from orchestra.domain.states import Cause, HoldCause
from orchestra.domain.usage import NOT_MEASURED

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cause", "reason", "said"),
    [
        (Cause.ENDED, "ended because another test job failed", None),
        (Cause.ENDED, "ended because its task was killed", None),
        (Cause.LEASE, "ended because its pilot was stopped", None),
        (Cause.CLOSED, "ended because the node closed at 07:00", None),
        (Cause.ENDED, None, "ended on request"),
        (Cause.TIMEOUT, "ran longer than its time limit of 2 s", None),
        (Cause.RETURNED, "its task is held", "requeued by its pilot: its task is held"),
        (Cause.EXIT, "exit status 127 (command not found)", None),
    ],
)
def test_an_end_has_one_cause(cause: Cause, reason: str | None, said: str | None) -> None:
    attempt = Attempt(
        0, 0, 1, "gauss", 1, True, NOW, NOW, NOW, None, "/data/x", None, cause, reason,
        127 if cause is Cause.EXIT else None, None, 1.0, NOT_MEASURED, True, None,
    )  # fmt: skip
    words = attempt_state(attempt)
    if cause is Cause.TIMEOUT:
        assert words.endswith(str(reason))
    else:
        assert words == (said or reason)


@pytest.mark.parametrize(
    ("failed", "killed", "swept", "said"),
    [
        (2, 0, 0, "2 of 10 test jobs failed"),
        (5, 0, 3, "2 of 10 test jobs failed"),
        (6, 1, 3, "2 of 10 test jobs failed, 1 was killed"),
        (5, 2, 3, "2 of 10 test jobs were killed"),
        (3, 0, 3, "3 of 10 test jobs did not pass"),
    ],
)
def test_who_was_ended_with_a_test_did_not_fail_it(
    failed: int, killed: int, swept: int, said: str
) -> None:
    assert TestFacts(jobs=10, failed=failed, killed=killed, swept=swept).why_failed == said


@pytest.mark.parametrize(
    ("cause", "lasts"),
    [(HoldCause.FILES, True), (HoldCause.FAILURES, False), (HoldCause.PERSON, False)],
)
def test_a_release_helps_only_where_the_cause_has_gone(cause: HoldCause, lasts: bool) -> None:
    """Whatever the words are in which it is told."""
    assert Hold(NOW, "orchestra", "see --max-fails", cause).lasts is lasts


def test_a_hold_of_a_program_that_notes_no_cause() -> None:
    assert hold_cause("failures", "orchestra") is HoldCause.FAILURES
    assert hold_cause(None, "orchestra") is HoldCause.FILES
    assert hold_cause(None, "ana") is HoldCause.PERSON
    assert hold_cause("weather", "orchestra") is HoldCause.FILES


def test_slots_that_are_offered_no_more_and_still_in_use() -> None:
    node = Node(1, "gauss", Slots(2, 4), Slots(0, 0), NOW, seen_at=NOW, cpu_in_use=3)
    assert nodes._slots_column(node.cpu, node.cpu_in_use) == "2/2 +1 (4)"
    assert nodes._note(node) == "1 CPU slot more than enabled in use, until jobs there end"
    assert nodes._slots_column(Slots(4, 4), 3) == "3/4"


@pytest.mark.parametrize(
    ("cpus", "note"),
    [
        (None, None),
        (4, None),
        (3, "4 CPU slots enabled on 3 processors, which its jobs share"),
        (1, "4 CPU slots enabled on 1 processor, which its jobs share"),
    ],
)
def test_more_cpu_slots_than_processors(cpus: int | None, note: str | None) -> None:
    found = FoundResources(cpus=cpus)
    node = Node(1, "gauss", Slots(4, 4), Slots(0, 0), NOW, seen_at=NOW, found=found)
    assert node.slots_share == note
    assert bool(note) == any("which its jobs share" in line for line in nodes._lines(node))
