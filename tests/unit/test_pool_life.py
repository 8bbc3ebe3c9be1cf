"""What becomes of an allocation: every state with every word of its engine, and with its pilots."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import uuid4

import pytest

from orchestra.domain.models.pools import Allocation, AllocationState, EngineReport, Phase
from orchestra.domain.pools import life
from orchestra.domain.pools.life import Answers, Pilots, after, end_of

S = AllocationState
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIVE = [state for state in S if state is not S.ENDED]
NONE, ALIVE = Pilots(), Pilots(1, 1, 5.0)
SILENT, HOLDING = Pilots(1, 1, 61.0), Pilots(1, 1, 61.0, holds=True)
GONE = Pilots(1, 0)
UNKNOWN = Answers(misses=life.MISSES)


def allocation(state: S = S.PENDING, **more: object) -> Allocation:
    engine_id = None if state is S.SUBMITTING else "7"
    made = Allocation(uuid4(), "cpu", engine_id, state, NOW - timedelta(seconds=300))
    return replace(made, **more)  # type: ignore[arg-type]


def says(phase: Phase, word: str = "WORD", **more: object) -> Answers:
    return Answers(EngineReport("7", "orchestra-x", phase, word, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(("state", "phase", "pilots"), list(product(LIVE, Phase, [ALIVE, SILENT])))
def test_no_word_ends_what_has_a_pilot_that_speaks(state: S, phase: Phase, pilots: Pilots) -> None:
    end = end_of(allocation(state), says(phase), pilots, NOW, kills_all=True)
    assert (end is not None) == (phase is Phase.OVER and pilots is SILENT)


@pytest.mark.parametrize("state", LIVE)
def test_being_unknown_fences_nothing(state: S) -> None:
    seen = NOW - timedelta(hours=1)
    for pilots in (ALIVE, HOLDING):
        assert end_of(allocation(state, seen_at=seen), UNKNOWN, pilots, NOW, kills_all=True) is None
    end = end_of(allocation(state, seen_at=seen), UNKNOWN, SILENT, NOW, kills_all=True)
    assert end is not None
    assert not end.fences


@pytest.mark.parametrize(
    ("kills_all", "lost", "fences"),
    [(True, False, True), (True, True, False), (False, False, False)],
)
def test_jobs_are_dead_only_where_the_engine_has_killed_them(
    kills_all: bool, lost: bool, fences: bool
) -> None:
    answers = says(Phase.OVER, is_lost=lost)
    end = end_of(allocation(S.SERVING), answers, HOLDING, NOW, kills_all=kills_all)
    assert (end is not None and end.fences) is fences
    assert (end is not None) is fences, "else the lease is waited for"


def test_answers_without_it_count_only_in_a_row() -> None:
    answers = Answers()
    for _ in range(life.MISSES - 1):
        answers = answers.with_report(None)
    assert not answers.is_unknown
    report = EngineReport("7", "", Phase.RUNNING, "RUNNING")
    assert answers.with_report(report).with_report(None).known == report
    assert answers.with_report(None).known is None


@pytest.mark.parametrize(("age", "ends"), [(60, False), (130, True)])
def test_a_submission_without_an_answer_is_looked_up_for_a_while(age: float, ends: bool) -> None:
    sent = allocation(S.SUBMITTING, submitted_at=NOW - timedelta(seconds=age))
    end = end_of(sent, UNKNOWN, NONE, NOW, kills_all=True)
    assert (end is not None) is ends
    assert end is None or not end.by_itself


@pytest.mark.parametrize(
    ("state", "phase", "pilots", "becomes"),
    [
        (S.SUBMITTING, Phase.WAITING, NONE, S.PENDING),
        (S.PENDING, Phase.WAITING, NONE, S.PENDING),
        (S.PENDING, Phase.RUNNING, NONE, S.STARTING),
        (S.PENDING, Phase.UNCLEAR, NONE, S.UNKNOWN),
        (S.UNKNOWN, Phase.WAITING, NONE, S.PENDING),
        (S.UNKNOWN, Phase.RUNNING, ALIVE, S.SERVING),
        (S.STARTING, Phase.WAITING, NONE, S.PENDING),
        (S.STARTING, Phase.RUNNING, ALIVE, S.SERVING),
        (S.SERVING, Phase.WAITING, ALIVE, S.SERVING),
        (S.SERVING, Phase.UNCLEAR, ALIVE, S.SERVING),
        (S.SERVING, Phase.OVER, ALIVE, S.SERVING),
        (S.SERVING, Phase.ENDING, ALIVE, S.LEAVING),
        (S.LEAVING, Phase.RUNNING, ALIVE, S.LEAVING),
        (S.LEAVING, Phase.WAITING, NONE, S.LEAVING),
    ],
)
def test_words_move_it(state: S, phase: Phase, pilots: Pilots, becomes: S) -> None:
    assert after(allocation(state), says(phase), pilots, NOW).state is becomes


@pytest.mark.parametrize(
    ("state", "phase", "pilots"), list(product(LIVE, Phase, [NONE, ALIVE, GONE]))
)
def test_words_never_end_it_by_themselves(state: S, phase: Phase, pilots: Pilots) -> None:
    new = after(allocation(state), says(phase), pilots, NOW)
    assert new.state is not S.ENDED
    assert new.ended_at is None
    assert (new.started_at is not None) == (phase in (Phase.RUNNING, Phase.ENDING))


def test_one_that_started_just_before_it_was_withdrawn_is_spared() -> None:
    withdrawn = allocation(S.LEAVING, cancelled_at=NOW)
    spared = after(withdrawn, says(Phase.RUNNING), NONE, NOW)
    assert (spared.state, spared.cancelled_at) == (S.STARTING, None)
    ended = after(withdrawn, says(Phase.RUNNING), NONE, NOW, ends_running=True)
    assert (ended.state, ended.cancelled_at) == (S.LEAVING, NOW)


@pytest.mark.parametrize(
    ("pilots", "waited", "ends_running", "cancels"),
    [
        (NONE, 0, False, True),
        (ALIVE, 0, False, False),
        (ALIVE, 61, False, False),
        (ALIVE, 0, True, False),
        (ALIVE, 61, True, True),
    ],
)
def test_pilots_give_their_jobs_back_before_the_engine_ends_them(
    pilots: Pilots, waited: float, ends_running: bool, cancels: bool
) -> None:
    asked = allocation(S.LEAVING, cancelled_at=NOW - timedelta(seconds=waited))
    assert life.is_to_cancel(asked, Answers(), pilots, NOW, ends_running=ends_running) is cancels
    over = says(Phase.OVER)
    assert not life.is_to_cancel(asked, over, pilots, NOW, ends_running=ends_running)
